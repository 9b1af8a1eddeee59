"""Which weights, under which licence terms, whose.

Owns model, model_alias, model_place, model_name, model_family, model_version, model_origin, model_look_up, licence,
licence_grant, licence_terms, and, in keeping, model_copy. Promises: a model is its bytes; which contents a name had is dated
and never overwritten; an unknown stays unknown; terms are data with their source, and every change of them is told.
"""
