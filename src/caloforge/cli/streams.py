"""Standard input, output and error: closed, full, read no further, or of another alphabet."""

from __future__ import annotations

__all__ = ["SIGPIPE_STATUS", "StandardOutput", "complain", "finish", "prepare"]

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, TextIO

from caloforge.errors import CaloforgeError

SIGPIPE_STATUS = 141
"""What a shell reports of a program whose reader went away: 128 and the number of the signal."""


class StandardOutput:
    """Standard output, which remembers that it could not be written: others keep that to themselves."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self.lost = error
            raise

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self.lost = error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def prepare() -> StandardOutput:
    """See that all three streams can be used, before anything is made.

    Returns:
        What is now standard output.

    Raises:
        CaloforgeError: Standard output is closed, so that the answer could not be given.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The next file that is opened would get this number, and receive what libraries print.
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A name or a bar that the terminal's alphabet lacks is no reason to stop.
            stream.reconfigure(errors="backslashreplace")
    if sys.stdout is None:
        raise CaloforgeError(
            "standard output is closed, so there is no place for the answer",
            cure="send it somewhere, as with > /dev/null",
        )
    output = StandardOutput(sys.stdout)
    sys.stdout = output
    return output


def finish(output: StandardOutput, code: int) -> int:
    """Write out what was printed, and return the exit code: another one if the answer was lost."""
    with suppress(OSError):
        output.flush()
    if output.lost is None:
        return code
    _give_up(1)
    if isinstance(output.lost, BrokenPipeError):
        return SIGPIPE_STATUS
    complain(f"caloforge: error: the answer could not be printed ({output.lost.strerror})")
    return 2


def complain(text: str) -> None:
    """Print a line to standard error, if there is one; nothing that could drive a terminal gets through."""
    plain = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    try:
        sys.stderr.write(plain + "\n")
        sys.stderr.flush()
    except (OSError, AttributeError):  # AttributeError: there is none
        _give_up(2)


def _give_up(number: int) -> None:
    """Let what is still waiting go nowhere: Python would complain of it at exit."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
