"""What stations.json and studies.json may say: frozen models, for checking and for schemas.

The shape and meaning are DCMAnonymize's with additions of ours, all optional. Whether a
tag exists and an action fits it is checked in `actions` and `rulefiles`.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel, WithJsonSchema

from dicomanon_node.config.problems import kind


def _fixed_value(value: object) -> object:
    if value is None:
        return None
    values = value if isinstance(value, list) else [value]
    for member in values:
        if isinstance(member, bool) or not isinstance(member, str | int | float):
            raise ValueError(f"must be text, a number or a list of them, not {kind(member)}")  # noqa: TRY004  (pydantic turns only ValueError into an error of this field)
    return value


def _amount(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise ValueError(f"must be a number, not {kind(value)}")  # noqa: TRY004  (as above)
    return value


_SCALAR_SCHEMA = {"type": ["string", "number"]}

FixedValue = Annotated[
    str | int | float | list[str | int | float] | None,
    BeforeValidator(_fixed_value),
    WithJsonSchema({"type": ["string", "number", "array", "null"], "items": _SCALAR_SCHEMA}),
]
Amount = Annotated[
    str | int | float | None,
    BeforeValidator(_amount),
    WithJsonSchema({"type": ["number", "string", "null"]}),
]


class Entry(BaseModel):
    """An object of a rule file: unknown keys are refused, types are not guessed."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


class StationEntry(Entry):
    """How the objects of one station name their study."""

    tag_for_study: Annotated[str, Field(alias="TagForStudy")]
    """Element whose value names the study: keyword, (gggg,eeee) or ggggeeee."""
    split: Annotated[str | None, Field(alias="Split")] = None
    """Separator: the study's name is one part of the value. null: the whole value."""
    split_index: Annotated[int, Field(alias="SplitIndex", ge=0)] = 0
    """Which part, counted from 0."""
    study_split: Annotated[str | None, Field(alias="StudySplit")] = None
    """The same as Split."""
    study_split_index: Annotated[int, Field(alias="StudySplitIndex", ge=0)] = 0
    """The same as SplitIndex."""


class ActionEntry(Entry):
    """What is done with an element. Without an action it is deleted."""

    action: Literal["delete", "clear", "keep", "value", "hash", "regen", "offset"] = "delete"
    """delete removes; clear empties; keep leaves as it is; value sets a fixed value; hash puts \
a keyed hash; regen gives a new UID, or shifts a date by the patient's days; offset shifts by \
whole days, or adds to a number."""
    value: FixedValue = None
    """value: what to set, a list for several values. offset: as delta."""
    delta: Amount = None
    """offset: seconds for DA, TM and DT, a whole number of days; the summand for numbers."""
    salt: Annotated[str | None, Field(repr=False)] = None
    """hash: salt of this rule instead of the study's RandomSeed."""
    seed: Annotated[str | None, Field(repr=False)] = None
    """regen, offset without delta: seed of this rule instead of the study's RandomSeed."""
    entropy_src: Annotated[str | None, Field(repr=False)] = None
    """regen: the same as seed."""


class StudyEntry(Entry):
    """What is done with the objects of one study."""

    profile: Annotated[Literal["basic"] | None, Field(alias="Profile")] = "basic"
    """Floor under the rules: PS3.15 Basic Profile, or null: what is not listed is kept."""
    options: Annotated[tuple[str, ...], Field(alias="Options", strict=False)] = ()
    """Options of PS3.15 Annex E on top of the profile, by name or CID 7050 code."""
    destinations: Annotated[tuple[str, ...] | None, Field(alias="Destinations", strict=False)] = (
        None
    )
    """Names of destinations to forward to; left out: all."""
    outgoing: Annotated[bool, Field(alias="Outgoing")] = True
    """Whether objects are written to the outgoing directory."""
    remove_private_tags: Annotated[bool, Field(alias="RemovePrivateTags")] = True
    """Remove private elements that no rule names."""
    save_private_tags: Annotated[tuple[str, ...], Field(alias="SavePrivateTags", strict=False)] = ()
    """Private elements to keep in spite of it, as (gggg,"CREATOR",ee)."""
    random_seed: Annotated[str | None, Field(alias="RandomSeed", repr=False)] = None
    """Salt of the study: with another salt, hashes, UIDs and shifts are others (secret)."""
    compatibility: Annotated[Literal["dcmanonymize"] | None, Field(alias="Compatibility")] = None
    """Hash and UID formulas of DCMAnonymize; needs RandomSeed."""
    burned_in: Annotated[Literal["refuse", "pass"], Field(alias="BurnedIn")] = "refuse"
    """Objects with Burned In Annotation YES: refuse, or pass as they are."""
    accept_phoenix: Annotated[bool, Field(alias="AcceptPhoenix")] = False
    """Accept Siemens PhoenixZIPReport objects, which hold the protocol as a document."""
    encrypt_originals: Annotated[str | None, Field(alias="EncryptOriginals")] = None
    """Certificate or RSA public key, a PEM file in the configuration directory: what is removed \
or replaced goes along, encrypted for its holder."""
    anonymize_tag: Annotated[dict[str, ActionEntry], Field(alias="AnonymizeTag")] = {}
    """Actions by element: keyword, (gggg,eeee), ggggeeee or (gggg,"CREATOR",ee)."""
    anonymize_vr: Annotated[dict[str, ActionEntry], Field(alias="AnonymizeVR")] = {}
    """Actions by value representation; an element's own action comes first."""


class StationsFile(RootModel[dict[str, StationEntry]]):
    """stations.json: rules by StationName; "default" is for all others."""


class StudiesFile(RootModel[dict[str, StudyEntry]]):
    """studies.json: rules by study name."""
