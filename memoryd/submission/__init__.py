"""From a request to a queued job, and from a completion to the record.

Owns job_detail and job_event. Promises: a job's result and its record commit together or not at all (INV-4).
"""
