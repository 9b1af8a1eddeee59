"""Puts everything together: the HTTP application, the table of chore handlers, the processes."""
