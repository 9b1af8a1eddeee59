"""For whom projects work, what licences ask about them, and what is handed to them.

Owns client, delivery, delivery_item. Promises: a client is told to those who see one of its projects; what was frozen stays
as it was handed over.
"""
