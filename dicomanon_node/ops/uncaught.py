"""Exceptions nobody caught: logged as class and source lines instead of printed.

Python's own hooks print the exception's text to standard error, and the text of a
library's exception may hold a value of the object.
"""

import sys
import threading
from collections.abc import Callable
from types import TracebackType

from dicomanon_node.ops import logs


def install() -> None:
    """Route uncaught exceptions of this process to `internal.error`.

    To be called once, before other threads start; a forked process inherits it.
    """
    sys.excepthook = _in_main
    threading.excepthook = _in_thread
    sys.unraisablehook = _in_finalizer


def _in_main(
    _kind: type[BaseException], error: BaseException, _traceback: TracebackType | None
) -> None:
    logs.get().event("internal.error", where="main", error=error)


def _in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        logs.get().event("internal.error", where="thread", error=args.exc_value)


def _in_finalizer(
    args: "sys.UnraisableHookArgs", is_finalizing: Callable[[], bool] = sys.is_finalizing
) -> None:
    # While the interpreter ends, modules are torn down: this one's names may be gone, and
    # there is nothing left to log with.
    if not is_finalizing():
        logs.get().event("internal.error", where="finalizer", error=args.exc_value)
