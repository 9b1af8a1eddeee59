"""Finding an asset again: the query language and its answers.

Owns no rows of its own yet but vectors. Promises: what the caller may not see is not found; paging never skips or repeats.
"""
