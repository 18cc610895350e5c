"""What must agree before a bundle's showers may stand for Geant4's in an event of a detector."""

from __future__ import annotations

__all__ = ["check_fit", "event_detector", "without_threshold"]

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from caloforge.detector import CartesianGrid, Detector, Slab
from caloforge.errors import BundleError, DetectorError

if TYPE_CHECKING:
    from caloforge.deploy.bundle.validity import Validity


def event_detector(detector: Detector) -> Detector:
    """Return the detector with a readout that stays where it is: many particles share it.

    Raises:
        DetectorError: A barrel, no material, or a readout that turns with the particle.
    """
    if detector.shape != "planar" or not detector.slabs:
        raise DetectorError(
            "events are simulated in planar detectors with a material stack",
            where=detector.name,
            got=detector.shape if detector.slabs else "no stack",
        )
    polar = [layer.name for layer in detector.layers if not isinstance(layer.grid, CartesianGrid)]
    if detector.readout.frame == "particle" or polar:
        raise DetectorError(
            "the particles of an event share one readout, which cannot lie around each of them",
            where=detector.name,
            got=f"polar cells in {polar[0]}" if polar else "readout.frame: particle",
            expected="frame: detector, and cartesian grids",
            cure="write a detector file with the same stack and a fixed readout",
        )
    return _with_readout(detector, centre="axis")


def without_threshold(detector: Detector) -> Detector:
    """Return the detector without a threshold, which holds for the sum over all particles."""
    return _with_readout(detector, threshold=None)


def _with_readout(detector: Detector, **changes: Any) -> Detector:
    fields = {name: getattr(detector, name) for name in Detector.model_fields}
    readout = detector.readout.model_copy(update=changes)
    # A copy would take over what the detector has worked out of its old readout.
    return Detector.model_construct(**fields | {"readout": readout})


def check_fit(bundle: str, made_for: Detector, valid: Validity, detector: Detector) -> None:
    """See that a bundle's showers are those of a detector, up to the size of the windows.

    Args:
        bundle: Its name.
        made_for: The bundle's detector.
        valid: What it was trained for.
        detector: That of the event.

    Raises:
        BundleError: They are not; the error names the first difference.
    """
    for what, got, expected in _differences(made_for, detector):
        if got != expected:
            raise BundleError(
                "the bundle was made for another detector",
                where=f"{bundle} ({made_for.name}), {what}",
                got=got,
                expected=f"{expected}, as in {detector.name}",
                cure="stack, layers, cell sizes, deposits and threshold must agree; windows may differ",
            )
    if made_for.readout.centre == "barycentre" and valid.theta.max > 0:
        raise BundleError(
            "the bundle's window follows the shower: where it lies is not known for inclined particles",
            where=bundle,
            got=f"readout.centre: barycentre, theta {valid.theta}",
            expected="readout.centre: axis, or orthogonal particles alone",
        )


def _differences(one: Detector, other: Detector) -> Iterator[tuple[str, Any, Any]]:
    yield "shape", one.shape, other.shape
    yield "stack", _stack(one), _stack(other)
    yield "number of layers", one.n_layers, other.n_layers
    for name in ("frame", "deposits", "sampling_fraction", "threshold"):
        yield f"readout.{name}", getattr(one.readout, name), getattr(other.readout, name)
    for mine, its in zip(one.layers, other.layers, strict=False):
        yield f"depth of {mine.name}", (mine.start, mine.end), (its.start, its.end)
        yield f"cells of {mine.name}", _cell(mine.grid), _cell(its.grid)


def _stack(detector: Detector) -> _Stack:
    """Slabs with what they are made of: a mixture may have any name."""
    return _Stack((_made_of(detector, slab), slab.thickness, slab.active) for slab in detector.slabs)


def _made_of(detector: Detector, slab: Slab) -> Any:
    mixture = detector.materials.get(slab.material)
    return slab.material if mixture is None else (mixture.density, sorted(mixture.nist.items()))


class _Stack(tuple[Any, ...]):
    """Slabs, told in a few words."""

    def __str__(self) -> str:
        materials = len({str(slab[0]) for slab in self})
        return f"{len(self)} slabs of {materials} materials, {sum(slab[1] for slab in self):g} mm deep"


def _cell(grid: object) -> Any:
    if not isinstance(grid, CartesianGrid):
        return "polar"
    return tuple(round(size, 9) for size in grid.cell)
