"""Pixels: digests, comparison, thumbnails, and PNG's own structure. Knows no database."""
