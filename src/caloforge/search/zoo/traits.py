"""What of a detector decides how hard its showers are, so that a measured one can stand for another."""

from __future__ import annotations

__all__ = ["Traits", "distance", "traits_of"]

import math
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from caloforge.detector import Detector

Grids = Literal["image", "images", "volume", "rings", "polygons"]


class Traits(BaseModel):
    """What is known of a detector.

    Attributes:
        name: Of the detector.
        digest: Of its description.
        cells: How many.
        layers: How many.
        grids: One image, images of several sizes, a volume (all layers alike), rings, or polygons.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    digest: str
    cells: int
    layers: int
    grids: Grids

    def __str__(self) -> str:
        many = f"{self.layers} layers" if self.layers > 1 else "1 layer"
        return f"{self.name} ({self.cells:,} cells, {many}, {_WORDS[self.grids]})"


_WORDS: dict[Grids, str] = {
    "image": "an image",
    "images": "images of several sizes",
    "volume": "a volume",
    "rings": "rings",
    "polygons": "polygons",
}


def traits_of(detector: Detector) -> Traits:
    """Return what matters of a detector.

    Example:
        >>> from caloforge.detector import load_detector
        >>> str(traits_of(load_detector("calogan")))
        'calogan (504 cells, 3 layers, images of several sizes)'
    """
    return Traits(
        name=detector.name,
        digest=detector.digest,
        cells=detector.n_cells,
        layers=detector.n_layers,
        grids=_grids(detector),
    )


def distance(one: Traits, other: Traits) -> float:
    """Return how unlike two detectors are: decades of cells and of layers, and 1 for other grids.

    Only differences in kind and in size count; 0 does not mean that they are the same.
    """
    cells = abs(math.log10(one.cells / other.cells))
    layers = abs(math.log10(one.layers / other.layers))
    return cells + layers + (one.grids != other.grids)


def _grids(detector: Detector) -> Grids:
    kinds = {layer.grid.kind for layer in detector.layers}
    if kinds - {"cartesian", "polar"}:
        return "polygons"
    if "polar" in kinds:
        return "rings"
    if detector.n_layers == 1:
        return "image"
    return "volume" if len({layer.shape for layer in detector.layers}) == 1 else "images"
