"""The throughput benchmark: the node and its peers, side by side on one machine.

Makes its inputs, starts every server it finds, drives them in turn with one load
generator, counts and checks what they wrote, and says what the disk could have done.
Knows the node only as a user does: its program, its configuration, its files.
`docs/performance.md` says how to read it.
"""
