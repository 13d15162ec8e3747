"""The value types of node.toml: AE titles, addresses, UIDs, names, paths, the layout.

Each type checks one value and words its own error, without the value where it might be
a secret. What belongs together is checked in `checks`.
"""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from dicomanon_node.config.problems import alternatives, kind, show

# PS3.5 6.2, PS3.8 9.3.2: VR AE, default character repertoire without control characters
# and backslash, at most 16, spaces at both ends insignificant.
_AE_TITLE = re.compile(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?")
# PS3.5 9.1: at most 64 characters, components without leading zeros.
_UID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+")
_MAX_UID_CHARACTERS = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HOST_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?")
_SOURCE_ID = re.compile(r"[!-~]{0,100}")
_KEY = re.compile(r"\s*[0-9A-Fa-f]{64}\s*")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_MAX_CERTIFICATE_NAME = 255

_FIELD = re.compile(r"\{([^{}]*)\}")
_LITERAL = re.compile(r"[A-Za-z0-9._-]*")

LAYOUT_FIELDS = frozenset(
    {
        "study",
        "InstanceNumber",
        "Modality",
        "PatientID",
        "SOPClassUID",
        "SOPInstanceUID",
        "SeriesInstanceUID",
        "SeriesNumber",
        "StudyInstanceUID",
    }
)
"""What `[storage] layout` may name: the study rule's name and de-identified attributes."""


def _ae_title(text: str) -> str:
    if not _AE_TITLE.fullmatch(text):
        raise ValueError(
            f"{show(text)} is no AE title: 1 to 16 printable ASCII characters without "
            "backslash, no space at the ends"
        )
    return text


def _optional_ae_title(text: str) -> str:
    return _ae_title(text) if text else text


def _uid(text: str) -> str:
    if len(text) > _MAX_UID_CHARACTERS or not _UID.fullmatch(text):
        raise ValueError(
            "not a UID: digits and dots, at most 64 characters, no component with a leading zero"
        )
    return text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{show(text)} cannot be a directory's name: 1 to 64 letters, digits, '.', '_' "
            "and '-', the first a letter or digit"
        )
    return text


def _host(text: str) -> str:
    try:
        ip_address(text)
    except ValueError:
        if not _HOST_NAME.fullmatch(text) or re.fullmatch(r"[0-9.]+", text):
            raise ValueError(f"{show(text)} is neither an IP address nor a host name") from None
    return text


def _optional_host(text: str) -> str:
    return _host(text) if text else text


def _source_id(text: str) -> str:
    if not _SOURCE_ID.fullmatch(text):
        raise ValueError(
            f"{show(text)} is no name for the audit: at most 100 printable ASCII characters, no"
            " spaces"
        )
    return text


def _certificate_name(text: str) -> str:
    if not text:
        return text
    prefix, separator, digits = text.partition(":")
    if separator and prefix.lower() == "sha256":
        digits = digits.replace(":", "").lower()
        if not _FINGERPRINT.fullmatch(digits):
            raise ValueError(
                'needs 64 hexadecimal digits after "sha256:", as "openssl x509 -noout '
                '-fingerprint -sha256" shows them'
            )
        return f"sha256:{digits}"
    if not text.isprintable() or text != text.strip() or len(text) > _MAX_CERTIFICATE_NAME:
        raise ValueError("must be a name in a certificate: printable, no space at the ends")
    if _FINGERPRINT.fullmatch(text.replace(":", "").lower()):
        raise ValueError('looks like a fingerprint: write "sha256:" before it')
    if "*" in text:
        raise ValueError("a name is compared as it is: there are no wildcards")
    return text


def _network(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f"must be an IP address or network as text, not {kind(value)}")  # noqa: TRY004  (pydantic turns only ValueError into an error of this field)
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        meant = ip_network(value, strict=False)
    except ValueError:
        raise ValueError(
            f'{show(value)} is no IP address or network: write "192.0.2.7" or "192.0.2.0/24" '
            "(not a host name: who answers for a name may change)"
        ) from None
    raise ValueError(f'{show(value)} has bits set beyond the network: write "{meant}"')


def _path(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f"must be a path as text, not {kind(value)}")  # noqa: TRY004  (as above)
    if not value or not value.isprintable():
        raise ValueError("must be a path, neither empty nor with control characters")
    return Path(value)


def _optional_path(value: object) -> object:
    return None if value == "" else _path(value)


def _key_path(value: object) -> object:
    if isinstance(value, str) and _KEY.fullmatch(value):
        raise ValueError(
            "looks like the key itself: write the key into a file of mode 0600 and name the file "
            "here; take a new key, this one has been in a configuration file"
        )
    return _path(value)


def _optional_key_path(value: object) -> object:
    return None if value == "" else _key_path(value)


def _argument(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("must be text, neither empty nor with a NUL")
    return text


def _hook_url(text: str) -> str:
    """Without the value in any message: the address may hold a token."""
    if not text:
        return text
    try:
        parts = urlsplit(text)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError("is no URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not has_port:
        raise ValueError('must be an address that begins with "http://" or "https://"')
    if parts.username is not None or parts.password is not None:
        raise ValueError("must have no user name and password: hook_key_file signs what is sent")
    if parts.fragment or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must have no spaces, no '#' and ASCII only: write others as %XX")
    return text


def _layout(template: str) -> str:
    fields: list[str] = []
    for component in template.split("/"):
        fields += _FIELD.findall(component)
        if not component or component.startswith("."):
            raise ValueError(
                "must be a relative path: no component may be empty or begin with a dot"
            )
        if not _LITERAL.fullmatch(_FIELD.sub("", component)):
            raise ValueError(
                "only letters, digits, '.', '_', '-', '/' and {fields} in braces are allowed"
            )
    for field in fields:
        if field not in LAYOUT_FIELDS:
            raise ValueError(f"unknown field {show(field)}{alternatives(field, LAYOUT_FIELDS)}")
    if "SOPInstanceUID" not in fields:
        raise ValueError("must contain {SOPInstanceUID}: else instances would share one path")
    return template


_TEXT = {"type": "string"}

AETitle = Annotated[
    str,
    AfterValidator(_ae_title),
    WithJsonSchema(_TEXT | {"minLength": 1, "maxLength": 16, "pattern": f"^{_AE_TITLE.pattern}$"}),
]
OptionalAETitle = Annotated[
    str, AfterValidator(_optional_ae_title), WithJsonSchema(_TEXT | {"maxLength": 16})
]
Uid = Annotated[
    str,
    AfterValidator(_uid),
    WithJsonSchema(_TEXT | {"maxLength": 64, "pattern": f"^{_UID.pattern}$"}),
]
DestinationName = Annotated[
    str, AfterValidator(_name), WithJsonSchema(_TEXT | {"pattern": f"^{_NAME.pattern}$"})
]
Host = Annotated[str, AfterValidator(_host), WithJsonSchema(_TEXT | {"minLength": 1})]
OptionalHost = Annotated[str, AfterValidator(_optional_host), WithJsonSchema(_TEXT)]
SourceId = Annotated[str, AfterValidator(_source_id), WithJsonSchema(_TEXT | {"maxLength": 100})]
OptionalCertificateName = Annotated[
    str, AfterValidator(_certificate_name), WithJsonSchema(_TEXT | {"maxLength": 255})
]
Network = Annotated[
    IPv4Network | IPv6Network, BeforeValidator(_network), WithJsonSchema(_TEXT | {"minLength": 1})
]
FilePath = Annotated[Path, BeforeValidator(_path), WithJsonSchema(_TEXT | {"minLength": 1})]
OptionalPath = Annotated[Path | None, BeforeValidator(_optional_path), WithJsonSchema(_TEXT)]
Argument = Annotated[str, AfterValidator(_argument), WithJsonSchema(_TEXT | {"minLength": 1})]
HookUrl = Annotated[str, AfterValidator(_hook_url), WithJsonSchema(_TEXT)]
OptionalKeyPath = Annotated[Path | None, BeforeValidator(_optional_key_path), WithJsonSchema(_TEXT)]
KeyPath = Annotated[Path, BeforeValidator(_key_path), WithJsonSchema(_TEXT | {"minLength": 1})]
Layout = Annotated[str, AfterValidator(_layout), WithJsonSchema(_TEXT | {"minLength": 1})]

HeldReason = Literal[
    "unparsable",
    "truncated",
    "nested-too-deep",
    "too-many-elements",
    "header-too-large",
    "object-too-large",
    "missing-uid",
    "deflate-limit",
    "uid-mismatch",
    "no-station",
    "no-study",
    "phoenix-report",
    "burned-in",
    "action-failed",
    "leak-found",
    "private-unreadable",
    "internal",
]
"""Code of a refusal that may be held: not those that come of the moment."""
