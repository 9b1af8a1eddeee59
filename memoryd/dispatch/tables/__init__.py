"""What is stored about jobs, leases, pools, workers and chores.

The rows that every claim touches refer to each other without foreign keys, and carry no index on a column that
changes: heartbeats and state changes stay in their page (HOT), which an index on `expires_at` made 4 times slower and
36 times larger. `ready` is insert and delete only, and read from a low watermark (`mark`), so that a transaction that
holds vacuum back does not slow a claim. Source: reference measurements of 200,000 jobs under a held xmin.
"""
