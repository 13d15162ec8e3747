"""Durable files: an object is on the medium before it is answered.

    <spool>/incoming/             being written; de-identified bytes only; swept at start
    <spool>/queue/<destination>/  committed, to be delivered; one hard link a destination
    <spool>/failed/<destination>/ refused by a destination; written by `delivery`
    <outgoing>/...                committed, for people and programs at the site

An object is one inode: `incoming.IncomingFile` writes it, `commit` names it and
makes the names durable. What this package does not do: read a data set, decide
where an object goes, deliver, log.

    spool        the directories and the way in
    preparation  what is made and tried out at start
    incoming     one file, from its first byte to its commit
    placement    one name for that file, never at the cost of another's
    directories  a tree whose directories are durable before they are used
    medium       fdatasync and fsync, and nothing else
    layout       the path of an object in the outgoing tree
"""

from dicomanon_node.spool.incoming import Committed, IncomingFile
from dicomanon_node.spool.layout import Layout, render_layout
from dicomanon_node.spool.spool import Spool

__all__ = ["Committed", "IncomingFile", "Layout", "Spool", "render_layout"]
