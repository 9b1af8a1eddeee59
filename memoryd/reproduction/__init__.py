"""Can it be made again? Plan, compare, verdict.

Owns reproduction. Promises: not attempted is never shown as different; identical is said only of equal bytes that were
really computed again (INV-7).
"""
