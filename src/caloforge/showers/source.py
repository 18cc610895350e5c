"""Anything that holds showers and can be read piece by piece: our own files and everybody else's."""

from __future__ import annotations

__all__ = ["ShowerSource"]

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from caloforge.showers.checks import BadEnergies
from caloforge.showers.container import Showers
from caloforge.showers.incident import Incident
from caloforge.showers.sparse import Sparse

if TYPE_CHECKING:
    from typing_extensions import Self

    from caloforge.detector import Detector

_SHOWERS_AT_ONCE, _CELLS_AT_ONCE = 4096, 1 << 21  # 8 MB of cells


class ShowerSource(ABC):
    """Showers on disk; a context manager.

    Attributes:
        path: The file.
        format: Name of its format.
        detector: What was hit.
        provenance: How the showers were made, as far as the file says.
        notes: What the format leaves out or what was assumed, for people to read.
    """

    path: Path
    format: str
    detector: Detector
    provenance: dict[str, Any]
    notes: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def raw(self, start: int, stop: int) -> Showers:
        """Showers as they are, impossible energies included; `start` and `stop` must lie inside."""

    @abstractmethod
    def incident(self) -> Incident:
        """The incident columns of all showers."""

    def columns(self, start: int, stop: int) -> Incident:
        """The incident columns from `start` to `stop`, which must lie inside."""
        return self.incident()[start:stop]

    @abstractmethod
    def close(self) -> None:
        """Give the file back."""

    def read(self, start: int, stop: int) -> Showers:
        """Showers from `start` to `stop`, cut to what is there, as slices are.

        Raises:
            ShowersError: A damaged file, or NaN, infinite or negative energies.
        """
        start, stop, _ = slice(start, stop).indices(len(self))
        showers = self.raw(start, max(start, stop))
        bad = BadEnergies()
        bad.good(showers.incident, showers.cells, showers.overflow)
        bad.refuse(f"{self.path}, showers {start} to {stop - 1}")
        return showers

    def sparse(self, start: int, stop: int) -> Sparse:
        """The same as `read`, without the empty cells."""
        showers = self.read(start, stop)
        return Sparse.of(showers.incident, showers.cells, showers.overflow, showers.time)

    def chunks(self, size: int | None = None) -> Iterator[Showers]:
        """All showers in order, piece by piece as `spans` cuts them."""
        return (self.read(start, stop) for start, stop in self.spans(size))

    def spans(self, size: int | None = None) -> Iterator[tuple[int, int]]:
        """Start and stop of pieces of `size` showers; by default of what fits a few tens of MB."""
        size = size or max(1, min(_SHOWERS_AT_ONCE, _CELLS_AT_ONCE // self.detector.n_cells))
        return ((start, min(len(self), start + size)) for start in range(0, len(self), size))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
