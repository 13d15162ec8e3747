"""What a process of this program does for itself before it touches an object."""

import os
import resource
from typing import Final

# Of one association: its socket, two to wake it, the file it writes, directories it commits to.
_DESCRIPTORS_EACH: Final = 12
# The directories known to be durable, the log, pipes between processes, the libraries' own.
_DESCRIPTORS_BESIDE: Final = 512


def core_count() -> int:
    """How many cores we may use, which in a container may be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def forbid_core_dumps() -> None:
    """Let no crash write the memory, which holds identified headers, to a disk."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def allow_descriptors(associations: int) -> None:
    """Raise the soft limit of open descriptors to what so many associations may need.

    The hard limit is the site's. Where it is lower, connections wait in the backlog when
    descriptors run out.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = associations * _DESCRIPTORS_EACH + _DESCRIPTORS_BESIDE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
