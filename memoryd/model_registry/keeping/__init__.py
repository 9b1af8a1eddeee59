"""The model store: weights that the tenant keeps itself, by their hash, for workers and people that lack them.

Owns model_copy. Promises: a copy's bytes were read back from disk and had their hash before it was listed (INV-1).
"""
