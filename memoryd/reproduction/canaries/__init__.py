"""Canaries: approved pictures that workers make again from time to time, to learn whether they still make what they made.

Owns the policies of projects and the runs. Promises: a worker is compared with itself; what could not be run is never
called drift (INV-7); at most one run of a worker at a time, over all tenants; a doubt ends by somebody's decision alone.
"""
