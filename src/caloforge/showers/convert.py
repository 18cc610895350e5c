"""From one shower format to another, in constant memory."""

from __future__ import annotations

__all__ = ["Converted", "convert"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge import __version__
from caloforge.errors import ShowersError
from caloforge.showers.checks import BadEnergies, Clipped
from caloforge.showers.container import Showers
from caloforge.showers.formats import FORMATS, Format, known_format, open_showers
from caloforge.showers.formats.base import Writer
from caloforge.showers.reduced import Reduction, reduce
from caloforge.showers.source import ShowerSource

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.progress import Progress


@dataclass(frozen=True)
class Converted:
    """What `convert` did.

    Attributes:
        path: The file written.
        source_format: Name of the format read.
        format: Name of the format written.
        detector: Name of the detector.
        showers: How many were written.
        dropped: How many were left out for impossible energies.
        bad: What was wrong with those, in words.
        notes: What was assumed, what was left out and what the format written has no place for.
    """

    path: Path
    source_format: str
    format: str
    detector: str
    showers: int
    dropped: int
    bad: str
    notes: tuple[str, ...]


def convert(
    src: str | Path,
    dst: str | Path,
    *,
    from_: str | None = None,
    to: str | None = None,
    detector: Detector | None = None,
    particle: str | None = None,
    drop_bad: bool = False,
    clip: bool = False,
    layers: Sequence[str] = (),
    flatten: bool = False,
    rebin: Sequence[int] = (),
    crop: Sequence[int] = (),
    smear: bool = False,
    progress: Progress | None = None,
) -> Converted:
    """Convert a shower file, piece by piece.

    Args:
        src: The file to read; its format is told by its content.
        dst: The file to write; it must not exist. Its format is told by its name (`F.calogan.h5`).
        from_: Format of `src`, if it should not be told by its content.
        to: Format of `dst`, if not told by its name.
        detector: What was hit, where `src` cannot say and no preset has its shape.
        particle: Name of the incident particle, where `src` cannot say.
        drop_bad: Leave out showers with NaN, infinite or negative energies instead of refusing the file.
        clip: Set negative energies of cells to 0, as the CaloChallenge does with those of generators.
        layers: Names of the layers that are kept, of a detector that is named after them; none: all.
        flatten: Add up layers that follow each other and have the same grid.
        rebin: How many neighbouring cells are added up in x and y, or in sectors and rings, `(2, 2)`; a third
            number adds up as many layers of the same grid.
        crop: Cells that are kept around the middle in x and y, `(24, 24)`; `(9,)`: inner rings of polar
            grids.
        smear: Write the point of each cell anywhere in it instead of in its middle, where the format holds
            points; the same in each run.
        progress: Called after every piece.

    Raises:
        ShowersError: A damaged or unknown file, impossible energies, layers that are not there, cells that
            do not divide, or a format without points to smear.
        OutputError: `dst` exists, another process writes it, or the disk is full.
    """
    target = known_format(to) if to else _by_name(Path(dst))
    write = _smearing(target) if smear else target.write
    with open_showers(src, detector, format=from_, particle=particle) as source:
        if len(source) == 0:
            raise ShowersError("the file holds no showers", where=src)
        asked = layers or flatten or rebin or crop
        fewer = reduce(source.detector, layers, flatten, rebin, crop) if asked else None
        work = _Conversion(source, target, _Cure(drop_bad, Clipped() if clip else None), fewer, progress)
        written = fewer.detector if fewer else source.detector
        write(Path(dst), written, work.parts())
    return Converted(
        Path(dst),
        source.format,
        target.name,
        written.name,
        work.written,
        work.bad.showers,
        str(work.bad),
        (*source.notes, *work.clipped(), *(fewer.notes() if fewer else ()), *work.lost()),
    )


@dataclass(frozen=True)
class _Cure:
    """What becomes of impossible energies: showers are left out, or negative cells clipped, or neither."""

    drop: bool
    clipped: Clipped | None


class _Conversion:
    """The pieces on their way, with what was seen of them."""

    def __init__(
        self,
        source: ShowerSource,
        target: Format,
        cure: _Cure,
        fewer: Reduction | None,
        progress: Progress | None,
    ) -> None:
        self._source, self._target, self._cure, self._progress = source, target, cure, progress
        self._fewer = fewer
        self.bad = BadEnergies()
        self.written = 0
        self._lost: set[str] = set()

    def parts(self) -> Iterator[Showers]:
        provenance = self._provenance()
        for start, stop in self._source.spans():
            part = self._clean(self._source.raw(start, stop))
            if len(part):
                self._note_losses(part)
                self.written += len(part)
                part = self._fewer(part) if self._fewer else part
                yield replace(part, provenance=provenance)
            if self._progress:
                self._progress(stop, len(self._source), f"{self.bad.showers} bad" if self.bad else "")
        if not self._cure.drop:
            self.bad.refuse(self._source.path)
        if not self.written:
            raise ShowersError(
                "no shower of the file is without impossible energies",
                where=self._source.path,
                got=str(self.bad),
                cure=self.bad.cure(droppable=False),
            )

    def clipped(self) -> tuple[str, ...]:
        return (str(self._cure.clipped),) if self._cure.clipped and self._cure.clipped.showers else ()

    def _clean(self, part: Showers) -> Showers:
        if self._cure.clipped:
            part = self._cure.clipped(part)
        good = self.bad.good(part.incident, part.cells, part.overflow)
        return part if good.all() else part[good]

    def _note_losses(self, part: Showers) -> None:
        for name, column in part.incident.items():
            if name not in self._target.keeps and np.any(column):
                self._lost.add(name)
        if part.overflow is not None and "overflow" not in self._target.keeps:
            self._lost.add("overflow")
        if part.time is not None and "time" not in self._target.keeps:
            self._lost.add("times of cells")

    def lost(self) -> tuple[str, ...]:
        if not self._lost:
            return ()
        return (f"the format {self._target.name} has no place for: {', '.join(sorted(self._lost))}",)

    def _provenance(self) -> dict[str, Any]:
        step = {
            "from": self._source.path.name,
            "format": self._source.format,
            "notes": list(self._source.notes),
            **({"clip": True} if self._cure.clipped else {}),
            "caloforge": __version__,
            **(self._fewer.step() if self._fewer else {}),
        }
        known = self._source.provenance
        return {**known, "converted": [*known.get("converted", []), step]}


def _smearing(target: Format) -> Writer:
    if target.smear is None:
        raise ShowersError(
            f"the format {target.name} holds no points that could be smeared",
            got="--smear",
            expected=", ".join(form.name for form in FORMATS.values() if form.smear),
            cure="write one of these, as --to showerdata, or leave out --smear",
        )
    return target.smear


def _by_name(path: Path) -> Format:
    """The format whose suffix the name has; the longest wins, `.h5` being everybody's."""
    for form in sorted(FORMATS.values(), key=lambda f: -len(f.suffix)):
        if path.name.endswith((form.suffix, form.suffix.replace(".h5", ".hdf5"))):
            return form
    return FORMATS["caloforge"]
