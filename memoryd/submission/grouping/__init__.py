"""Groups: one template and many items (a grid, the rows of a table), asked for together and followed together.

Owns group_request. Promises: a group that was sent twice is there once, and one whose sending broke off is completed by
sending it again.
"""
