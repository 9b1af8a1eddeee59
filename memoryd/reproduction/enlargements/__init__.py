"""The same picture, larger: what larger copy is known already, else an upscale of the verified original.

Promises: an enlargement starts from the original's own bytes, is a generation of its own, leads back to the original,
and says how far it is from it when it is scaled back. It is never passed off as the picture rendered at that size.
"""
