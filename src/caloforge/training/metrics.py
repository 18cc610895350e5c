"""The diary of a training: one JSON object a line, and TensorBoard on request."""

from __future__ import annotations

__all__ = ["Metrics", "read_metrics"]

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.documents import Kind, read_text
from caloforge.errors import MissingExtraError, RunError
from caloforge.training.records import check_entry
from caloforge.writing import replace_text

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_DIARY = Kind("diary of the run", RunError, most=1_000_000_000)


class Metrics:
    """Appends to `metrics.jsonl`.

    Args:
        folder: The run.
        after: Forget what was written after this many steps: a resumed training does them again.
        tensorboard: Also write event files into `tensorboard/`.

    Raises:
        MissingExtraError: TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path, after: int, tensorboard: bool = False) -> None:
        self._path = folder / "metrics.jsonl"
        kept = [entry for entry in read_metrics(self._path) if entry["steps"] <= after]
        replace_text(self._path, "".join(_line(entry) for entry in kept))
        self._events = _events(folder / "tensorboard", after) if tensorboard else None

    def write(self, kind: str, steps: int, values: Mapping[str, Any]) -> None:
        """Add an entry; it is on disk when this returns.

        Args:
            kind: `step` for losses, `epoch` for a look at the physics.
            steps: Steps of the whole training so far.
            values: Numbers, and mappings of numbers.
        """
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line({"kind": kind, "steps": steps, **values}))
        if self._events is not None:
            for name, value in _flat(values, kind).items():
                self._events.add_scalar(name, value, steps)
            self._events.flush()

    def close(self) -> None:
        """Close TensorBoard's files."""
        if self._events is not None:
            self._events.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a diary; a last line that a kill has cut off is left out.

    Raises:
        RunError: A line is not an entry.
    """
    if not path.is_file():
        return []
    lines = read_text(path, _DIARY).split("\n")
    # What follows the last line's end is nothing, or half a line.
    return [check_entry(line, f"{path}, line {number}") for number, line in enumerate(lines[:-1], 1)]


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(_finite(entry), allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _flat(values: Mapping[str, Any], prefix: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in values.items():
        name = f"{prefix}/{key}"
        if isinstance(value, Mapping):
            found |= _flat(value, name)
        elif isinstance(value, int | float):
            found[name] = value
    return found


def _events(folder: Path, after: int) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError("tensorboard", "tensorboard") from None
    return SummaryWriter(str(folder), purge_step=after + 1)
