"""Which weights, under which licence terms, whose.

Owns model, model_alias, model_name, licence, licence_grant. Promises: a model is its bytes; an unknown stays unknown.
"""
