"""The de-identification core: pure functions over encoded bytes.

It may be used alone, as a library. It knows no clock, socket, file (but its own
tables) and no logger: the same key, rules and object give the same bytes on any
process, any node, any day.
"""
