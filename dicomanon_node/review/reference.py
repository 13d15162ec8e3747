"""What the product does with each attribute, as Markdown, made from the program.

`docs/deid.md` holds it after a marker line; a test asserts that it is up to date.
To write it anew: `python -m dicomanon_node.review.reference docs/deid.md`.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from dicomanon_node.config.options import CODES
from dicomanon_node.deid import dates, dictionary, dummies, labels
from dicomanon_node.deid.dictionary import format_tag
from dicomanon_node.deid.floor import CLASS_UID_TAGS, IDENTIFYING_TAGS, SPEAKING_TAGS
from dicomanon_node.deid.identity import SOURCE_TAGS
from dicomanon_node.deid.plan import AVAILABLE_OPTIONS
from dicomanon_node.deid.pseudonyms import KEY_BYTES, Key, Pseudonyms
from dicomanon_node.deid.rules import Option, PrivateTag
from dicomanon_node.deid.table import (
    CONCEPTS,
    METHOD_CODES,
    SAFE_PRIVATE,
    TABLE,
    TABLE_EDITION,
    Code,
)
from dicomanon_node.ops.generated import made_anew
from dicomanon_node.review import coverage, facts, forms
from dicomanon_node.review.markdown import table

MARKER: Final = (
    "<!-- Below this line: made by `python -m dicomanon_node.review.reference docs/deid.md` -->\n"
)
_DATE_OPTIONS: Final = (
    (),
    (Option.RETAIN_LONGITUDINAL_FULL_DATES,),
    (Option.RETAIN_LONGITUDINAL_MODIFIED_DATES,),
)
_SHIFTED: Final = (
    ("DA", "20240229"),
    ("DA", "2024.02.29"),
    ("DA", "20230229"),
    ("DA", "unknown"),
    ("DA", "20240101\\20240102"),
    ("DT", "2024"),
    ("DT", "202403"),
    ("DT", "20240301120000.123456+0100"),
)
_SHIFT_DAYS: Final = -100
_TEMPORAL: Final = ("DA", "DT", "TM")


def render_markdown() -> str:
    """All sections."""
    sections = (
        ("Profile and options", _options()),
        ("Action codes", _codes()),
        ("Attributes met in a way of their own", _special()),
        ("Dummy values", _dummies()),
        ("Identifiers", _identifiers()),
        ("Dates and times", _dates()),
        ("What Table E.1-1 does not list", _unlisted()),
        ("Private elements", _private()),
        ("Structured content", _structured()),
        ("The leak guard", _guard()),
        ("Labels", _labels()),
        ("Refusals", forms.refusals_section()),
        ("What explain prints", forms.explain_section()),
        ("What coverage prints", forms.coverage_section()),
        ("The crosswalk", forms.crosswalk_section()),
        ("Every attribute of Table E.1-1", _attributes()),
    )
    return "".join(f"\n## {name}\n\n" + "\n".join(lines) + "\n" for name, lines in sections)


def updated(document: str) -> str:
    """The document with everything after the marker made anew.

    Raises:
        ValueError: If the document has no marker line.
    """
    return made_anew(document, MARKER, render_markdown())


def _options() -> Iterator[str]:
    rows_of = {
        option: [row for row in TABLE.values() if option in row.options] for option in Option
    }
    codes = {option: code for code, option in CODES.items()}
    yield (
        f"PS3.15 {TABLE_EDITION}. An option comes before the profile; where two options speak of an"
        " attribute, keeping (K) comes before cleaning (C). A study that names an option that is"
        " not available is a configuration error."
    )
    yield ""
    rows = []
    for option in sorted(Option, key=lambda option: codes[option]):
        available = option in AVAILABLE_OPTIONS
        done = Counter(facts.by_option(row, option) for row in rows_of[option])
        words = [f"{name} ({count})" for name, count in done.most_common() if name]
        if option is Option.RETAIN_SAFE_PRIVATE and available:
            words = [f"{len(SAFE_PRIVATE)} private elements kept"]
        rows.append(
            (
                f"`{option}`",
                codes[option],
                "yes" if available else "no",
                facts.SHORT_OPTIONS.get(option, ""),
                ", ".join(words),
            )
        )
    head = ("option", "CID 7050", "available", "short", "what becomes of the attributes it names")
    yield from table(head, rows)


def _codes() -> Iterator[str]:
    yield (
        "What the codes of the Basic Profile do, by VR. Of a compound code, the attribute's Type in"
        " the object's IOD (PS3.3) chooses; where the IOD is not known, the choice is one that"
        " keeps every IOD valid. Rows that are met in a way of their own are in the next table."
    )
    yield ""
    special = {row.tag for row, _ in facts.special_rows()}
    rows = []
    for code in Code:
        for kind, vrs in _kinds():
            of_kind = [
                row
                for row in TABLE.values()
                if row.basic is code and row.vr in vrs and row.tag not in special
            ]
            if not of_kind:
                continue
            unknown = Counter(
                coverage.described(facts.plan().decide(row.tag, row.vr)) for row in of_kind
            )
            by_type = ["", "", ""]
            if facts.is_compound(code):
                by_type = facts.by_type(of_kind[0], code)
            cells = ", ".join(name for name, _ in unknown.most_common())
            rows.append((f"`{code}`", kind, len(of_kind), *by_type, cells))
    head = ("code", "VR", "rows", "Type 3", "Type 2", "Type 1", "any Type, or IOD not known")
    yield from table(head, rows)


def _kinds() -> Iterator[tuple[str, frozenset[str]]]:
    sequences, uids = frozenset({"SQ"}), frozenset({"UI"})
    yield "SQ", sequences
    yield "UI", uids
    yield "others", frozenset(row.vr for row in TABLE.values()) - sequences - uids


def _special() -> Iterator[str]:
    cleaning = (Option.CLEAN_STRUCTURED_CONTENT, Option.CLEAN_GRAPHICS)
    options = tuple(option for option in cleaning if option in AVAILABLE_OPTIONS)
    characteristics = Option.RETAIN_PATIENT_CHARACTERISTICS
    rows: dict[int, dict[tuple[Option, ...], str]] = {}
    for chosen in ((), options, (characteristics,)):
        for row, decision in facts.special_rows(*chosen):
            rows.setdefault(row.tag, {})[chosen] = coverage.described(decision)
    yield from table(
        ("attribute", "profile", *(f"`{option}`" for option in (*options, characteristics))),
        [
            (
                f"{TABLE[tag].name} {format_tag(tag)}",
                facts.basic(TABLE[tag]),
                *(facts.by_option(TABLE[tag], option) for option in (*options, characteristics)),
            )
            for tag in sorted(rows)
        ],
    )


def _dummies() -> Iterator[str]:
    yield "Where a value must be there. They have no letters where the VR allows that."
    yield ""
    shown = []
    for vr in sorted(dictionary.VRS - {"SQ", "UI"}):
        dummy = dummies.dummy(vr)
        text = f"{len(dummy)} zero bytes" if not dummy.strip(b"\0") else f"`{dummy.decode()}`"
        shown.append((vr, text))
    rows = [(" ".join(vrs), text) for text, vrs in facts.grouped(shown).items()]
    yield from table(("VR", "dummy"), rows)


def _identifiers() -> Iterator[str]:
    made = Pseudonyms(Key(bytes(range(KEY_BYTES))))
    yield (
        "All are keyed functions (HMAC-SHA256 under the node's key, in the scope of the study's"
        " RandomSeed), so the same identifier always becomes the same, and who has no key cannot"
        " try out guesses. With a key of the bytes 0 to 31:"
    )
    yield ""
    yield from table(
        ("of", "becomes"),
        [
            ("Patient ID `EXAMPLE`", f"`{made.patient(b'EXAMPLE')}`"),
            ("UID `2.25.1`", f"`{made.uid(b'2.25.1').decode()}`"),
            ("UID `1.2.840.10008.5.1.4.1.1.2`, the standard's own", "itself"),
            ("text `example`, by the action `hash`", f"`{made.text('example')}`"),
        ],
    )
    yield ""
    yield (
        "UI attributes that name a class, a syntax or a vocabulary stay, unless they hold one of"
        " the object's own UIDs or are malformed:"
    )
    yield ""
    yield from _names(CLASS_UID_TAGS)


def _dates() -> Iterator[str]:
    yield (
        "DA, DT and TM that Table E.1-1 does not list, or lists with C under the option for"
        " modified dates; (0028,0303) says of each object what happened:"
    )
    yield ""
    rows = []
    for options in _DATE_OPTIONS:
        plan = facts.plan(*options)
        words = [coverage.described(plan.decide(facts.unlisted()[vr][0], vr)) for vr in _TEMPORAL]
        rows.append((f"`{options[0]}`" if options else "none", *words))
    yield from table(("option", *_TEMPORAL), rows)
    yield ""
    made = Pseudonyms(Key(bytes(range(KEY_BYTES))))
    shifts = {-made.days(b"%d" % number) for number in range(40_000)}
    yield (
        f"A shift is the same whole number of days for all of a patient, {min(shifts)} to"
        f" {max(shifts)} into the past. Times of day stay, so a date is not torn from its time and"
        f" intervals are exact. By {-_SHIFT_DAYS} days:"
    )
    yield ""
    yield from table(
        ("VR", "before", "after"),
        [(vr, f"`{text}`", _shifted(vr, text)) for vr, text in _SHIFTED],
    )


def _shifted(vr: str, text: str) -> str:
    after = dates.shift_values(text.encode(), vr, _SHIFT_DAYS).decode()
    return f"`{after}`" if after else "empty"


def _unlisted() -> Iterator[str]:
    yield "With the profile, by VR; without it, they stay. What PS3.6 does not know is removed."
    yield ""
    plan = facts.plan()
    said = []
    for vr, tags in sorted(facts.unlisted().items()):
        done = Counter(coverage.described(plan.decide(tag, vr)) for tag in tags).most_common()
        counted = [f"{words} ({count})" for words, count in done]
        said.append((vr, done[0][0] if len(done) == 1 else "; ".join(counted)))
    rows = [(" ".join(vrs), words) for words, vrs in facts.grouped(said).items()]
    yield from table(("VR", "what is done"), rows)
    for named in (IDENTIFYING_TAGS, SPEAKING_TAGS):
        words = {coverage.described(plan.decide(tag, dictionary.vr_of(tag) or "")) for tag in named}
        yield ""
        yield f"Named one by one ({', '.join(sorted(words))}):"
        yield ""
        yield from _names(named)


def _private() -> Iterator[str]:
    plan = facts.keeping_plan()
    some = PrivateTag(0x0009, "SOMEBODY", 0x01)
    said = [
        (vr, coverage.described(plan.decide_private(some, 0x00091001, vr)))
        for vr in sorted(dictionary.VRS)
    ]
    yield (
        "A private element is known by its group, its creator and its number's low byte, never by"
        " the block it happens to be in. It is removed unless the study names it, keeps all"
        " (`RemovePrivateTags` false), or retains safe ones. Of those that stay:"
    )
    yield ""
    rows = [(" ".join(vrs), words) for words, vrs in facts.grouped(said).items()]
    yield from table(("VR", "what is done"), rows)
    yield ""
    yield (
        "A maker's own format in one of them is read and written again field by field: a field that"
        " repeats a standard attribute gets what is done with that attribute. What should be such a"
        " format and cannot be read is removed."
    )
    yield ""
    state = "are kept" if Option.RETAIN_SAFE_PRIVATE in AVAILABLE_OPTIONS else "would be kept"
    yield f"Elements of Table E.3.10-1, which {state} by `{Option.RETAIN_SAFE_PRIVATE}`:"
    yield ""
    counts = Counter(tag.creator for tag in SAFE_PRIVATE)
    yield from table(
        ("private creator", "elements"),
        [(f"`{creator}`", count) for creator, count in sorted(counts.items())],
    )


def _structured() -> Iterator[str]:
    option = Option.CLEAN_STRUCTURED_CONTENT
    available = "" if option in AVAILABLE_OPTIONS else " It is not available."
    yield (
        f"`{option}` judges content items by their concept name, after Table E.3.4-1.{available}"
        " Its codes, for one value type of a concept each:"
    )
    yield ""
    concepts = {
        id(concept): (value_type, concept.basic)
        for rows in CONCEPTS.values()
        for value_type, concept in rows.items()
    }
    counts = Counter(concepts.values())
    kinds = sorted({value_type for value_type, _ in counts})
    used = [code for code in Code if any(found is code for _, found in counts)]
    yield from table(
        ("value type", *(f"`{code}`" for code in used)),
        [(kind, *(counts[kind, code] or "" for code in used)) for kind in kinds],
    )


def _guard() -> Iterator[str]:
    yield (
        "With the profile, each object's own identifiers are searched for in what is about to be"
        " written. Where one is found, text loses it and keeps its other words, anything else goes;"
        " what may not go refuses the object. Searched for are all person names (VR PN), the UIDs"
        " that were replaced, and, unless a rule keeps them on purpose, the values of:"
    )
    yield ""
    yield from _names(SOURCE_TAGS)


def _labels() -> Iterator[str]:
    yield "Written into every object, from what was done to it; earlier methods stay:"
    yield ""
    yield from _names(labels.LABEL_TAGS)
    yield ""
    yield "Codes of CID 7050 that (0012,0064) may have:"
    yield ""
    yield from table(
        ("code", "scheme", "meaning"),
        [
            (code.value, code.scheme, code.meaning)
            for code in sorted(METHOD_CODES.values(), key=lambda code: code.value)
        ],
    )


def _attributes() -> Iterator[str]:
    shorts = ", ".join(
        f"{short}{'' if option in AVAILABLE_OPTIONS else ' (not available)'}"
        for option, short in facts.SHORT_OPTIONS.items()
    )
    yield (
        f"All {len(TABLE)} rows of edition {TABLE_EDITION} but that of private attributes. Of a"
        " compound code, what is done is in the order of Type 3, 2 and 1. Columns of the options by"
        f" their short names: {shorts}."
    )
    yield ""
    rows = [
        (
            coverage.tag_of(row),
            row.name,
            row.vr,
            row.basic,
            facts.basic(row),
            "; ".join(_option_cell(row.tag, option) for option in Option if option in row.options),
        )
        for row in sorted(TABLE.values(), key=lambda row: row.tag)
    ]
    yield from table(("tag", "attribute", "VR", "code", "what is done", "options"), rows)


def _option_cell(tag: int, option: Option) -> str:
    row = TABLE[tag]
    done = facts.by_option(row, option)
    return f"{facts.SHORT_OPTIONS[option]} {row.options[option]}{f': {done}' if done else ''}"


def _names(tags: Iterable[int]) -> Iterator[str]:
    yield ", ".join(f"{facts.name_of(tag)} {format_tag(tag)}" for tag in sorted(tags)) + "."


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")
