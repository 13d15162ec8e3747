"""What `doctor` looks at on the machine: directories, disk, clock, what a process may open.

Of directories that are not there yet, what they would be made in is looked at. Probes are
files without a name where possible; a link needs one, for a moment.
"""

import ctypes
import os
import resource
import secrets
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from dicomanon_node.cli.findings import Finding, error, fine, note, warning
from dicomanon_node.config import Config

_AS_USER: Final = "Give the directory to the node's user; run doctor as that user."
_SLOW_SYNC_MS: Final = 30.0  # an object waits for about three of them
_SYNCS: Final = 5
_OLDEST_YEAR: Final = 2026  # this program was written then
_CLOCKS_APART_S: Final = 5.0
_DESCRIPTORS_BESIDE: Final = 100
_DESCRIPTORS_EACH: Final = 4  # the socket, the file, its directories
_UNSYNCHRONISED: Final = 5  # TIME_ERROR, adjtimex(2)
_TIMEX_BYTES: Final = 512  # more than any struct timex; all zero asks and sets nothing
_CONTAINER_MARKS: Final = (Path("/.dockerenv"), Path("/run/.containerenv"))


def directories(config: Config) -> Iterator[Finding]:
    """Whether spool and outgoing can be written, and lie on one file system."""
    storage = config.node.storage
    named = [("spool", storage.spool)]
    if storage.outgoing is not None:
        named.append(("outgoing", storage.outgoing))
    usable = []
    for subject, path in named:
        found = _directory(subject, path)
        usable.append(found.cure == "")
        yield found
    if storage.outgoing is not None and all(usable):
        yield _together(storage.spool, storage.outgoing)


def disk(config: Config) -> Iterator[Finding]:
    """Room, and how long the disk takes to make something durable."""
    storage = config.node.storage
    there = _existing(storage.spool)
    try:
        state = os.statvfs(there)
        found = _milliseconds_to_sync(there)
    except OSError as fault:
        yield error("disk", f"{there} cannot be written: {fault.strerror}", _AS_USER)
        return
    yield _room(state.f_bavail * state.f_frsize, storage.low_water_bytes)
    if state.f_files and state.f_favail < state.f_files // 100:
        yield warning(
            "disk", "less than 1 % of its inodes are free", "Remove what is not needed there."
        )
    text = f"forcing a file to the disk takes {found:.1f} ms"
    if not storage.sync:
        yield warning(
            "disk",
            "storage.sync = false: what is answered 0000H may be lost when the machine stops",
            "Remove the setting: it is for measuring only.",
        )
    elif found > _SLOW_SYNC_MS:
        yield warning(
            "disk",
            f"{text}, and each object waits for it",
            "Put spool and outgoing on a local SSD, not on a network or USB disk.",
        )
    else:
        yield fine("disk", text)


def clock(config: Config) -> Iterator[Finding]:
    """Whether the time can be right."""
    now = time.time()
    year = time.gmtime(now).tm_year
    there = _existing(config.node.storage.spool)
    with suppress(OSError), tempfile.TemporaryFile(dir=there) as probe:
        probe.write(b"x")
        probe.flush()
        apart = abs(os.fstat(probe.fileno()).st_mtime - now)
        if apart > _CLOCKS_APART_S:
            yield warning(
                "clock",
                f"the file system of the spool is {apart:.0f} s off this machine's clock",
                "Synchronise both, by NTP.",
            )
    if year < _OLDEST_YEAR:
        yield warning("clock", f"it says {year}", "Set it, and have NTP keep it.")
    elif _is_synchronised() is False:
        yield note(
            "clock",
            "the system does not say that it is synchronised; times in the log may be off",
            "See `timedatectl` or `chronyc tracking`.",
        )
    else:
        yield fine("clock", time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(now)))


def process_limits(config: Config) -> Iterator[Finding]:
    """Whether a receiver may open what its associations need."""
    needed = config.node.listener.max_associations * _DESCRIPTORS_EACH + _DESCRIPTORS_BESIDE
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        yield warning(
            "limits",
            f"a process may open {soft} files; {config.node.listener.max_associations}"
            f" associations may need {needed}",
            f"Set LimitNOFILE={needed} (systemd), ulimits (compose), or a smaller"
            " listener.max_associations.",
        )
    else:
        yield fine("limits", f"a process may open {soft} files")


def surroundings(config: Config) -> Iterator[Finding]:
    """In a container: whether what is stored outlives it."""
    if not any(mark.exists() for mark in _CONTAINER_MARKS):
        return
    root = Path("/").stat().st_dev
    for path in (config.node.storage.spool, config.node.secrets.key_file):
        with suppress(OSError):
            if _existing(path).stat().st_dev == root:
                yield warning(
                    "container",
                    f"{path} is inside the container and goes with it",
                    "Mount a volume there: see docker/compose.yaml.",
                )


def _existing(path: Path) -> Path:
    return next((found for found in (path, *path.parents) if found.exists()), Path("/"))


def _directory(subject: str, path: Path) -> Finding:
    there = _existing(path)
    if not there.is_dir():
        return error(subject, f"{there} is no directory", f"Move it, or set storage.{subject}.")
    if not os.access(there, os.W_OK | os.X_OK):
        return error(subject, f"{there} cannot be written by this user", _AS_USER)
    if there != path:
        return fine(subject, f"{path} will be made when the node starts")
    return fine(subject, f"{path} can be written")


def _together(spool: Path, outgoing: Path) -> Finding:
    # Device numbers alone do not tell: see `spool.preparation`. A link does, where both are.
    cure = (
        'Put the spool beside outgoing, or set storage.outgoing = "" and use a destination of kind'
        ' "folder".'
    )
    here, there = _existing(spool), _existing(outgoing)
    if here.stat().st_dev != there.stat().st_dev or not _links(here, there):
        return error("outgoing", f"{outgoing} and the spool are not on one file system", cure)
    return fine("outgoing", "on one file system with the spool")


def _links(here: Path, there: Path) -> bool:
    name = f".dicomanon-doctor-{secrets.token_hex(8)}"
    source, link = here / f"{name}-source", there / name
    try:
        source.touch(0o600)
        link.hardlink_to(source)
    except OSError:
        return False
    finally:
        for probe in (source, link):
            with suppress(OSError):
                probe.unlink()
    return True


def _room(free: int, low_water: int) -> Finding:
    text = f"{free / 2**30:.1f} GiB free"
    if free < low_water:
        return error(
            "disk",
            f"{text}, less than storage.low_water_bytes: objects are refused with A700H",
            "Make room, move the spool, or lower storage.low_water_bytes.",
        )
    if free < 2 * low_water:
        return warning(
            "disk",
            f"{text}; below {low_water / 2**30:.3g} GiB objects are refused",
            "Make room before the next busy day.",
        )
    return fine("disk", text)


def _milliseconds_to_sync(directory: Path) -> float:
    taken = []
    with tempfile.TemporaryFile(dir=directory) as probe:
        for _ in range(_SYNCS):
            probe.write(bytes(4096))
            probe.flush()
            started = time.monotonic()
            os.fsync(probe.fileno())
            taken.append((time.monotonic() - started) * 1e3)
    return statistics.median(taken)


def _is_synchronised() -> bool | None:
    # None: the system does not say.
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None:
        return None
    state: int = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else state != _UNSYNCHRONISED
