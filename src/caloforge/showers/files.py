"""Many shower files as one: found by name, opened when they are read."""

from __future__ import annotations

__all__ = ["ShowerFiles", "shower_files"]

from collections import OrderedDict
from collections.abc import Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.errors import ShowersError, nearest
from caloforge.showers.container import same_detector
from caloforge.showers.formats import open_showers
from caloforge.showers.source import ShowerSource

if TYPE_CHECKING:
    from caloforge.detector import Detector

_OPEN = 64  # an open one takes about 1 MB
_SUFFIXES = (".h5", ".hdf5", ".npz", ".parquet", ".root")


def shower_files(given: str | Path | Sequence[str | Path]) -> list[Path]:
    """Find shower files: a file, a folder, a pattern, or several of these.

    Args:
        given: Names; `**` in a pattern stands for any folders. Of a folder it is the files that end in `.h5`,
            `.hdf5`, `.npz`, `.parquet` or `.root`.

    Returns:
        Files in the order given, those of a folder or a pattern sorted by name, each once.

    Raises:
        ShowersError: A folder without shower files, or a pattern that no file matches.

    Example:
        >>> shower_files(["more/a.h5", "showers/*.h5"])
        [Path('more/a.h5'), Path('showers/1.h5'), Path('showers/2.h5')]
    """
    names = [given] if isinstance(given, str | Path) else list(given)
    found = [path for name in names for path in _expand(Path(name))]
    once: dict[Path, Path] = {}
    for path in found:
        once.setdefault(path.resolve(), path)
    return list(once.values())


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
    elif has_magic(str(path)) and not path.exists():
        # Not Path.glob: that takes no absolute patterns.
        files = sorted(Path(name) for name in glob(str(path), recursive=True))  # noqa: PTH207
    else:
        return [path]  # whether it exists is seen when it is opened
    if not files:
        parts = [*path.glob("[!.]*.part")] if path.is_dir() else []
        raise ShowersError(
            "there are no shower files here" if path.is_dir() else "no file matches this pattern",
            where=path,
            got=f"{len(parts)} unfinished productions" if parts else None,
            expected=f"files that end in {', '.join(_SUFFIXES)}" if path.is_dir() else None,
            near=None if path.is_dir() or path.parent.is_dir() else _nearest_folder(path),
        )
    return files


def _nearest_folder(path: Path) -> str | None:
    """The existing folder that a mistyped one was probably meant to be."""
    above = path.parent.parent
    names = [folder.name for folder in above.iterdir() if folder.is_dir()] if above.is_dir() else []
    return nearest(path.parent.name, names)


class ShowerFiles:
    """Shower files of one detector, of which only some are open at a time; can be sent to other processes.

    Args:
        paths: The files.
        detector: What was hit, where a file cannot say.
        at_once: How many are open at a time.

    Attributes:
        paths: The files.
        detector: What was hit.
        lengths: Showers in each file.

    Raises:
        ShowersError: A file that cannot be read, or files of different detectors.
    """

    def __init__(
        self, paths: Sequence[str | Path], detector: Detector | None = None, at_once: int = _OPEN
    ) -> None:
        self.paths = [Path(path) for path in paths]
        self._given, self._at_once = detector, at_once
        self._open: OrderedDict[int, ShowerSource] = OrderedDict()
        self.lengths: list[int] = []
        try:
            self.detector = self[0].detector
            for number, path in enumerate(self.paths):
                same_detector(self.detector, self[number].detector, path)
                self.lengths.append(len(self[number]))
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> ShowerSource:
        """The file of this number, opened; it may be closed when others are asked for."""
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        while len(self._open) >= self._at_once:
            self._open.popitem(last=False)[1].close()
        source = open_showers(self.paths[number], self._given)
        self._open[number] = source
        if number < len(self.lengths) and len(source) < self.lengths[number]:
            raise ShowersError(
                "the file became shorter while it was read",
                where=source.path,
                got=f"{len(source)} showers",
                expected=self.lengths[number],
            )
        return source

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": OrderedDict()}

    def close(self) -> None:
        """Close those that are open."""
        while self._open:
            self._open.popitem()[1].close()
