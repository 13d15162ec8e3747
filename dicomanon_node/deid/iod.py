"""Types of attributes in the IODs of PS3.3, as far as Table E.1-1 asks for them.

A compound code such as X/Z/D leaves the choice to the attribute's Type in the object's
IOD. The Types are a file beside this module, by SOP class; this module only reads it.
"""

import json
from collections.abc import Mapping
from enum import Enum
from functools import cache
from importlib import resources
from types import MappingProxyType


class Type(Enum):
    """How an IOD requires an attribute (PS3.5 7.4); conditions count as met."""

    VALUE = "1, 1C: it has a value"
    PRESENT = "2, 2C: it is there, and may be empty"
    OPTIONAL = "3, or not in the IOD"


# The strictest first: one SOP class may have an attribute in several modules.
_BY_DIGIT = {"1": Type.VALUE, "2": Type.PRESENT}


class Types:
    """Types of the attributes with compound codes in one SOP class.

    Args:
        top: Types at the top level, by tag; what is absent is optional.
        nested: The strictest Types in any sequence, by tag.
    """

    def __init__(self, top: Mapping[int, Type], nested: Mapping[int, Type]) -> None:
        self._by_depth = top, nested

    def of(self, tag: int, *, nested: bool) -> Type:
        """The Type of an attribute at the top level or in a sequence."""
        return self._by_depth[nested].get(tag, Type.OPTIONAL)


@cache
def _read() -> Mapping[str, Types]:
    data = resources.files(__package__).joinpath("data/ps3.3-types.json")
    table = json.loads(data.read_text(encoding="utf-8"))
    found: dict[str, tuple[dict[int, Type], dict[int, Type]]] = {
        uid: ({}, {}) for uid in table["sop_classes"]
    }
    uids = table["sop_classes"]
    for tag_text, by_depth in table["types"].items():
        tag = int(tag_text[1:5] + tag_text[6:10], 16)
        for depth, name in enumerate(("top", "nested")):
            for digit, kind in reversed(_BY_DIGIT.items()):
                for index in by_depth.get(name, {}).get(digit, ()):
                    found[uids[index]][depth][tag] = kind
    return MappingProxyType({uid: Types(*by_depth) for uid, by_depth in found.items()})


def types_of(sop_class_uid: str) -> Types | None:
    """The Types in a SOP class's IOD; None where the IOD is not known."""
    return _read().get(sop_class_uid)
