"""Bytes by their hash.

Owns blob. Promises: a blob's name is its SHA-256, checked on write and on read (INV-1).
"""
