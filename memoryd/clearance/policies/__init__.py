"""What a project does with verdicts when a job is asked for: pass, warn, ask somebody, refuse.

Owns project_policy and approval_request. Promises: what was asked about runs only once somebody who may has said yes, to
these very models under these very terms; a recalled model is refused whatever a policy says.
"""
