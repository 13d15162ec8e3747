"""What to do about a refusal, one sentence for each reason.

For a person with the file and the configuration at hand; the sender gets the fixed
comments of `errors.Reason` and nothing of this.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dicomanon_node.errors import Reason

_ENCODING: Final = (
    "No setting helps: the object is not encoded as its transfer syntax says. Have the sender"
    " repaired, or try to convert the file; dcmdump and dciodvfy show where it breaks."
)
_TRY_AGAIN: Final = "Send it again; the log says what the node was short of."

CURES: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.UNPARSABLE: _ENCODING,
        Reason.TRUNCATED: (
            "The data set ends too early: fetch the object again from where it came from."
        ),
        Reason.NESTED_TOO_DEEP: "Raise limits.nesting in node.toml if such objects are meant.",
        Reason.TOO_MANY_ELEMENTS: (
            "Raise limits.elements in node.toml if such objects are meant. An object with far more"
            " names and texts than any real one is refused whatever the limit."
        ),
        Reason.HEADER_TOO_LARGE: "Raise limits.header_bytes in node.toml if it is meant.",
        Reason.OBJECT_TOO_LARGE: (
            "Raise limits.object_bytes in node.toml if it is meant; for Big Endian objects"
            " limits.converted_bytes."
        ),
        Reason.MISSING_UID: (
            "SOP Class, SOP Instance, Study Instance and Series Instance UID must be there: have"
            " the sender repaired."
        ),
        Reason.DEFLATE_LIMIT: "Raise limits.deflated_bytes in node.toml if it is meant.",
        Reason.CHARACTER_SET: "Convert the object to a character set of PS3.3 C.12.1.1.2.",
        Reason.UID_MISMATCH: (
            "The data set must hold the UIDs that the C-STORE named: have the sender repaired."
        ),
        Reason.NO_STATION: (
            "Add its StationName to stations.json, or a default; or let missing names fall to it:"
            ' routing.on_missing = "default".'
        ),
        Reason.NO_STUDY: (
            "Add the study to studies.json, or have the station's TagForStudy filled in; or let"
            ' what is missing fall to the default: routing.on_missing = "default".'
        ),
        Reason.PHOENIX_REPORT: (
            'It repeats the protocol with the patient in it. "AcceptPhoenix": true in the study'
            " accepts such reports."
        ),
        Reason.BURNED_IN: (
            'The object says that identity is in its pixels. "BurnedIn": "pass" in the study'
            " accepts it and leaves the pixels as they are."
        ),
        Reason.ACTION_FAILED: (
            "The study's rule for this element does not fit what the object has there: change the"
            " rule in studies.json (delete and clear always fit)."
        ),
        Reason.LEAK_FOUND: (
            "An identifier of the object is left where nothing may be changed or removed: have the"
            " study remove that element in studies.json, or the sender repaired."
        ),
        Reason.PRIVATE_UNREADABLE: (
            "The study keeps this private element, and it cannot be looked into: stop keeping it"
            " in studies.json."
        ),
        Reason.INTERNAL: (
            "A fault of the node. Please report it with the tag and the maker, not with the object."
        ),
        Reason.PEER_NOT_ALLOWED: "List the sender in [[peers]] of node.toml.",
        Reason.SOP_CLASS: (
            "The node stores the Storage SOP classes of its conformance statement; others are added"
            " by listener.extra_sop_classes in node.toml."
        ),
        Reason.SPOOL_UNAVAILABLE: _TRY_AGAIN,
        Reason.DISK_FULL: _TRY_AGAIN,
        Reason.MEMORY_BUDGET: _TRY_AGAIN,
        Reason.QUEUE_FULL: "Bring the destination back, or raise `storage.queue_high_water`.",
        Reason.DRAINING: _TRY_AGAIN,
    }
)

NO_TRANSFER_SYNTAX: Final = (
    "The node does not accept this transfer syntax: convert the file to one of those in its"
    " conformance statement."
)
