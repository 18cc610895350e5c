"""Batches for training from files larger than memory: shuffled, the same for the same seed, resumable."""

from __future__ import annotations

__all__ = ["Fractions", "StreamingReader"]

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.showers.container import Showers
from caloforge.showers.files import ShowerFiles
from caloforge.showers.incident import Incident
from caloforge.showers.order import Order, Piece
from caloforge.showers.sparse import Sparse

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from caloforge.detector import Detector

Fractions: TypeAlias = tuple[float, float]
"""The part of a file from one fraction of its showers to another."""
_BLOCK_CELLS = 1 << 23  # cells read at once, empty ones counted
_COLUMNS = 1 << 18  # incident particles read at once


class StreamingReader:
    """Reads showers in batches, one epoch after the other, in constant memory; a context manager.

    Any number of files is read as one. Neighbouring showers are drawn in blocks, in random order from all
    files, and mixed (`caloforge.showers.order`). They wait without their empty cells. What comes depends on
    the seed, the epoch and the files alone, so that a reader can go on at any (epoch, step) as if it had
    never stopped. It can be sent to another process, which then opens the files itself.

    Args:
        paths: One or more shower files of any format, all of one detector.
        batch: Showers per batch.
        seed: Seed of the order.
        select: Which part of each file to read, or which parts, in rising order; by default the first 70 %,
            which trains in the usual split (the next 15 % selects, the last 15 % tests).
        shuffle: False gives the order of the files.
        detector: What was hit, where a file cannot say.
        part: `(rank, size)` of one of several processes that share the batches: of each it gets a slice of
            `batch / size` showers, and reads little else.

    Attributes:
        detector: What was hit.
        order: Which showers come when.
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
        select: Fractions | Sequence[Fractions] = (0.0, 0.7),
        shuffle: bool = True,
        detector: Detector | None = None,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        names = [paths] if isinstance(paths, str | Path) else list(paths)
        rank, size = part
        parts = _parts(select)
        ends = [0.0, *(end for one in parts for end in one), 1.0]
        if not names or not parts or ends != sorted(ends) or any(a >= b for a, b in parts) or batch < 1:
            raise ShowersError(
                "nothing to read",
                got=f"{len(names)} files, fractions {select}, batches of {batch}",
                expected="a file, fractions from 0 to 1 that rise, and a batch of 1 or more",
            )
        if not 0 <= rank < size or batch % size or (size > 1 and not shuffle):
            raise ShowersError(
                "these processes cannot share a batch",
                got=f"process {rank} of {size}, batches of {batch}",
                expected="a multiple of the number of processes, and shuffled batches",
            )
        self._files = ShowerFiles(names, detector)
        self.detector = self._files.detector
        self._batch, self._shuffle, self._part = batch, shuffle, part
        # What is read is spans of showers; each lies in one file, and the order knows them alone.
        spans = [(file, *_span(n, one)) for file, n in enumerate(self._files.lengths) for one in parts]
        self._file_of = [file for file, _, _ in spans]
        self._spans = [(start, stop) for _, start, stop in spans]
        self.order = Order(self._spans, batch, seed, self.detector.n_cells)
        self.steps = self.order.steps if shuffle else math.ceil(len(self) / batch)
        if not self.steps:
            self.close()
            raise ShowersError(
                "there are fewer showers than one batch",
                where=", ".join(map(str, names[:5])) + (" ..." if len(names) > 5 else ""),
                got=f"{len(self)} showers "
                + " and ".join(f"between {a:g} and {b:g}" for a, b in parts)
                + " of each file",
                expected=f"at least {batch}",
                cure="give more showers, or ask for smaller batches (a training: --set schedule.batch=...)",
            )

    def __len__(self) -> int:
        """Showers that the selected parts hold."""
        return self.order.rows

    def incident(self) -> Incident:
        """The incident columns of the selected showers, in file order; `incidents` needs less memory."""
        return Incident.concat(list(self.incidents()))

    def incidents(self) -> Iterator[Incident]:
        """The incident columns piece by piece."""
        for file, (start, stop) in enumerate(self._spans):
            for first in range(start, stop, _COLUMNS):
                yield self._files[self._file_of[file]].columns(first, min(first + _COLUMNS, stop))

    def in_order(self, rows: int | None = None) -> Iterator[Sparse]:
        """The showers in the order of the files, some at a time.

        Args:
            rows: Only as many, the first ones of each file in proportion to its part.
        """
        share = 1.0 if rows is None else min(1.0, rows / len(self))
        done = 0
        for file, (start, stop) in enumerate(self._spans):
            done += stop - start
            given = round(done * share) - round((done - stop + start) * share)
            yield from self._blocks(Piece(file, start, start + given))

    def stream(self, epoch: int = 0, step: int = 0) -> Iterator[tuple[int, int, Showers]]:
        """Epoch after epoch without end, from a batch on: (epoch, step, showers)."""
        while True:
            for number, showers in enumerate(self.epoch(epoch, step), start=step):
                yield epoch, number, showers
            epoch, step = epoch + 1, 0

    def epoch(self, epoch: int = 0, step: int = 0) -> Iterator[Showers]:
        """The batches of one epoch, from a step on; what comes before is not read."""
        batches = self._shuffled(epoch, step) if self._shuffle else self._in_order(step)
        for rows in batches:
            yield Showers(self.detector, rows.incident, rows.dense(), rows.overflow, time=rows.times())

    def round(self, epoch: int, number: int) -> Sparse:
        """The showers of a round of batches, one batch after the other; see `caloforge.showers.order`."""
        pieces, order = self.order.round(epoch, number, self._part)
        return Sparse.concat([rows for piece in pieces for rows in self._blocks(piece)]).take(order)

    def rows(self, epoch: int, number: int) -> NDArray[np.int64]:
        """The numbers of the same showers in file order."""
        pieces, order = self.order.round(epoch, number, self._part)
        starts = np.cumsum([0, *(stop - start for start, stop in self._spans)])
        parts = []
        for file, start, stop in pieces:
            first = int(starts[file]) - self._spans[file][0]
            parts.append(np.arange(first + start, first + stop))
        numbers: NDArray[np.int64] = np.concatenate(parts)[order]
        return numbers

    def provenances(self) -> Iterator[dict[str, Any]]:
        """How the showers of each file were made."""
        return (self._files[file].provenance for file in range(len(self._files)))

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _shuffled(self, epoch: int, step: int) -> Iterator[Sparse]:
        size = self._batch // self._part[1]
        first, skip = divmod(step, self.order.round_steps)
        for number in range(first, self.order.rounds):
            rows = self.round(epoch, number)
            for start in range(skip * size, len(rows), size):
                yield rows[start : start + size]
            skip = 0

    def _in_order(self, step: int) -> Iterator[Sparse]:
        """Batches in the order of the files, from a step on."""
        ends = np.cumsum([stop - start for start, stop in self._spans])
        for first in range(step * self._batch, len(self), self._batch):
            last = min(first + self._batch, len(self))
            parts: list[Sparse] = []
            for file in range(int(np.searchsorted(ends, first, side="right")), len(ends)):
                begin = self._spans[file][1] - int(ends[file])
                start, stop = max(first + begin, self._spans[file][0]), min(last, int(ends[file])) + begin
                parts += self._blocks(Piece(file, start, stop))
                if last <= ends[file]:
                    break
            yield Sparse.concat(parts)

    def _blocks(self, piece: Piece) -> Iterator[Sparse]:
        """Read a piece, a bounded number of cells at a time."""
        rows = max(1, _BLOCK_CELLS // self.detector.n_cells)
        for start in range(piece.start, piece.stop, rows):
            yield self._files[self._file_of[piece.file]].sparse(start, min(start + rows, piece.stop))


def _parts(select: Fractions | Sequence[Fractions]) -> list[Fractions]:
    """Parts of each file; a single one may stand alone."""
    parts: Any = [select] if isinstance(select[0], float | int) else select
    return [(a, b) for a, b in parts]


def _span(n: int, select: Fractions) -> tuple[int, int]:
    """Rows between two fractions; neighbouring fractions share no row and leave none out."""
    return round(select[0] * n), round(select[1] * n)
