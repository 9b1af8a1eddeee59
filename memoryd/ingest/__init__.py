"""From a file to a recorded asset: watcher, backlog, quarantine, enrichment.

Owns quarantine. Promises: from the commit of record() on, a file is found; what could not be read is in quarantine with
its reason; an unreachable folder is offline, never deleted (INV-8).
"""
