"""Several productions as one store: the parts of a production that was made in many places."""

from __future__ import annotations

__all__ = ["merge"]

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.errors import ShowersError
from caloforge.showers.files import shower_files
from caloforge.showers.productions import (
    Piece,
    Production,
    check_alike,
    check_numbers,
    joint_provenance,
)
from caloforge.showers.sparse import Sparse
from caloforge.showers.store import ShowerFile, write_store
from caloforge.writing import new_file

if TYPE_CHECKING:
    from caloforge.progress import Progress


def merge(
    files: str | Path | Sequence[str | Path], out: str | Path, progress: Progress | None = None
) -> Path:
    """Join productions of `simulate` to one store, ordered by seed and number of the shower.

    The parts of one seed give the file that one production would have made. Productions of several seeds
    follow each other. Memory does not grow with the showers, and nothing but the store is written.

    Args:
        files: Shower files, folders of them or patterns.
        out: The file to make.
        progress: Called after every piece.

    Returns:
        The path of the finished file.

    Raises:
        ShowersError: A file that is no finished production, or a damaged one; another detector, other options
            or another version of Geant4; a shower that is there twice, or one that is missing in between.
        OutputError: `out` exists, another process writes it, or the disk is full.

    Example:
        >>> merge(["part-0.h5", "part-1.h5"], "all.h5")
    """
    names = [files] if isinstance(files, str | Path) else files
    with new_file(Path(out)) as file:
        # Name by name: a file that is given twice is to be found out, not left out.
        found = [path for name in names for path in _finished(Path(name))]
        parts = sorted(map(Production.of, found), key=Production.order)
        if not parts:
            raise ShowersError("there are no productions to merge")
        for part in parts[1:]:
            check_alike(parts[0], part)
        pieces = sorted(piece for part in parts for piece in part.pieces)
        check_numbers(pieces)
        rows = _Rows({part.path: part for part in parts}, pieces, progress)
        made = joint_provenance(parts, pieces)
        write_store(file, parts[0].detector, made, (rows.showers, rows.hits), rows)
    return Path(out)


def _finished(given: Path) -> list[Path]:
    """The files of a name. Of a folder all productions are meant, and the last of them leaves no gap."""
    files = shower_files(given)
    parts = sorted(given.glob("[!.]*.part")) if given.is_dir() else []
    unfinished = [part.name for part in parts if not part.with_suffix("").exists()]
    if unfinished:
        raise ShowersError(
            "there are unfinished productions in this folder",
            where=given,
            got=", ".join(unfinished),
            cure="finish them with --resume, or name the files that are to be merged",
        )
    return files


class _Rows:
    """The showers in their order, read when they are wanted."""

    def __init__(
        self, parts: dict[Path, Production], pieces: Sequence[Piece], progress: Progress | None
    ) -> None:
        self._parts, self._pieces, self._progress = parts, pieces, progress
        self.showers = sum(part.showers for part in parts.values())
        self.hits = sum(part.hits for part in parts.values())

    def __iter__(self) -> Iterator[Sparse]:
        showers, hits, begin = 0, 0, time.monotonic()
        for piece in self._pieces:
            for rows in self._read(piece):
                yield rows
                showers, hits = showers + len(rows), hits + len(rows.index)
                if self._progress:
                    rate = showers / (time.monotonic() - begin)
                    self._progress(showers, self.showers, f"{rate:,.0f} showers/s")
        if hits != self.hits:
            raise ShowersError(
                "damaged shower file: it holds cells of no shower",
                where=", ".join(str(path) for path in self._parts),
                cure="make or copy the file again",
            )

    def _read(self, piece: Piece) -> Iterator[Sparse]:
        part, stop = self._parts[piece.path], piece.row + piece.stop - piece.first
        with ShowerFile(piece.path) as file:
            if (len(file), file.hits) != (part.showers, part.hits):
                raise ShowersError("the file changed while it was read", where=piece.path)
            step = next(file.spans())[1]
            for start in range(piece.row, stop, step):
                yield file.sparse(start, min(start + step, stop))
