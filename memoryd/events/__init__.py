"""What happened, for those who listen: outbox, relay, streams.

Owns outbox and event. Promises: an event is seen if and only if its transaction committed, in one order, without gaps.
"""
