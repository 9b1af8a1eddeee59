"""New pictures of an asset's recipe: other seeds, other settings, grids of them.

Owns variation. Promises: each is a generation of its own, and what it made leads back to the picture it came from.
"""
