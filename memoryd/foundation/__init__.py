"""What every room stands on: settings, database, errors, ids, canonical JSON, paging, logging, findings.

Owns no table. Promises that nothing here knows a word of the business above it.
"""
