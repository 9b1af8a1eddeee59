"""Recalls: a model is withdrawn, its licence changed, its file was malicious. What did it touch, and what stops from now on?

Owns recall, recalled_model and the touches that are kept (touch, touch_run, touch_model, touch_tally, touch_change).
Promises: a recalled model is refused from the commit of its recall on; what is counted and listed of a recall is only what
the caller may see, and says so; search documents are never written for a recall.
"""
