"""May we ship it? Licence verdicts over everything that took part in making an asset.

Owns licence_verdict. Promises: an unknown licence is never shown as allowed (INV-7).
"""
