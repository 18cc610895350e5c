"""Batches for training from files larger than memory: shuffled, the same for the same seed, resumable."""

from __future__ import annotations

__all__ = ["StreamingReader"]

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.showers.container import Showers, same_detector
from caloforge.showers.formats import open_showers
from caloforge.showers.incident import Incident
from caloforge.showers.source import ShowerSource, chunk_rows
from caloforge.showers.sparse import Sparse

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from caloforge.detector import Detector

_BLOCK = 256  # showers read at once: enough that seeking is free
_BLOCKS = 16  # blocks mixed at a time


class _Block(NamedTuple):
    source: ShowerSource
    start: int
    stop: int


class StreamingReader:
    """Reads showers in batches, one epoch after the other, in constant memory; a context manager.

    Blocks of neighbouring showers are drawn in random order from all files, and the showers of sixteen blocks
    at a time are mixed. They wait without their empty cells. What comes depends on the seed, the epoch and
    the files alone, so that a reader can go on at any (epoch, step) as if it had never stopped.

    Args:
        paths: One or more shower files of any format, all of one detector.
        batch: Showers per batch.
        seed: Seed of the order.
        select: Which part of each file to read, as fractions; by default the first 70 %, which trains in
            the usual split (the next 15 % selects, the last 15 % tests).
        shuffle: False gives the order of the files.
        detector: What was hit, where a file cannot say.

    Attributes:
        detector: What was hit.
        steps: Batches per epoch. A shuffled epoch has full batches only, and what is left over is different
            in each epoch; in file order the last batch may be smaller.

    Raises:
        ShowersError: No files, files of different detectors, or fewer showers than one batch.

    Example:
        >>> with StreamingReader("positrons.h5", batch=256, seed=1) as reader:
        ...     for epoch, step, showers in reader.stream(epoch=3, step=120):
        ...         train(showers.incident.energy, showers.cells)
    """

    def __init__(
        self,
        paths: str | Path | Sequence[str | Path],
        batch: int,
        *,
        seed: int = 0,
        select: tuple[float, float] = (0.0, 0.7),
        shuffle: bool = True,
        detector: Detector | None = None,
    ) -> None:
        names = [paths] if isinstance(paths, str | Path) else list(paths)
        if not names or not 0 <= select[0] < select[1] <= 1 or batch < 1:
            raise ShowersError(
                "nothing to read",
                got=f"{len(names)} files, fractions {select}, batches of {batch}",
                expected="a file, fractions from 0 to 1 that rise, and a batch of 1 or more",
            )
        self._sources: list[ShowerSource] = []
        self._opened = ExitStack()
        with ExitStack() as stack:
            for name in names:
                self._sources.append(stack.enter_context(open_showers(name, detector)))
                same_detector(self._sources[0].detector, self._sources[-1].detector, name)
            self._opened = stack.pop_all()
        self.detector = self._sources[0].detector
        self._batch, self._seed, self._shuffle = batch, seed, shuffle
        self._spans = [(s, *_span(len(s), select)) for s in self._sources]
        rows = min(_BLOCK, chunk_rows(self.detector.n_cells))
        self._blocks = [
            _Block(source, first, min(first + rows, stop))
            for source, start, stop in self._spans
            for first in range(start, stop, rows)
        ]
        self.steps = len(self) // batch if shuffle else math.ceil(len(self) / batch)
        if not self.steps:
            self.close()
            raise ShowersError(
                "there are fewer showers than one batch",
                where=", ".join(map(str, names)),
                got=f"{len(self)} showers between {select[0]:g} and {select[1]:g} of each file",
                expected=f"at least {batch}",
            )

    def __len__(self) -> int:
        """Showers that the selected parts hold."""
        return sum(stop - start for _, start, stop in self._spans)

    def incident(self) -> Incident:
        """The incident columns of the selected showers, in file order."""
        return Incident.concat([source.incident()[start:stop] for source, start, stop in self._spans])

    def stream(self, epoch: int = 0, step: int = 0) -> Iterator[tuple[int, int, Showers]]:
        """Epoch after epoch without end, from a batch on: (epoch, step, showers)."""
        while True:
            for number, showers in enumerate(self.epoch(epoch, step), start=step):
                yield epoch, number, showers
            epoch, step = epoch + 1, 0

    def epoch(self, epoch: int = 0, step: int = 0) -> Iterator[Showers]:
        """The batches of one epoch, from a step on; what comes before is not read."""
        groups = self._groups(epoch)
        ends = np.cumsum([sum(block.stop - block.start for block in group) for group in groups])
        skip = step * self._batch
        first = int(np.searchsorted(ends, skip, side="right"))
        skip -= int(ends[first - 1]) if first else 0
        left = self.steps - step
        if left <= 0:
            return
        waiting: list[Sparse] = []
        for number in range(first, len(groups)):
            rows = self._mixed(groups[number], epoch, number)
            waiting = [Sparse.concat([*waiting, rows[skip : len(rows)]])]
            skip = 0
            last = number == len(groups) - 1 and not self._shuffle
            for batch in self._cut(waiting, last):
                if left > 0:
                    left -= 1
                    yield batch

    def close(self) -> None:
        """Close the files."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _groups(self, epoch: int) -> list[list[_Block]]:
        order = np.arange(len(self._blocks))
        if self._shuffle:
            order = np.random.default_rng((self._seed, epoch)).permutation(order)
        return [
            [self._blocks[i] for i in order[start : start + _BLOCKS]]
            for start in range(0, len(order), _BLOCKS)
        ]

    def _mixed(self, group: list[_Block], epoch: int, number: int) -> Sparse:
        """The showers of a group of blocks in their order."""
        rows = Sparse.concat([block.source.sparse(block.start, block.stop) for block in group])
        if not self._shuffle:
            return rows
        order: NDArray[np.int64] = np.random.default_rng((self._seed, epoch, number)).permutation(len(rows))
        return rows.take(order)

    def _cut(self, waiting: list[Sparse], last: bool) -> Iterator[Showers]:
        """Take full batches from what waits, and what is left at the very end; the rest goes on waiting."""
        rows = waiting.pop()
        n = len(rows)
        full = n if last else n - n % self._batch
        for start in range(0, full, self._batch):
            part = rows[start : min(start + self._batch, full)]
            yield Showers(self.detector, part.incident, part.dense(), part.overflow)
        waiting.append(rows[full:n])


def _span(n: int, select: tuple[float, float]) -> tuple[int, int]:
    """Rows between two fractions; neighbouring fractions share no row and leave none out."""
    return round(select[0] * n), round(select[1] * n)
