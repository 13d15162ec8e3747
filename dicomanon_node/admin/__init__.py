"""The console: what people and monitoring see of the node, over HTTP.

It knows three things: what the log tells (`history`, fed by `ops.feed`), what lies in
the spool's directories (`shelves`), and the configuration. It can put failed entries
back into their queue, and change nothing else. Nothing the node does depends on it.
"""
