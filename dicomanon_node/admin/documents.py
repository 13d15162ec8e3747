"""The documents of the API: what each field is called, holds and means.

The OpenAPI document is made from these, and the pages show the same.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Document(BaseModel):
    """Something the API answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _means(text: str) -> object:
    return Field(description=text)


class Readiness(Document):
    """Whether the node takes objects."""

    ready: Annotated[bool, _means("Whether it does")]
    reasons: Annotated[
        list[str],
        _means(
            "Why not: starting, draining, no-receiver, disk-full, spool-unavailable, queue-full"
        ),
    ]


class Throughput(Document):
    """What came, on average of the last minute, and since the console was started."""

    stored_per_s: Annotated[float, _means("Instances stored a second, last minute")]
    stored_bytes_per_s: Annotated[float, _means("Bytes stored a second, last minute")]
    refused_per_s: Annotated[float, _means("Instances refused a second, last minute")]
    delivered_per_s: Annotated[float, _means("Instances delivered a second, last minute")]
    stored: Annotated[int, _means("Instances stored, duplicates included")]
    stored_bytes: Annotated[int, _means("Their data sets, bytes")]
    refused: Annotated[int, _means("Instances refused")]


class Association(Document):
    """An association that is open."""

    association: Annotated[str, _means("Its identifier, as in the log")]
    calling_aet: Annotated[str, _means("The requestor's AE title, as it sent it, escaped")]
    called_aet: Annotated[str, _means("AE title it asked for, escaped")]
    peer: Annotated[str, _means("Its address")]
    opened: Annotated[str, _means("Since when, UTC")]
    stored: Annotated[int, _means("Instances stored so far")]
    refused: Annotated[int, _means("Instances refused so far")]
    bytes: Annotated[int, _means("Data sets stored so far, bytes")]


class Destination(Document):
    """A destination: how deliveries go, what waits, what failed."""

    destination: Annotated[str, _means("Its name")]
    kind: Annotated[str, _means("dicom or folder")]
    state: Annotated[str, _means("up, down, or idle: nothing was tried since the start")]
    since: Annotated[str | None, _means("Since when it is up or down, UTC, if that was told")]
    reason: Annotated[str | None, _means("Why it is down")]
    waiting: Annotated[int, _means("Instances in its queue")]
    oldest_s: Annotated[float | None, _means("How long the oldest has waited, seconds")]
    failed: Annotated[int, _means("Instances in failed/")]
    sent: Annotated[int, _means("Instances delivered since the console was started")]
    sent_bytes: Annotated[int, _means("Their data sets, bytes")]
    deferred: Annotated[int, _means("Times it did not take one and is asked again")]
    last_sent: Annotated[str | None, _means("When it took the last one, UTC")]
    readable: Annotated[bool, _means("Whether its directories in the spool can be read")]


class Progress(Document):
    """How far a study has come at a destination."""

    destination: Annotated[str, _means("Its name")]
    delivered: Annotated[int, _means("Instances of the study it has taken")]
    failed: Annotated[int, _means("Instances of the study it has refused for good")]


class Study(Document):
    """What has come of a study. Identifiers are those of the de-identified objects."""

    study: Annotated[str, _means("Study whose rules apply")]
    study_uid: Annotated[str, _means("New Study Instance UID")]
    calling_aet: Annotated[str, _means("AE title that sent the first of it, escaped")]
    rules: Annotated[str, _means("Digest of the rules that were in force")]
    by_default: Annotated[bool, _means("No rule named the study, the default was taken")]
    first: Annotated[str, _means("When the first instance was stored, UTC")]
    last: Annotated[str, _means("When the last instance was stored, UTC")]
    quiet: Annotated[bool, _means("Nothing more has come for a while")]
    series: Annotated[int, _means("Different series")]
    instances: Annotated[int, _means("Different instances stored")]
    duplicates: Annotated[int, _means("Instances that came once more, alike or changed")]
    bytes: Annotated[int, _means("Data sets, bytes")]
    queued: Annotated[int, _means("Deliveries that are to be made, all destinations together")]
    progress: Annotated[list[Progress], _means("By destination")]


class Refusal(Document):
    """A refused instance."""

    time: Annotated[str, _means("When, UTC")]
    study: Annotated[str | None, _means("Study whose rules applied, if one was found")]
    calling_aet: Annotated[str | None, _means("The requestor's AE title, escaped")]
    status: Annotated[str | None, _means("Status word it was answered")]
    reason: Annotated[str, _means("Reason code, as in docs/status.md")]
    tag: Annotated[str | None, _means("Element at which it happened")]
    sop_class: Annotated[str | None, _means("SOP class")]
    meaning: Annotated[str, _means("The reason in words")]
    cure: Annotated[str, _means("What to do")]


class RefusalCount(Document):
    """How many instances were refused for a reason."""

    study: Annotated[str, _means("Study, or - where none was found")]
    reason: Annotated[str, _means("Reason code")]
    status: Annotated[str, _means("Status word")]
    count: Annotated[int, _means("How many since the console was started")]
    meaning: Annotated[str, _means("The reason in words")]
    cure: Annotated[str, _means("What to do")]


class Refusals(Document):
    """Refused instances: how many, and the last ones."""

    counts: Annotated[list[RefusalCount], _means("By study and reason, the most first")]
    last: Annotated[list[Refusal], _means("The last ones, newest first")]


class Failure(Document):
    """A delivery that failed for good."""

    destination: Annotated[str, _means("Destination that refused it")]
    entry: Annotated[str, _means("Its name in failed/")]
    reason: Annotated[str, _means("Reason code")]
    status: Annotated[str | None, _means("The destination's status word")]
    attempts: Annotated[int, _means("How often it was tried")]
    time: Annotated[str | None, _means("When it was given up, UTC")]
    bytes: Annotated[int, _means("The file, bytes")]
    meaning: Annotated[str, _means("The reason in words")]
    cure: Annotated[str, _means("What to do")]


class Failures(Document):
    """Deliveries that failed for good."""

    total: Annotated[int, _means("How many there are")]
    entries: Annotated[list[Failure], _means("The oldest of each destination")]


class Held(Document):
    """A refused object in the hold; what its label says, never what is in it."""

    entry: Annotated[str, _means("Its random name, for dicomanon-node hold")]
    time: Annotated[str, _means("When it was held, UTC")]
    reason: Annotated[str, _means("Reason code: why it stays")]
    study: Annotated[str | None, _means("Study whose rules applied, if one was found")]
    calling_aet: Annotated[str, _means("AE title that sent it, escaped")]
    tag: Annotated[str | None, _means("Element at which it happened")]
    bytes: Annotated[int, _means("Its data set, bytes")]
    meaning: Annotated[str, _means("The reason in words")]
    cure: Annotated[str, _means("What to do")]


class Holds(Document):
    """Refused objects in the hold."""

    enabled: Annotated[bool, _means("Whether refused objects are held")]
    total: Annotated[int, _means("How many are there")]
    entries: Annotated[list[Held], _means("The oldest of them")]


class Overview(Document):
    """The node at a glance."""

    version: Annotated[str, _means("Version of the node")]
    rules: Annotated[str, _means("Digest of the rules in force")]
    ae_title: Annotated[str, _means("Our first AE title")]
    readiness: Annotated[Readiness, _means("Whether it takes objects")]
    throughput: Annotated[Throughput, _means("What comes")]
    associations: Annotated[int, _means("Associations that are open")]
    studies: Annotated[int, _means("Studies that came since the console was started")]
    free_bytes: Annotated[int | None, _means("Room on the spool's file system, bytes")]
    last_stored: Annotated[str | None, _means("When the last instance was stored, UTC")]
    lines_lost: Annotated[int, _means("Log lines the console did not hear: counts are too low")]
    destinations: Annotated[list[Destination], _means("All destinations")]


class RuleRow(Document):
    """What a study does about a row of Table E.1-1."""

    tag: Annotated[str, _means("As the table writes it")]
    name: Annotated[str, _means("Attribute name")]
    vr: Annotated[str, _means("Its VR")]
    code: Annotated[str, _means("What the profile says, under the study's options")]
    option: Annotated[str | None, _means("The option that says so")]
    state: Annotated[str, _means("covered, overridden or uncovered")]
    action: Annotated[str, _means("What is done, in words")]
    weaker: Annotated[bool, _means("More of the original stays than the profile would leave")]


class Rules(Document):
    """The rules of a study against Table E.1-1."""

    study: Annotated[str, _means("Its name")]
    profile: Annotated[str | None, _means("basic, or null")]
    options: Annotated[list[str], _means("Its options")]
    counts: Annotated[dict[str, int], _means("Rows by state")]
    rows: Annotated[list[RuleRow], _means("Every row of Table E.1-1")]


class Configuration(Document):
    """The configuration in force. Secrets are in none of it."""

    digest: Annotated[str, _means("Digest of the rules in force, as in the log")]
    node: Annotated[dict[str, object], _means("node.toml with environment and --set over it")]
    description: Annotated[list[str], _means("All of it in words, as dicomanon-node check says it")]


class LogLine(Document):
    """A line of the log."""

    number: Annotated[int, _means("Grows from line to line")]
    line: Annotated[dict[str, object], _means("The line, as docs/logs.md describes it")]


class Retried(Document):
    """What was put back into a queue."""

    retried: Annotated[int, _means("How many entries")]


class Alive(Document):
    """The console runs."""

    alive: Annotated[bool, _means("Always true")]


class Problem(Document):
    """Why there is no answer."""

    error: Annotated[str, _means("A fixed sentence")]
