"""Ctrl-C that waits: some libraries cannot bear an exception in the middle of a call."""

from __future__ import annotations

__all__ = ["Interrupts", "interrupts_wait"]

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupts:
    """What Ctrl-C asked for and did not get yet.

    Args:
        handler: What would have handled it at once; None if nothing does.
    """

    def __init__(self, handler: Callable[[int, FrameType | None], Any] | None = None) -> None:
        self._handler, self._asked = handler, False

    def note(self, _number: int, _frame: FrameType | None) -> None:
        """Handle the signal by waiting."""
        self._asked = True

    def let_in(self) -> None:
        """Do now what was asked for.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed, and nobody handles it otherwise.
        """
        if self._asked and self._handler:
            self._asked = False
            self._handler(signal.SIGINT, None)


@contextmanager
def interrupts_wait() -> Iterator[Interrupts]:
    """Have Ctrl-C wait until it is let in, or until the end.

    Raises:
        KeyboardInterrupt: It was pressed meanwhile.
    """
    handler = signal.getsignal(signal.SIGINT)
    # Only the main thread is ever interrupted, and may say how.
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield Interrupts()
        return
    waiting = Interrupts(handler)
    signal.signal(signal.SIGINT, waiting.note)
    try:
        yield waiting
    finally:
        signal.signal(signal.SIGINT, handler)
        waiting.let_in()
