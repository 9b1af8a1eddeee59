"""What verdicts rest on has changed: told in the transaction that changes it, seen by everybody from its commit on.

Owns clearance_change and submission_fence. Whoever remembers a judgement remembers the epoch with it: an epoch that is no
longer the present one says that licences, what grants them, facts of clients, policies or recalls are others now.
"""
