"""May we ship it? Licence verdicts over everything that took part in making an asset.

Owns licence_verdict, model_set, asset_model_set, studio_statement. Promises: an unknown licence is never shown as allowed
(INV-7); a verdict is told with every clause that decided, in the project that it is of (INV-6), and looked at again where
what it rests on changes.
"""
