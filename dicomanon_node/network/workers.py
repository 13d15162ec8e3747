"""Threads that are used again: to start one costs more than a short association.

Knows nothing of associations. A thread without work waits for more of it for a while
and then ends.
"""

import queue
import threading
from collections.abc import Callable
from typing import Final

IDLE_S: Final = 5.0
"""Seconds a thread waits for work; a scanner that opens an association for each object comes
again sooner."""

Work = Callable[[], None]


class Workers:
    """As many threads as there is work at a time. Thread-safe."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._changing = threading.Lock()
        self._free_count = 0  # threads that wait, and are not yet promised work

    def start(self, work: Work) -> None:
        """Have something done in a thread of its own. It must not raise.

        Raises:
            RuntimeError: There is no thread left for it.
        """
        with self._changing:
            is_promised = self._free_count > 0
            self._free_count -= is_promised
        if is_promised:
            self._waiting.put(work)
        else:
            threading.Thread(target=self._run, args=[[work]], daemon=True).start()

    def _run(self, first: list[Work]) -> None:
        work = first.pop()  # so that nothing keeps it once it is done
        while True:
            work()
            del work
            with self._changing:
                self._free_count += 1
            while True:
                try:
                    work = self._waiting.get(timeout=IDLE_S)
                    break
                except queue.Empty:
                    with self._changing:
                        if self._free_count:
                            self._free_count -= 1
                            return
                    # Promised at the very last moment, to us or to who was quicker.
