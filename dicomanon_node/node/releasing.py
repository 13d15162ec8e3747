"""Held objects on their way out: through today's rules, or to a person who may see them.

A released object goes the way of one that comes in, by the same engine into the same
outgoing tree and queues, whether the node runs or not; only then its entry goes. Run
twice, or killed in between, it is stored once. Nothing identified is written but by
`export`, on purpose.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from dicomanon_node.config import Config
from dicomanon_node.config.model import FolderDestination
from dicomanon_node.config.secrets import read_key
from dicomanon_node.deid.labels import file_meta
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.errors import Reason, Refused
from dicomanon_node.hold.area import Area
from dicomanon_node.hold.entry import Entry, Held
from dicomanon_node.hold.label import Contents
from dicomanon_node.hold.notes import Notes
from dicomanon_node.hold.sealing import SealError
from dicomanon_node.network.service import AssociationFacts, StoreRequest
from dicomanon_node.network.supported import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES
from dicomanon_node.node import build
from dicomanon_node.ops.studies import InstanceFact
from dicomanon_node.receive import ReceivedInstance, Receiver
from dicomanon_node.spool import preparation
from dicomanon_node.spool.medium import Medium

_MODE: Final = 0o700
_EXPORT_MODE: Final = 0o600
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Ending = Literal["released", "kept", "gone", "busy", "unreadable"]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an entry.

    Attributes:
        ending: `released` is done; `kept` is refused again; `gone` was ended by somebody
            else, `busy` is in somebody else's hands, `unreadable` cannot be opened.
        code: Why it is `kept` or `unreadable`.
    """

    ending: Ending
    code: str = ""


def area_of(config: Config) -> Area:
    """The hold of a configuration, enabled or not. Makes no key.

    Raises:
        ConfigError: A key cannot be read.
    """
    return build.hold(config, Key(read_key(config.node.secrets.key_file)))[0].area


class Releaser:
    """Releases entries, while entered. Not thread-safe; several may run.

    Args:
        config: The configuration of today.
        area: The hold.
    """

    def __init__(self, config: Config, area: Area) -> None:
        self._config = config
        self._area = area
        self._notes = Notes(area)
        self._resources = ExitStack()
        self._sop_classes = STORAGE_SOP_CLASSES | set(config.node.listener.extra_sop_classes)

    def __enter__(self) -> Self:
        """Prepare.

        Raises:
            ConfigError: A key or a directory cannot be used.
        """
        config = self._config
        secret = Key(read_key(config.node.secrets.key_file))
        router = build.router(config, build.plans(config, secret))
        with ExitStack() as stack:
            spool = stack.enter_context(closing(build.spool(config)))
            # Those of a destination that is new since the node was started last.
            for name in build.destination_names(config):
                preparation.make(spool.queue(name), _MODE, Medium())
            receipts = build.receipts(config, secret, self._notes)
            if receipts is not None:
                stack.enter_context(closing(receipts))
            self._receiver = Receiver(
                router,
                spool,
                build.receive_settings(config),
                self._notes,
                self,
                receipts=receipts,
                crosswalk=build.crosswalk(config, secret, receipts, self._notes),
            )
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._resources.close()

    def send(self, fact: InstanceFact) -> None:
        """Counts by study are those of what comes over the network."""

    def release(self, entry: Entry) -> Result:
        """Take an entry the way of an instance.

        Raises:
            OSError: The hold cannot be used; the entry is still there.
        """
        return _with(entry, self._release)

    def _release(self, held: Held) -> Result:
        label = held.entry.label
        contents, pieces = held.open()
        instance = _Instance(self._receiver, _request(contents), _association(contents))
        try:
            self._check_negotiable(contents)
            for piece in pieces:
                instance.write([memoryview(piece)])
            # Here it is known to be whole: only now anything of it may get a name.
            instance.finish()
        except Refused as refusal:
            instance.abandon()
            return self._kept(held, refusal)
        except BaseException:
            instance.abandon()
            raise
        instance.answered()
        if instance.refusal is not None:
            return self._kept(held, instance.refusal)
        held.remove()
        self._notes.event("hold.released", entry=label.entry, reason=held.entry.verdict)
        return Result("released")

    def _check_negotiable(self, contents: Contents) -> None:
        # What the node would not even negotiate has no vetted rules.
        if (
            contents.sop_class_uid not in self._sop_classes
            or contents.transfer_syntax_uid not in TRANSFER_SYNTAXES
        ):
            raise Refused(Reason.SOP_CLASS)

    def _kept(self, held: Held, refusal: Refused) -> Result:
        reason = refusal.reason
        if not reason.is_temporary:
            held.still_refused(reason)
        self._notes.event(
            "hold.kept",
            entry=held.entry.label.entry,
            reason=reason.code,
            status=int(reason.status),
            tag=refusal.tag,
        )
        return Result("kept", reason.code)


def export(entry: Entry, directory: Path) -> Result:
    """Write an entry as it came, identified, as `<entry>.dcm` of mode 0600.

    The log is told first. A file that cannot be completed is removed.

    Raises:
        OSError: It cannot be written, or the file is there already.
    """
    return _with(entry, lambda held: _export(held, directory))


def drop(entry: Entry) -> Result:
    """Delete an entry; the log is told first.

    Raises:
        OSError: It is still there.
    """
    return _with(entry, _drop)


def public_directories(config: Config) -> list[Path]:
    """Where nothing identified may be exported to: the spool, and what is handed out."""
    node = config.node
    folders = [found.path for found in node.destinations if isinstance(found, FolderDestination)]
    outgoing = [node.storage.outgoing] if node.storage.outgoing is not None else []
    return [node.storage.spool, *outgoing, *folders]


class _Instance(ReceivedInstance):
    # Of a release neither the start nor the loss is an association's: nothing is logged of it.

    @property
    def refusal(self) -> Refused | None:
        return self._refusal

    def abandon(self) -> None:
        self._stream.abandon()
        if self._file is not None:
            self._file.discard()


def _export(held: Held, directory: Path) -> Result:
    contents, pieces = held.open()
    label = held.entry.label
    path = directory / f"{label.entry}.dcm"
    area = held.entry.area
    Notes(area).event("hold.exported", entry=label.entry, reason=label.reason, user_id=os.getuid())
    file = os.open(path, _NEW_FILE, _EXPORT_MODE)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(
                file_meta(
                    contents.sop_class_uid.encode("ascii", "replace"),
                    contents.sop_instance_uid.encode("ascii", "replace"),
                    contents.transfer_syntax_uid,
                )
            )
            for piece in pieces:
                stream.write(piece)
            stream.flush()
            area.medium.sync_data(stream.fileno())
        area.sync_names(directory)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
    return Result("released")


def _drop(held: Held) -> Result:
    label = held.entry.label
    Notes(held.entry.area).event(
        "hold.dropped", entry=label.entry, reason=held.entry.verdict, user_id=os.getuid()
    )
    held.remove()
    return Result("released")


def _with(entry: Entry, act: Callable[[Held], Result]) -> Result:
    try:
        with entry.locked() as held:
            return act(held)
    except FileNotFoundError:
        # Somebody has ended it, unless it is something else that is missing.
        if entry.path.exists():
            raise
        return Result("gone")
    except BlockingIOError:
        return Result("busy")
    except SealError as error:
        return Result("unreadable", error.code)


def _request(contents: Contents) -> StoreRequest:
    return StoreRequest(
        message_id=1,
        sop_class_uid=contents.sop_class_uid,
        sop_instance_uid=contents.sop_instance_uid,
        presentation_context_id=1,
        transfer_syntax_uid=contents.transfer_syntax_uid,
    )


def _association(contents: Contents) -> AssociationFacts:
    return AssociationFacts("release", contents.calling_aet, contents.called_aet, "")
