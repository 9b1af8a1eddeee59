"""Who is asking, and what they may do: tenants, people, roles, keys, sessions; the audit trail and its sealer.

Owns the tables of people, projects, keys and audit. Promises: a secret is stored only as a hash; another tenant's thing
does not exist; an audit entry cannot be changed without being found (INV-5, INV-9).
"""
