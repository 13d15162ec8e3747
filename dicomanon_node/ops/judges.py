"""Judges: what a value must look like to be written to a log.

Each judge takes any object and returns something that is safe to write: the value
itself, an escaped form of it, or `INVALID`. A judge never raises, never calls a
method of an object it does not know (no `str()`, no `repr()` of strangers) and never
returns more than `longest` characters of JSON, so that a line fits into one atomic
write. Judges do not know which event a value belongs to: that is `events`.
"""

import errno
import ipaddress
import json
import math
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from dicomanon_node.deid.standard import UID_dictionary
from dicomanon_node.errors import Reason

Value = str | int | float | bool

INVALID = "invalid"  # not of the form it must have
UNLISTED = "unlisted"  # a name that the configuration does not hold

MAX_UID_LENGTH = 64  # PS3.5 9.1
MAX_AE_TITLE_LENGTH = 16  # PS3.5 6.2, VR AE
MAX_NUMBER = 2**63 - 1  # what JSON readers can be trusted with
_MAX_STATUS = 0xFFFF
_MAX_TAG = 0xFFFFFFFF

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_WORD = re.compile(r"[a-z0-9-]{1,40}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9._-]{1,40}")
_HEX = re.compile(r"[0-9a-f]{1,64}")
_HOST = re.compile(r"[A-Za-z0-9.:_-]{1,253}")  # RFC 1035 2.3.4
_VERSION = re.compile(r"[0-9A-Za-z.+!-]{1,40}")
_STATUS = re.compile(r"[0-9A-F]{4}H")
_DOTTED_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}(?:\.[A-Za-z_][A-Za-z0-9_]{0,39}){0,3}")
_CLASS_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")

_MAX_FRAMES = 6
_PACKAGE = str(Path(__file__).parent.parent) + os.sep
# Keywords instead of numbers: `CTImageStorage` (PS3.6 A).
_UID_KEYWORDS = {uid: entry[4] for uid, entry in UID_dictionary.items() if entry[4]}


@dataclass(frozen=True, slots=True)
class Judge:
    """A form of value.

    Attributes:
        form: What passes, in words for the reference.
        kind: JSON type of what is written.
        longest: Most characters of JSON that `accept` returns.
        accept: Any object in, something safe out.
    """

    form: str
    kind: str
    longest: int
    accept: Callable[[object], Value]


def escape(text: str) -> str:
    r"""Make text printable: no control character, no line break, no direction change.

    What is not printable becomes `\xNN`, `\uNNNN` or `\UNNNNNNNN`, a backslash becomes
    two, so that what was there can still be told.
    """
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        character
        if character.isprintable() and character != "\\"
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def _cut(text: str, longest: int) -> str:
    """Cut escaped text so that it takes at most `longest` characters of JSON."""
    if len(json.dumps(text)) <= longest:
        return text
    room = longest - len('"..."')
    kept = 0
    for character in text:
        room -= len(json.dumps(character)) - 2
        if room < 0:
            break
        kept += 1
    return text[:kept] + "..."


def _matching(pattern: re.Pattern[str], form: str, longest: int) -> Judge:
    """A judge for text that must match as a whole, or is not written at all."""

    def accept(value: object) -> str:
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        return INVALID

    return Judge(form, "string", longest + 2, accept)


def _text(longest: int) -> Judge:
    def accept(value: object) -> str:
        # Escaping grows text at most tenfold and never shrinks it: cut first, so that a
        # hostile length costs nothing.
        return _cut(escape(value[:longest]), longest) if isinstance(value, str) else INVALID

    return Judge(
        f"text of this program, printable, at most {longest} characters", "string", longest, accept
    )


def _accept_uid(value: object) -> str:
    if isinstance(value, str) and len(value) <= MAX_UID_LENGTH and _UID.fullmatch(value):
        return value
    return INVALID


class KnownUids:
    """A judge of UIDs of classes and syntaxes: those of PS3.6, and those the node accepts.

    A requestor may announce any UID as a SOP class, that of a patient's study too. One that
    nobody has listed is not written, however well it is formed.
    """

    def __init__(self) -> None:
        self._listed: frozenset[str] = frozenset()

    def allow(self, uids: Iterable[str]) -> None:
        """Replace the UIDs that pass beside those of PS3.6 A."""
        self._listed = frozenset(uid for uid in uids if _accept_uid(uid) == uid)

    def __call__(self, value: object) -> str:
        """The keyword or the listed UID, `UNLISTED`, or `INVALID` if it is no UID."""
        uid = _accept_uid(value)
        keyword = _UID_KEYWORDS.get(uid)
        if keyword is not None:
            return keyword
        return uid if uid in self._listed or uid == INVALID else UNLISTED


def _accept_ae_title(value: object) -> str:
    if not isinstance(value, str):
        return INVALID
    title = value[:MAX_AE_TITLE_LENGTH]
    if title.isascii():
        return escape(title)
    return escape(title).encode("ascii", "backslashreplace").decode("ascii")


def _accept_address(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_UID_LENGTH:
        return INVALID
    try:
        # A scope ("%eth0") is free text to `ipaddress`.
        return ipaddress.ip_address(value.partition("%")[0]).compressed
    except ValueError:
        return INVALID


def _accept_count(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return min(int(value), MAX_NUMBER)
    return INVALID


def _accept_integer(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-MAX_NUMBER, min(int(value), MAX_NUMBER))
    return INVALID


def _accept_duration(value: object) -> float | str:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return INVALID
    if isinstance(value, float) and not math.isfinite(value):
        return INVALID
    return round(min(max(value, 0), MAX_NUMBER) * 1.0, 1)


def _accept_flag(value: object) -> bool | str:
    return value if isinstance(value, bool) else INVALID


def _accept_status(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_STATUS:
        return f"{int(value):04X}H"
    if isinstance(value, str) and _STATUS.fullmatch(value):
        return value
    return INVALID


def _accept_tag(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_TAG:
        number = int(value)
        return f"({number >> 16:04X},{number & 0xFFFF:04X})"
    return INVALID


def _accept_reason(value: object) -> str:
    if isinstance(value, Reason):
        return value.code
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    return INVALID


def _accept_error(value: object) -> str:
    """Class and own source lines of an exception. Never its text: it may hold a value."""
    if not isinstance(value, BaseException):
        return INVALID
    name = type(value).__name__
    words = name if _CLASS_NAME.fullmatch(name) else INVALID
    if isinstance(value, OSError) and value.errno is not None:
        words += f"[{errno.errorcode.get(value.errno, INVALID)}]"
    frames = []
    traceback = value.__traceback__
    while traceback is not None:
        source = traceback.tb_frame.f_code.co_filename
        if source.startswith(_PACKAGE):
            frames.append(f"{source.removeprefix(_PACKAGE)}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    if frames:
        words += " at " + " < ".join(reversed(frames[-_MAX_FRAMES:]))
    return _cut(escape(words), 400)


class ConfiguredNames:
    """A judge that passes only names the configuration holds.

    Until `allow` is called nothing passes. A value of an object can look like a
    study's name; it is not one unless somebody wrote it into the configuration.
    """

    LONGEST = 200

    def __init__(self) -> None:
        self._written: dict[str, str] = {}

    def allow(self, names: Iterable[str]) -> None:
        """Replace the names that pass."""
        self._written = {name: _cut(escape(name), self.LONGEST) for name in names}

    def __call__(self, value: object) -> str:
        """The name as it is written, or `UNLISTED`."""
        return self._written.get(value, UNLISTED) if isinstance(value, str) else INVALID


study_names = ConfiguredNames()
destination_names = ConfiguredNames()
known_uids = KnownUids()

_NAME_LONGEST = ConfiguredNames.LONGEST
UID = Judge("UID: digits and dots, at most 64", "string", 66, _accept_uid)
KNOWN_UID = Judge(
    f'keyword of PS3.6 A, or a UID the node accepts, else "{UNLISTED}"',
    "string",
    80,
    known_uids,
)
AE_TITLE = Judge(
    "AE title: ASCII, cut at 16 characters, the rest escaped", "string", 178, _accept_ae_title
)
ADDRESS = Judge("IP address", "string", 48, _accept_address)
STUDY = Judge(f'configured name, else "{UNLISTED}"', "string", _NAME_LONGEST, study_names)
DESTINATION = Judge(
    f'configured name, else "{UNLISTED}"', "string", _NAME_LONGEST, destination_names
)
WORD = _matching(_WORD, "fixed word: a-z, 0-9, hyphen", 40)
IDENTIFIER = _matching(_IDENTIFIER, "fixed name: letters, digits, dot, hyphen, underscore", 40)
HEX = _matching(_HEX, "hexadecimal digits", 64)
HOST = _matching(_HOST, "host name or address, as configured", 253)
VERSION = _matching(_VERSION, "version number", 40)
LOGGER = _matching(_DOTTED_NAME, "dotted name of a Python logger", 163)
STATUS = Judge("status word: 4 hexadecimal digits and H", "string", 9, _accept_status)
TAG = Judge("tag: (gggg,eeee)", "string", 13, _accept_tag)
REASON = Judge("fixed word: a-z, 0-9, hyphen", "string", 42, _accept_reason)
ERROR = Judge("exception class and source lines of this program", "string", 400, _accept_error)
COUNT = Judge("whole number, not negative", "integer", 19, _accept_count)
INTEGER = Judge("whole number", "integer", 20, _accept_integer)
DURATION = Judge("number, not negative, one decimal", "number", 22, _accept_duration)
FLAG = Judge("true or false", "boolean", 9, _accept_flag)
SHORT_TEXT = _text(120)
PATH_TEXT = _text(400)
MESSAGE_TEXT = _text(1200)
