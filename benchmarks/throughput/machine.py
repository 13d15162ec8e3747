"""The machine and the versions a run was made with."""

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pydicom

import dicomanon_node


def describe(work: Path) -> dict[str, str]:
    """What somebody needs who compares figures with others.

    Args:
        work: Directory on the disk that is measured.
    """
    found = {
        "processor": f"{_cpu()}, {os.cpu_count()} cores",
        "memory": _memory(),
        "kernel": f"{platform.system()} {platform.release()}",
        "file system": file_system(work),
        "python": platform.python_version(),
        "dicomanon_node": dicomanon_node.__version__,
        "pydicom": pydicom.__version__,
        "pynetdicom": metadata.version("pynetdicom"),
        "load average at start": f"{os.getloadavg()[0]:.2f}",
    }
    for program, arguments in (
        ("storescp", ("--version",)),
        ("Orthanc", ("--version",)),
        ("java", ("-version",)),
    ):
        if shutil.which(program):
            found[program] = _first_line(program, *arguments)
    return found


def file_system(path: Path) -> str:
    """Type and device of the file system a path is on."""
    best = ("", "unknown")
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        device, mounted, kind, options, *_ = line.split()
        if path.resolve().is_relative_to(mounted) and len(mounted) >= len(best[0]):
            best = (mounted, f"{kind} on {device} ({options})")
    return best[1]


def is_memory(path: Path) -> bool:
    """Whether the path is on a file system that has no disk."""
    return file_system(path).startswith(("tmpfs", "ramfs"))


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> str:
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{size / 2**30:.0f} GiB"


def _first_line(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [shutil.which(program) or program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    said = (done.stdout + done.stderr).strip().splitlines()
    return said[0].strip("$ ") if said else sys.platform
