"""The memory: assets, generations, lineage, annotations, search documents.

Owns the tables of all these. Promises: an asset is content and never changes, a line is what people mean by this picture,
and what people attach to a line is never lost (INV-2).
"""
