"""Saying in the file that it is generated, signed; and verifying what a file says.

Owns disclosure. Promises: nothing is signed that there is no evidence for (INV-7); the signed file verifies and its
pixels are the original's (INV-10).
"""
