"""Which asset is this file? By exact hash and pixel hash (the catalogue's), and by fingerprint where neither is left.

Owns fingerprint. Promises: a likeness is shown as a likeness, never as proof of origin.
"""
