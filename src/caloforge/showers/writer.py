"""Writing showers while they are produced, so that nothing is lost."""

from __future__ import annotations

__all__ = ["ShowerWriter", "write_all"]

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import ShowersError
from caloforge.showers.checks import BadEnergies
from caloforge.showers.container import Showers, same_detector
from caloforge.showers.journal import Journal
from caloforge.showers.sparse import Sparse
from caloforge.showers.store import ShowerFile, write_store
from caloforge.writing import Output, room

if TYPE_CHECKING:
    from typing_extensions import Self

    from caloforge.detector import Detector
    from caloforge.hdf5.output import Hdf5Output

_HITS_PER_WRITE = 1 << 18


class ShowerWriter:
    """Collects showers in `PATH.part` and turns them into the shower file `PATH` when closed.

    What `append` was given is safe and readable (`ShowerFile(PATH.part)`) when it returns, even if the
    process is killed a moment later. `close` writes the HDF5 file under another name and renames it, so
    that `PATH` is either absent or complete. As a context manager, an exception leaves `PATH.part` for a
    later `resume`. Nobody else can write `PATH` meanwhile.

    Args:
        path: The file to make. An existing one is never overwritten.
        detector: What is hit.
        provenance: How the showers are made; on resuming, these values replace earlier ones.
        resume: Go on with what an interrupted writer left behind, if anything.
        keep: Whether an interruption leaves anything: not if the same showers are soon made again.

    Attributes:
        done: Showers written so far, by this and by interrupted writers.
        provenance: May be changed until `close`.
        beside: Writes what else the finished file is to hold; may be set until `close`.
        earlier: Provenance that the interrupted writer was started with, or None.

    Raises:
        OutputError: The file is there already, or another process is writing it.
        ShowersError: An unfinished production is there already, also beside a file of other showers, or
            what is there holds showers of another detector, or with times where this one's have none.

    Example:
        >>> with ShowerWriter("showers.h5", detector, {"seed": 1}) as writer:
        ...     writer.append(showers)
    """

    def __init__(
        self,
        path: str | Path,
        detector: Detector,
        provenance: dict[str, Any],
        resume: bool = False,
        keep: bool = True,
    ) -> None:
        self.path = Path(path)
        self.detector = detector
        self.earlier: dict[str, Any] | None = None
        self.done = 0
        self.beside: Callable[[Hdf5Output], None] | None = None
        self._part = self.path.parent / f"{self.path.name}.part"
        self._keep = keep
        self._journal: Journal | None = None
        self._has: tuple[bool, bool] | None = None  # overflow energies, and times
        self._output: Output | None = None
        if resume and self.path.exists():
            self._find_complete()
        else:
            self._begin(resume)
        self.provenance = {**(self.earlier or {}), **provenance}

    def append(self, showers: Showers) -> None:
        """Write showers; they are safe when this returns.

        Raises:
            ShowersError: Another detector, impossible energies, or overflow energies or times for some only.
        """
        same_detector(self.detector, showers.detector, self.path)
        bad = BadEnergies()
        bad.good(showers.incident, showers.cells, showers.overflow)
        bad.refuse(self.path)
        if len(showers):
            self._record(Sparse.of(showers.incident, showers.cells, showers.overflow, showers.time))

    def close(self) -> None:
        """Make the finished file.

        Raises:
            ShowersError: Nothing was written.
            OutputError: The disk is full; `PATH.part` stays.
        """
        try:
            if self._journal is not None and self._output is not None:
                self._finish(self._journal, self._output)
            elif not self.done:  # else a production was resumed that was complete
                raise ShowersError("no showers were written", where=self.path)
        finally:
            self.stop()

    def _finish(self, journal: Journal, output: Output) -> None:
        totals = len(journal), journal.hits
        with room(self.path):
            write_store(output.file, self.detector, self.provenance, totals, _batches(journal), self.beside)
        output.finish()
        if self._keep:
            self._part.unlink(missing_ok=True)  # who resumes it now may have been faster

    def stop(self) -> None:
        """Stop without finishing; `PATH.part` keeps what was written, unless nothing was to be kept."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if self._output is not None:
            self._output.abandon()
            self._output = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.stop()

    def _record(self, rows: Sparse) -> None:
        has = rows.overflow is not None, rows.time is not None
        if self._journal is None:
            self._start(*has)
        if has != self._has or self._journal is None:
            raise ShowersError(
                "overflow energies and times must be kept for all showers of a file or for none",
                where=self.path,
            )
        self._journal.append(rows)
        self.done += len(rows)

    def _start(self, overflow: bool, time: bool) -> None:
        if self.done:
            raise ShowersError(
                "this file is complete; nothing can be added to it",
                where=self.path,
                got=f"{self.done} showers",
                cure="write the new showers to another file: every reader takes several",
            )
        head = {
            "detector": self.detector.to_yaml(),
            "provenance": self.provenance,
            "n_cells": self.detector.n_cells,
            "n_layers": self.detector.n_layers,
            "overflow": overflow,
            "time": time,
        }
        self._has = overflow, time
        begin = Journal.create if self._keep else Journal.nameless
        self._journal = begin(self._part, head)

    def _begin(self, resume: bool) -> None:
        self._output = Output(self.path)
        try:
            if resume and self._part.exists():
                self._find_part()
            elif self._part.exists():
                cure = "resume it, or delete it if you do not want its showers"
                raise ShowersError("an unfinished production is there already", where=self._part, cure=cure)
        except BaseException:
            self.stop()
            raise

    def _find_complete(self) -> None:
        with ShowerFile(self.path) as file:
            _same_readout(self.detector, file.detector, self.path)
            self.done, self.earlier = len(file), file.provenance
            if self._part.exists():  # killed between the rename and this, or the file came from elsewhere
                _check_same(file, self._part)
                self._part.unlink(missing_ok=True)

    def _find_part(self) -> None:
        with ShowerFile(self._part) as file:
            _same_readout(self.detector, file.detector, self._part)
        journal = Journal(self._part, append=True)
        self._journal, self.done, self.earlier = journal, len(journal), journal.head["provenance"]
        self._has = bool(journal.head["overflow"]), journal.time


def _same_readout(detector: Detector, begun: Detector, where: Path) -> None:
    """See that a production goes on with the detector it was begun with, times of cells included."""
    same_detector(detector, begun, where)
    wanted, kept = ("no times" if d.readout.time is None else "times" for d in (detector, begun))
    if wanted != kept:
        raise ShowersError(
            "this production was begun with another `readout.time`",
            where=where,
            got=f"a detector whose cells have {wanted}",
            expected=f"one whose cells have {kept}",
            cure="resume with the detector it was begun with, or write to another file",
        )


def _check_same(file: ShowerFile, part: Path) -> None:
    """See that nothing is lost with a journal beside a finished file."""
    with ShowerFile(part) as unfinished:
        if np.array_equal(unfinished.incident().energy, file.incident().energy):
            return
    raise ShowersError(
        "an unfinished production is there beside a file of other showers",
        where=part,
        cure=f"move {file.path} away and resume, or delete what you do not want",
    )


def write_all(path: Path, detector: Detector, parts: Iterable[Showers]) -> None:
    """Write showers that exist elsewhere already: if that fails, nothing is left behind."""
    with ShowerWriter(path, detector, {}, keep=False) as writer:
        for part in parts:
            writer.provenance.update(part.provenance)
            writer.append(part)


def _batches(journal: Journal) -> Iterator[Sparse]:
    """Records joined to writes of a decent size, whatever size they were appended in."""
    waiting: list[Sparse] = []
    hits = 0
    for rows in journal.records():
        waiting.append(rows)
        hits += len(rows.index)
        if hits >= _HITS_PER_WRITE:
            yield Sparse.concat(waiting)
            waiting, hits = [], 0
    if waiting:
        yield Sparse.concat(waiting)
