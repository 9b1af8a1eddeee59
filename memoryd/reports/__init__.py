"""Lineage and compliance reports: gaps first, signed, verifiable offline."""
