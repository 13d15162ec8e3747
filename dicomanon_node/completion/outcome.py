"""How telling somebody of a study may go wrong."""

from dicomanon_node.errors import NodeError


class MissedError(NodeError):
    """It was not told; to be tried again. Its text is a fixed word.

    Args:
        reason: A fixed word.
        number: errno, if there is one.
        exit_code: Of a command; negative: ended by that signal.
        http_status: Of a web server.
    """

    def __init__(
        self,
        reason: str,
        *,
        number: int | None = None,
        exit_code: int | None = None,
        http_status: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.number = number
        self.exit_code = exit_code
        self.http_status = http_status


class UntoldError(NodeError):
    """The node stops: it is told after the next start, and that counts as no attempt."""
