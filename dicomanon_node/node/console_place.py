"""The console's place in the supervisor: its socket, its feed, its process.

It belongs to no generation. Whatever goes wrong here is no reason not to receive.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from typing import Final

from dicomanon_node.config import Config
from dicomanon_node.config.model import Admin
from dicomanon_node.node.administering import administer, open_console
from dicomanon_node.node.children import Child, Closeable, Ready
from dicomanon_node.ops import logs
from dicomanon_node.ops.feed import Feed

_START_S: Final = 2.0
"""How long a start waits for the console, so that its address is told with the node's, seconds."""


class ConsolePlace:
    """Opens what the console needs, and forks it.

    Args:
        settings: The section `[admin]`; what it says lasts until a restart of the node.
        lifeline: The pipe that tells a child of our death.
        private: Gives what a child must not keep.
        main: What the process does; calls `serve`.
        stack: Gives back what was opened.

    Attributes:
        child: The process.

    Raises:
        ConfigError: The token cannot be read or made.
    """

    def __init__(
        self,
        settings: Admin,
        lifeline: tuple[int, int],
        private: Callable[[], Sequence[Closeable]],
        main: Callable[[Ready], None],
        stack: ExitStack,
    ) -> None:
        self._lifeline = lifeline
        self._private = private
        self._feed = stack.enter_context(closing(Feed()))
        logs.feed_to(self._feed.sender)
        stack.callback(logs.feed_to, None)
        self._token, self._listening = open_console(settings)
        if self._listening is not None:
            stack.enter_context(self._listening)
        self.child = Child("admin", main)

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port; None if the port could not be had."""
        if self._listening is None:
            return None
        host, port = self._listening.getsockname()[:2]
        return host, port

    def start(self) -> None:
        """Fork the process, and give it a moment to answer."""
        self.child.start_or_postpone(self._lifeline, self._private)
        if self.child.is_running:
            self.child.wait_ready(_START_S)  # if it does not, it comes later

    def look_after(self, now: float) -> None:
        """Start it again if it has ended.

        Args:
            now: Monotonic seconds.
        """
        self.child.look_after(now, self._lifeline, self._private)

    def serve(
        self,
        config: Config,
        load: Callable[[], Config],
        receivers: Sequence[int],
        ready: Ready,
    ) -> None:
        """What the process does; see `administer`."""
        administer(
            config,
            load,
            self._feed,
            ready,
            token=self._token,
            listening=self._listening,
            receivers=receivers,
        )
