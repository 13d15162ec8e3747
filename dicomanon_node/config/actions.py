"""From one action of studies.json to a `RuleAction`, checked against the element's VR.

An action that could not be carried out on every valid value of its VR is refused here,
when the node starts, and not when an object of it comes in.
"""

import re
from collections.abc import Callable, Iterable

from dicomanon_node.config import element_values
from dicomanon_node.config.element_values import INTEGER_RANGES, NUMBER_VRS, TEMPORAL_VRS
from dicomanon_node.config.rulemodel import ActionEntry
from dicomanon_node.deid.actions import HASHABLE_VRS
from dicomanon_node.deid.rules import ActionKind, RuleAction

# Of a sequence, the texts in its items are hashed.
_HASHED_VRS = HASHABLE_VRS | {"SQ"}
_REGENERATED_VRS = TEMPORAL_VRS | {"UI"}

_DAY_S = 86_400
_MAX_DAYS = 36_525  # 100 years
_MAX_EXACT = 2**53  # every whole number up to here is a float
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_NOW = re.compile(r"(?:DA|TM|DT)now", re.IGNORECASE)

_PARAMETERS = {
    ActionKind.DELETE: (),
    ActionKind.CLEAR: (),
    ActionKind.KEEP: (),
    ActionKind.VALUE: ("value",),
    ActionKind.HASH: ("salt",),
    ActionKind.REGEN: ("seed", "entropy_src"),
    ActionKind.OFFSET: ("delta", "value", "seed"),
}

# Values that were published with DCMAnonymize: the source's RANDOM_UUID, studies.json,
# random.txt and the examples of its README.
_PUBLISHED_SALTS = frozenset(
    {
        "be76acfcfdb04e64ba7525dbf745fe5f",
        "changeme",
        "arandomseed",
        "arandomstring",
        "string",
    }
)
_INSIGNIFICANT = re.compile(r"[\s_{}-]")


class ActionError(ValueError):
    """An action cannot be used; with the parameter it is about, safe to show."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


def salt_fault(salt: str) -> str | None:
    """Why a salt cannot be used, without showing it; None if it can."""
    if not salt.strip():
        return "is empty: leave it out, or put a random text"
    if _INSIGNIFICANT.sub("", salt).casefold() in _PUBLISHED_SALTS:
        return (
            "is a published value that anybody could use to undo the hashes: put a random "
            "text of your own, or leave it out"
        )
    return None


def compile_action(
    entry: ActionEntry, vr: str | None, multiplicity: str | None = None
) -> RuleAction:
    """Make the rule, or say why it cannot be applied.

    Args:
        entry: The action as written.
        vr: The element's VR; None for a private element whose VR nobody knows.
        multiplicity: The element's VM, where it is known.

    Raises:
        ActionError: The action does not fit the VR, or a parameter is wrong.
    """
    kind = ActionKind(entry.action)
    given = [
        name for name in ("value", "delta", "salt", "seed", "entropy_src") if _has(entry, name)
    ]
    for name in given:
        if name not in _PARAMETERS[kind]:
            taken = ", ".join(_PARAMETERS[kind]) or "none"
            raise ActionError(name, f"{kind} does not use it (parameters of {kind}: {taken})")
    for name in ("salt", "seed", "entropy_src"):
        found = salt_fault(getattr(entry, name)) if name in given else None
        if found:
            raise ActionError(name, found)
    compiler = _COMPILERS.get(kind)
    return compiler(entry, vr, multiplicity) if compiler else RuleAction(kind)


def _has(entry: ActionEntry, parameter: str) -> bool:
    # "value": null says the same as no value (it clears).
    return getattr(entry, parameter) is not None


def _value(entry: ActionEntry, vr: str | None, multiplicity: str | None) -> RuleAction:
    if entry.value is None or entry.value == "":
        return RuleAction(ActionKind.VALUE)
    if vr is None:
        raise ActionError("", "value needs an element whose VR is known")
    if vr not in element_values.SETTABLE_VRS:
        raise ActionError("", f"value cannot be set for {vr}: use delete or clear")
    text = _text_of(entry.value, vr)
    if _NOW.fullmatch(text):
        raise ActionError(
            "value",
            "the time of processing cannot be set: the same object must give the same bytes on "
            "any day. Use regen or offset, or a fixed value",
        )
    found = element_values.fault(vr, text, multiplicity)
    if found:
        raise ActionError("value", found)
    return RuleAction(ActionKind.VALUE, value=text)


def _text_of(value: str | float | list[str | int | float], vr: str) -> str:
    if not isinstance(value, list):
        return value if isinstance(value, str) else repr(value)
    parts = [part if isinstance(part, str) else repr(part) for part in value]
    if any("\\" in part for part in parts):
        raise ActionError("value", "write either a list or one text with backslashes")
    if len(parts) > 1 and vr in ("LT", "ST", "UR", "UT"):
        raise ActionError("value", f"{vr} has one value only (PS3.5 6.4)")
    return "\\".join(parts)


def _hash(entry: ActionEntry, vr: str | None, _: str | None) -> RuleAction:
    if vr is not None and vr not in _HASHED_VRS:
        cure = "regen" if vr in _REGENERATED_VRS else "delete, clear or value"
        raise ActionError("", f"hash gives text, which {vr} cannot hold: use {cure}")
    return RuleAction(ActionKind.HASH, salt=entry.salt)


def _regen(entry: ActionEntry, vr: str | None, _: str | None) -> RuleAction:
    if vr is not None and vr not in _REGENERATED_VRS:
        cure = "hash" if vr in _HASHED_VRS else "delete, clear or value"
        raise ActionError("", f"regen is for UI, DA, TM and DT, not {vr}: use {cure}")
    seed = _one_of(entry, ("seed", "entropy_src"))
    return RuleAction(ActionKind.REGEN, salt=None if seed is None else str(seed))


def _offset(entry: ActionEntry, vr: str | None, _: str | None) -> RuleAction:
    if vr is None:
        raise ActionError("", "offset needs an element whose VR is known")
    if vr not in TEMPORAL_VRS | NUMBER_VRS:
        raise ActionError(
            "",
            f"offset is for dates, times and numbers ({_listed(TEMPORAL_VRS | NUMBER_VRS)}), "
            f"not {vr}",
        )
    written = _one_of(entry, ("delta", "value"))
    parameter = "delta" if entry.delta is not None else "value"
    amount = None if written is None else _number(written, parameter)
    if amount is not None and entry.seed is not None:
        raise ActionError("seed", f"says by how much, as {parameter} does: keep one of them")
    if vr in TEMPORAL_VRS:
        days = None if amount is None else _days(amount, parameter)
        return RuleAction(ActionKind.OFFSET, amount=days, salt=entry.seed)
    if amount is None:
        raise ActionError("", f"offset of {vr} needs delta, the number to add")
    if vr in INTEGER_RANGES and not amount.is_integer():
        raise ActionError(parameter, f"must be a whole number for {vr}")
    return RuleAction(ActionKind.OFFSET, amount=amount)


def _days(seconds: float, parameter: str) -> float:
    days = seconds / _DAY_S
    if seconds % _DAY_S:
        raise ActionError(
            parameter,
            "must be a whole number of days (a multiple of 86400 seconds): DA, TM and DT of an "
            "object must stay coherent",
        )
    if not days:
        raise ActionError(parameter, "0 shifts nothing: use keep if the dates shall stay")
    if abs(days) > _MAX_DAYS:
        raise ActionError(parameter, f"is more than {_MAX_DAYS} days")
    return days


def _number(written: object, parameter: str) -> float:
    if isinstance(written, str) and _NUMBER.fullmatch(written):
        written = float(written)
    if not isinstance(written, int | float):
        raise ActionError(parameter, "must be a number")
    if abs(written) > _MAX_EXACT:
        raise ActionError(parameter, "must be a number below 2^53")
    return float(written)


def _one_of(entry: ActionEntry, names: tuple[str, str]) -> object:
    first, second = (getattr(entry, name) for name in names)
    if first is not None and second is not None and first != second:
        raise ActionError(names[1], f"differs from {names[0]}, which means the same: keep one")
    return second if first is None else first


def _listed(vrs: Iterable[str]) -> str:
    return ", ".join(sorted(vrs))


_COMPILERS: dict[ActionKind, Callable[[ActionEntry, str | None, str | None], RuleAction]] = {
    ActionKind.VALUE: _value,
    ActionKind.HASH: _hash,
    ActionKind.REGEN: _regen,
    ActionKind.OFFSET: _offset,
}
