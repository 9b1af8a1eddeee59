"""What was asked, made comparable: graphs, their identities, their parameters, their differences.

Owns document, graph, graph_identity, workflow, node_value. Promises: identity does not depend on node ids, order, titles
or layout; integers keep all digits; every value says where it was read.
"""
