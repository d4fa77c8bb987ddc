"""Work in a process of its own: what it has to load for it, ends with it.

The SDK of a cloud takes forty megabytes and half a second to load, for a few calls before a job
and a few after it. Loaded apart, it is loaded beside the rest of a start, and a client that
follows a job for days does not keep it.
"""
