"""The queue: jobs, leases, workers, pools; and chores, the server's own follow-up work.

Owns the farm's tables. Promises: one live lease per job; a late worker is refused by fence and token (INV-4).
"""
