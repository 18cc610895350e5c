"""What every verb prints with: text, tables, one JSON object, and a progress bar (in a log file, lines)."""

from __future__ import annotations

__all__ = ["JsonOption", "emit", "minute_lines", "progress_bar", "raw", "say", "table"]

import json as jsonlib
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from caloforge.progress import Progress


_MINUTE = 60.0  # seconds


def _quiet(value: bool) -> bool:
    _state["json"] = value
    return value


_state = {"json": False}

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object and nothing else.", callback=_quiet)
]


def _console() -> Console:
    from rich.console import Console

    # A pipe has no width of its own: tables would be cut at 80 columns.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def raw(text: object) -> str:
    """Return a text for `say` and `table` in which brackets are brackets, as in the name of a file."""
    from rich.markup import escape

    return escape(str(text))


def say(markup: str = "") -> None:
    """Print a line with rich markup; silent under `--json`."""
    if not _state["json"]:
        _console().print(markup, soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, numbers to the right; silent under `--json`."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    if _state["json"]:
        return
    texts = [[str(cell) for cell in row] for row in rows]
    out = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for i, column in enumerate(columns):
        cells = [row[i] for row in texts]
        out.add_column(column, justify="right" if i and all(_numeric(c) for c in cells) else "left")
    for row in texts:
        out.add_row(*row)
    _console().print(out)


def _numeric(cell: str) -> bool:
    return not cell or cell[0] in "+-.0123456789–—" or cell in ("nan", "inf")


def emit(result: Mapping[str, Any]) -> None:
    """Print the result as one JSON object if `--json` was given."""
    if _state["json"]:
        sys.stdout.write(jsonlib.dumps(_plain(result), indent=2, allow_nan=False) + "\n")
        sys.stdout.flush()


def _plain(value: Any) -> Any:
    """Turn numpy scalars and arrays, paths and NaN into what JSON has."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """Show a bar with the time left on stderr, or a line a minute where that is no terminal.

    Yields:
        What reports to it.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield minute_lines(label)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(label, total=None, note="")

    def report(done: int, total: int, note: str) -> None:
        bar.update(task, completed=done, total=total, note=note)

    with bar:
        yield report


def minute_lines(label: str, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Return what writes how far work is to stderr, for log files: once a minute, and nothing if it is short.

    What was done before the first report, by a command that was interrupted, says nothing of the time left.
    Work that wrote a line also writes one at its end.

    Args:
        label: What is done.
        clock: Gives the seconds.
    """
    begin = last = clock()
    first: tuple[int, float] | None = None
    told = False

    def report(done: int, total: int, note: str) -> None:
        nonlocal last, first, told
        now = clock()
        if first is None or done < first[0]:
            first = done, now
        ends = told and done >= total
        if now - last < _MINUTE and not ends:
            return
        last, told = now, not ends
        left = _left(total - done, done - first[0], now - first[1])
        # A log that is closed or full must not end the work.
        with suppress(OSError, ValueError, AttributeError):
            minutes = (now - begin) / _MINUTE
            sys.stderr.write(f"{label}: {done} of {total} after {minutes:.0f} min{left}; {note}\n")
            sys.stderr.flush()

    return report


def _left(todo: int, done: int, seconds: float) -> str:
    return f", about {seconds / _MINUTE * todo / done:.0f} min left" if done and todo > 0 else ""
