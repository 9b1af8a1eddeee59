"""Licences as data: what their terms say, who grants one to a model, what a person says otherwise.

Owns the shipped table of terms and the tenant's own additions and overrides. Promises: an unknown name stays unknown
(INV-7), nothing is granted by a guess, and every change tells the verdicts that stood on it. It does not judge.
"""
