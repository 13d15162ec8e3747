"""The running node: composition root and processes.

`build` turns the configuration into the objects of the other rooms; `receiving`,
`delivering`, `keeping`, `committing`, `recording` and `administering` are what the forked
processes do. A `generation` is those that serve one configuration, `succession` lets one
follow another, `supervisor` starts and ends all of them.
"""
