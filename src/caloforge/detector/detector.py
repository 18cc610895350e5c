"""The detector: material stack, readout layers and their cells; immutable, written as one YAML file."""

from __future__ import annotations

__all__ = ["Binning", "Detector"]

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from caloforge.detector import readout as readouts
from caloforge.detector import stack as stacks
from caloforge.detector.canonical import canonical_yaml
from caloforge.detector.checks import (
    check_digitisation,
    check_layers,
    check_materials,
    check_shape,
    check_stack,
)
from caloforge.detector.digitisation import Digitisation
from caloforge.detector.materials import Mixture
from caloforge.detector.parts import Name, Part, Thickness
from caloforge.detector.reading import read_yaml
from caloforge.detector.readout import Layer, Readout
from caloforge.detector.stack import Fan, Layered, Row, Slab, SlabGroup
from caloforge.errors import DetectorError


class Binning(Part):
    """What a CaloChallenge binning file says besides the cells.

    Args:
        particle: Name of the incident particle.
        pid: Its PDG id.
        eta: The range of pseudorapidity as the file has it, if it does.
        layer_ids: How many layer ids the file lists, those without cells included.
    """

    particle: str = Field(min_length=1)
    pid: int = Field(strict=True)
    eta: tuple[float, float] | None = None
    layer_ids: Annotated[int, Field(strict=True, ge=1, le=readouts.MAX_LAYERS)] | None = None


class Detector(Part):
    """A calorimeter: what is hit, and how it is read out. Lengths in mm, energies in MeV.

    Args:
        name: Its name.
        about: One line on what it is.
        source: Where its description was published.
        shape: `planar` (boxes across z) or `barrel` (tubes around an axis; depth is radial).
        size: Planar: full extent in x and y. Barrel: half-length along its axis.
        inner_radius: Barrel only: radius of its front face.
        materials: Mixtures by name, beside Geant4's NIST materials.
        stack: Slabs in depth order from z = 0; empty where only the readout is known.
        readout: Which deposits count, and the layers.
        binning: What a CaloChallenge binning file says besides.
        digitisation: What the electronics make of the cells; None where only energies are known.

    Raises:
        DetectorError: from `from_yaml` and `load_detector`; building a `Detector` directly raises
            pydantic's own error.

    Example:
        >>> from caloforge.detector import load_detector
        >>> detector = load_detector("calogan")
        >>> detector.n_cells, [layer.shape for layer in detector.layers]
        (504, [(3, 96), (12, 12), (12, 6)])
    """

    name: Name
    about: str = ""
    source: str = ""
    shape: Literal["planar", "barrel"] = "planar"
    size: tuple[Thickness, ...] | None = None
    inner_radius: Thickness | None = None
    materials: dict[Name, Mixture] = Field(default_factory=dict)
    stack: tuple[SlabGroup, ...] = ()
    readout: Readout
    binning: Binning | None = None
    digitisation: Digitisation | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Detector:
        check_shape(self)
        check_materials(self)
        check_stack(self)
        check_layers(self)
        check_digitisation(self)
        return self

    @classmethod
    def from_yaml(cls, text: str, where: str = "detector") -> Detector:
        """Read a detector from YAML text; `where` names the file in errors.

        Raises:
            DetectorError: with file, line and key of what is wrong, and the cure.
        """
        return read_yaml(cls, text, where)

    def to_yaml(self) -> str:
        """Return the canonical YAML: equal detectors give equal text, and `from_yaml` reads it back."""
        return self._canonical

    @cached_property
    def _canonical(self) -> str:
        return canonical_yaml(self)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical YAML without digitisation and times, hexadecimal.

        Showers and generators belong to a digest: no energy depends on electronics and on whether cells have
        times.
        """
        return hashlib.sha256(canonical_yaml(self, whole=False).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        # Two spellings (`cells: [3, 96]`, `cell: [160 mm, 5 mm]`) are one detector.
        return self._canonical == other._canonical if isinstance(other, Detector) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return (
            f"Detector({self.name!r}, {self.n_layers} layers, {self.n_cells} cells, {len(self.slabs)} slabs)"
        )

    __str__ = __repr__

    @cached_property
    def slabs(self) -> tuple[Layered, ...]:
        """All slabs, rows and fans of plates in depth order."""
        return stacks.expand(self.stack, self.extents, self.inner_radius)

    @property
    def plates(self) -> tuple[Slab, ...]:
        """All pieces of material: slabs in depth order, and in their place the plates of rows."""
        return tuple(plate for slab in self.slabs for plate in slab.plates)

    @property
    def extents(self) -> dict[str, float]:
        """How wide the detector is, mm, by the axes that end; around a barrel there is no end."""
        if self.size is None:
            return {}
        return {"y": 2 * self.size[0]} if self.shape == "barrel" else dict(zip("xy", self.size, strict=True))

    @property
    def alike_around(self) -> bool:
        """Whether it looks the same from every azimuth."""
        return self.shape == "barrel" and not any(isinstance(slab, Fan) for slab in self.slabs)

    def made_of(self, slab: Layered) -> Any:
        """What a slab is made of, whatever a mixture is named; equal for equal materials."""
        if not isinstance(slab, Slab):
            plates = tuple((self.made_of(plate), plate.thickness) for plate in slab.sequence)
            if isinstance(slab, Row):
                return slab.across, plates
            return slab.around, slab.angle, self.made_of(slab.filling), plates
        mixture = self.materials.get(slab.material)
        return slab.material if mixture is None else (mixture.density, sorted(mixture.nist.items()))

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Whether deposits in each of the `plates` count, shape `(n_plates,)`."""
        active = np.array([plate.active for plate in self.plates], bool)
        return {"all": np.ones_like(active), "active": active, "passive": ~active}[self.readout.deposits]

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """All readout layers in depth order."""
        return readouts.expand(self.readout.layers)

    @property
    def depth(self) -> float:
        """Depth of the stack in mm; of the readout where there is no stack."""
        return self.slabs[-1].end if self.slabs else self.layers[-1].end

    @property
    def depth_is_nominal(self) -> bool:
        """Whether the layers' thickness is unknown, and each is taken as 1 mm thick."""
        return any(spec.thickness is None for spec in self.readout.layers)

    @property
    def sampling_fractions(self) -> NDArray[np.float64]:
        """What the deposits of each layer are divided by, shape `(n_layers,)`; 1 where nothing is said."""
        usual = self.readout.sampling_fraction or 1.0
        return np.array([layer.sampling_fraction or usual for layer in self.layers])

    def with_fractions(self, fractions: Sequence[float]) -> Detector:
        """The same detector with other sampling fractions, one for each layer; equal ones are the readout's.

        Raises:
            DetectorError: Another number of fractions than layers, or one outside of (0, 1].
        """
        if len(fractions) != self.n_layers:
            problem = f"{self.name!r} needs one sampling fraction for each layer"
            raise DetectorError(problem, got=len(fractions), expected=self.n_layers)
        same = len(set(fractions)) == 1
        layers = tuple(
            spec.model_copy(update={"sampling_fraction": None if same else fraction})
            for spec, fraction in zip(self.layer_specs, fractions, strict=True)
        )
        whole = {"sampling_fraction": fractions[0] if same else None, "layers": layers}
        return self.changed(readout=self.readout.model_copy(update=whole))

    def changed(self, **fields: Any) -> Detector:
        """The same detector but for some fields, with all checks.

        Raises:
            DetectorError: What comes of it is no detector.
        """
        known = {name: getattr(self, name) for name in Detector.model_fields}
        made = Detector.model_construct(**(known | fields))
        return Detector.from_yaml(made.to_yaml(), f"the detector {made.name}")

    @property
    def layer_specs(self) -> tuple[readouts.LayerSpec, ...]:
        """Each layer alone and in its place, as a file would have it."""
        specs = (spec for spec in self.readout.layers for _ in range(spec.count))
        return tuple(map(self._alone, specs, self.layers))

    def _alone(self, spec: readouts.LayerSpec, layer: Layer) -> readouts.LayerSpec:
        place = {} if self.depth_is_nominal else {"start": layer.start, "thickness": layer.thickness}
        return spec.model_copy(update={"name": layer.name, "id": layer.id, "count": 1, **place})

    @property
    def n_layers(self) -> int:
        """Number of readout layers."""
        return len(self.layers)

    @property
    def n_cells(self) -> int:
        """Number of cells in all layers."""
        return int(self.layers[-1].cells.stop)

    @cached_property
    def layer_of_cell(self) -> NDArray[np.int64]:
        """Index of the layer of each cell, shape `(n_cells,)`."""
        return _frozen(np.repeat(np.arange(self.n_layers), [layer.n_cells for layer in self.layers]))

    @cached_property
    def positions(self) -> NDArray[np.float64]:
        """Centre of each cell as x, y, z in mm, shape `(n_cells, 3)`."""
        depths = np.array([(layer.start + layer.end) / 2 for layer in self.layers])
        across = np.concatenate([layer.grid.centres() for layer in self.layers])
        return _frozen(np.column_stack([across, depths[self.layer_of_cell]]))

    @cached_property
    def sizes(self) -> NDArray[np.float64]:
        """Size of each cell, shape `(n_cells, 3)`: dx, dy, dz in mm, or dr in mm, dalpha in rad, dz in mm.

        Polygons have that of the box around them.
        """
        across = np.concatenate([layer.grid.sizes() for layer in self.layers])
        return _frozen(np.column_stack([across, self._thicknesses[self.layer_of_cell]]))

    @cached_property
    def volumes(self) -> NDArray[np.float64]:
        """Volume of each cell in mm3, shape `(n_cells,)`."""
        areas = np.concatenate([layer.grid.areas() for layer in self.layers])
        return _frozen(areas * self._thicknesses[self.layer_of_cell])

    @property
    def _thicknesses(self) -> NDArray[np.float64]:
        return np.array([layer.thickness for layer in self.layers])

    def split(self, cells: Any) -> list[Any]:
        """Cut vectors of cells into layers, without copying.

        Args:
            cells: numpy array or torch tensor, shape `(n, n_cells)`.

        Returns:
            One view per layer, shape `(n, *layer.shape)`.

        Raises:
            DetectorError: if the last axis has another number of cells.
        """
        if cells.ndim != 2 or cells.shape[1] != self.n_cells:
            raise DetectorError(
                f"these are not showers of the detector {self.name!r}",
                got=f"shape {tuple(cells.shape)}",
                expected=f"shape (n, {self.n_cells})",
            )
        return [cells[:, layer.cells].reshape(-1, *layer.shape) for layer in self.layers]

    def join(self, layers: Sequence[Any]) -> Any:
        """Put layers together to vectors of cells, the inverse of `split`.

        Args:
            layers: numpy arrays or torch tensors, shapes `(n, *layer.shape)`, one per layer.

        Returns:
            The cells, shape `(n, n_cells)`.

        Raises:
            DetectorError: if number or shapes of the layers are not this detector's.
        """
        got = [tuple(layer.shape[1:]) for layer in layers]
        expected = [layer.shape for layer in self.layers]
        if got != expected:
            raise DetectorError(
                f"these are not layers of the detector {self.name!r}", got=got, expected=expected
            )
        flat = [layer.reshape(layer.shape[0], -1) for layer in layers]
        if isinstance(flat[0], np.ndarray):
            return np.concatenate(flat, axis=1)
        import torch

        return torch.cat(flat, dim=1)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Make an array that is cached, and so shared, read-only."""
    array.setflags(write=False)
    return array
