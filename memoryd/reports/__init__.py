"""Lineage and compliance reports: gaps first, signed, verifiable offline.

Owns no table. Promises: what is not known is told before what is (INV-3), *not attempted* is never a result and an
unknown licence never an allowed one (INV-7), and one changed byte of a report or its signature is found.
"""
