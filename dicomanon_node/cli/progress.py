"""A bar that shows how far a long command is, and lines beside it.

The bar is on standard error and on a terminal only; lines go to standard error
anyway, and do not tear the bar.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

import click

_CLEAR_LINE: Final = "\r\x1b[2K"


class Progress:
    """Shown while entered.

    Args:
        label: What is being done.
        count: Finds out how many steps there will be; asked only if the bar is shown.
    """

    def __init__(self, label: str, count: Callable[[], int]) -> None:
        self._is_shown = sys.stderr.isatty()
        self._shown = ExitStack()
        self._bar = click.progressbar(
            length=count() if self._is_shown else 0,
            label=label,
            file=sys.stderr,
            show_pos=True,
            hidden=not self._is_shown,
        )

    def __enter__(self) -> Self:
        if self._is_shown:
            self._shown.enter_context(self._bar)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._shown.close()

    def step(self) -> None:
        """One more is done."""
        if self._is_shown:
            self._bar.update(1)

    def tell(self, line: str) -> None:
        """Print a line; the next step draws the bar again, below it."""
        if self._is_shown:
            click.echo(_CLEAR_LINE, nl=False, err=True)
        click.echo(line, err=True)
