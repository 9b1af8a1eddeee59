"""From a request to a queued job, and from a completion to the record.

Owns job_detail, job_event and run_cost. Promises: a graph that ComfyUI would refuse is refused before it waits, in
ComfyUI's own words; a job's result and its record commit together or not at all (INV-4).
"""
