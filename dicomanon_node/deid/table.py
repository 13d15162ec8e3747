"""PS3.15 Table E.1-1 as data: what the profile and each option say of an attribute.

The tables are files beside this module, with their edition; this module only reads
them. What is done with an attribute is decided in `plan`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from types import MappingProxyType

from dicomanon_node.deid.rules import Option, PrivateTag

TABLE_EDITION = "2026d"

_COLUMNS = {
    "retain_safe_private": Option.RETAIN_SAFE_PRIVATE,
    "retain_uids": Option.RETAIN_UIDS,
    "retain_device_identity": Option.RETAIN_DEVICE_IDENTITY,
    "retain_institution_identity": Option.RETAIN_INSTITUTION_IDENTITY,
    "retain_patient_characteristics": Option.RETAIN_PATIENT_CHARACTERISTICS,
    "retain_longitudinal_full_dates": Option.RETAIN_LONGITUDINAL_FULL_DATES,
    "retain_longitudinal_modified_dates": Option.RETAIN_LONGITUDINAL_MODIFIED_DATES,
    "clean_descriptors": Option.CLEAN_DESCRIPTORS,
    "clean_structured_content": Option.CLEAN_STRUCTURED_CONTENT,
    "clean_graphics": Option.CLEAN_GRAPHICS,
}


class Code(StrEnum):
    """Action codes (PS3.15 Table E.1-1a)."""

    D = "D"  # a dummy of non-zero length
    Z = "Z"  # zero length, or a dummy
    X = "X"  # remove
    K = "K"  # keep; sequences are walked
    C = "C"  # clean: keep what is not identifying
    U = "U"  # another UID, the same for the same UID
    Z_OR_D = "Z/D"
    X_OR_Z = "X/Z"
    X_OR_D = "X/D"
    X_OR_Z_OR_D = "X/Z/D"
    X_OR_Z_OR_U = "X/Z/U*"


_FULL, _MODIFIED = (
    Option.RETAIN_LONGITUDINAL_FULL_DATES,
    Option.RETAIN_LONGITUDINAL_MODIFIED_DATES,
)


@dataclass(frozen=True, slots=True)
class _Coded:
    basic: Code
    options: Mapping[Option, Code]

    def code(self, options: frozenset[Option]) -> tuple[Code, Option | None]:
        """The code that holds under these options, and the option that decided it.

        Options come before the profile; of two options that both speak, keeping (K)
        comes before cleaning (C), as each option is a permission to retain more. But a
        true date beside shifted ones gives the shift away, whichever option retains it.

        Standard: PS3.15 E.1.1, E.3.
        """
        if _FULL not in options and _MODIFIED in options and _MODIFIED in self.options:
            return self.options[_MODIFIED], _MODIFIED
        for wanted in (Code.K, Code.C):
            for option in Option:
                if option in options and self.options.get(option) is wanted:
                    return wanted, option
        return self.basic, None


@dataclass(frozen=True, slots=True)
class Concept(_Coded):
    """One concept name of Table E.3.4-1, for one value type of content items.

    Attributes:
        basic: The code of Clean Structured Content by itself.
        options: Codes of the further options that say something about it.
    """


@dataclass(frozen=True, slots=True)
class Row(_Coded):
    """One attribute of Table E.1-1.

    Attributes:
        tag: Tag number; for the repeating groups 50xx and 60xx that of their first group.
        name: Attribute name.
        keyword: Keyword, or "" where PS3.6 has none.
        vr: Value representation.
        basic: The Basic Profile's code.
        options: Codes of the options that say something about it.
    """

    tag: int
    name: str
    keyword: str
    vr: str


def _rows(name: str) -> list[dict[str, object]]:
    text = resources.files(__package__).joinpath(f"data/{name}.json").read_text(encoding="utf-8")
    rows: list[dict[str, object]] = json.loads(text)["rows"]
    return rows


def _read_table() -> Iterator[Row]:
    for row in _rows("ps3.15-table-e1-1"):
        tag = str(row["tag"])
        if "odd" in tag:
            continue  # private attributes: `private` decides, by creator
        number = int(tag[1:5].replace("x", "0") + tag[6:10].replace("x", "0"), 16)
        options = row["options"]
        if not isinstance(options, dict):
            raise TypeError("Table E.1-1: a row's options are not a mapping")
        yield Row(
            tag=number,
            name=str(row["name"]),
            keyword=str(row["keyword"]),
            vr=str(row["vr"]),
            basic=Code(str(row["basic_profile"])),
            options=MappingProxyType(
                {_COLUMNS[column]: Code(code) for column, code in options.items() if code}
            ),
        )


TABLE: Mapping[int, Row] = MappingProxyType({row.tag: row for row in _read_table()})


@dataclass(frozen=True, slots=True)
class MethodCode:
    """A code of CID 7050 De-identification Method (PS3.16)."""

    value: str
    scheme: str
    meaning: str


METHOD_CODES: Mapping[str, MethodCode] = MappingProxyType(
    {
        str(row["table_e1_1_column"] or row["code_meaning"]): MethodCode(
            str(row["code_value"]), str(row["scheme_designator"]), str(row["code_meaning"])
        )
        for row in _rows("cid-7050")
    }
)


# Table E.3.10-1: elements that hold no identity, and their VRs.
SAFE_PRIVATE: Mapping[PrivateTag, str] = MappingProxyType(
    {
        PrivateTag(
            int(str(row["tag"])[1:5], 16),
            str(row["private_creator"]),
            int(str(row["tag"])[8:10], 16),
        ): str(row["vr"]).split("/", 1)[0]
        for row in _rows("ps3.15-table-e3-10-1")
    }
)


def _read_concepts() -> Mapping[str, Mapping[str, Concept]]:
    found: dict[str, dict[str, Concept]] = {}
    for row in _rows("ps3.15-table-e3-4-1"):
        options = {
            option: Code(str(row[column])) for column, option in _COLUMNS.items() if row.get(column)
        }
        concept = Concept(Code(str(row["basic_profile"])), MappingProxyType(options))
        for key in (str(row["code_value"]), str(row["code_meaning"]).casefold()):
            found.setdefault(key, {})[str(row["value_type"])] = concept
    return MappingProxyType({key: MappingProxyType(rows) for key, rows in found.items()})


# Table E.3.4-1, by code value and by code meaning in lower case, then by value type.
CONCEPTS: Mapping[str, Mapping[str, Concept]] = _read_concepts()
