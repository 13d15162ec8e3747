"""Quarantine: refused objects, encrypted, until somebody has looked. Off by default.

    <spool>/hold/incoming/   being sealed; swept when nobody writes any more
    <spool>/hold/entries/    <entry>.hold sealed objects, <entry>.verdict what a release said
    <spool>/hold/notes/      what commands did, for the node's log

Not one byte of an object reaches a file here before it is encrypted, and no file's
name or readable part says anything about a person. What this package does not do:
decide which objects are held (`holding`), or let any go on (`node.release`).

    sealing  the encrypted form: keys, writer, reader
    label    what may be read without the key
    area     the directories: the way in
    entry    one held object, its lock and its end
    notes    facts that commands leave for the node's log
"""

from dicomanon_node.hold.area import Area, HoldError, Inflow
from dicomanon_node.hold.entry import Entry
from dicomanon_node.hold.label import Contents, Label
from dicomanon_node.hold.sealing import HoldKey, KeyRing, SealError

__all__ = ["Area", "Contents", "Entry", "HoldError", "HoldKey", "Inflow", "KeyRing", "Label",
           "SealError"]  # fmt: skip
