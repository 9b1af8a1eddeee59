"""What was asked, made comparable: graphs, their identities, their parameters, their differences.

Owns document, graph, graph_identity, workflow, node_value. Promises: identity does not depend on node ids, order, titles
or layout, and a recipe once published gives the same digests for ever; integers keep all digits; every value says where
it was read; whatever is in a file, the answer is a graph or a finding, in time linear in its size.
"""
