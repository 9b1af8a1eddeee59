"""Recalls: a model is withdrawn, its licence changed, its file was malicious. What did it touch, and what stops from now on?

Owns recall and recalled_model. Promises: a recalled model is refused from the commit of its recall on; what is counted and
listed of a recall is only what the caller may see, and says so; search documents are never written for a recall.
"""
