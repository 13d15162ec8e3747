"""The running node: composition root and processes.

`build` turns the configuration into the objects of the other rooms, `receiving` and
`delivering` are what the forked processes do, `supervisor` starts and ends them.
"""
