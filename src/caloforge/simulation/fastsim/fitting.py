"""The detector of an event, and which bundles may stand for Geant4 in it."""

from __future__ import annotations

__all__ = ["check_bundle", "event_detector", "without_threshold"]

from typing import TYPE_CHECKING, Any

from caloforge.detector import CartesianGrid, Detector
from caloforge.errors import BundleError, DetectorError

if TYPE_CHECKING:
    from caloforge.deploy.bundle.validity import Validity
    from caloforge.simulation.placing import Placing


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
            cure="`caloforge event` adds generated showers in barrels and without a stack, too",
        )
    other = [layer for layer in detector.layers if not isinstance(layer.grid, CartesianGrid)]
    if detector.readout.frame == "particle" or other:
        raise DetectorError(
            "the particles of an event share one readout, which cannot lie around each of them",
            where=detector.name,
            got=f"a {other[0].grid.kind} grid in {other[0].name}" if other else "readout.frame: particle",
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


def check_bundle(name: str, valid: Validity, placing: Placing) -> None:
    """See that a bundle's showers may be caught and added where they are placed.

    Args:
        name: Of the bundle.
        valid: What it was trained for.
        placing: From the bundle's detector to that of the event.

    Raises:
        BundleError: Another threshold, cells that never meet, or a window that follows inclined showers.
    """
    made_for, detector = placing.source, placing.target
    if made_for.readout.threshold != detector.readout.threshold:
        raise BundleError(
            "the bundle was made with another threshold",
            where=f"{name}, readout.threshold",
            got=f"{made_for.readout.threshold} MeV",
            expected=f"{detector.readout.threshold} MeV, as in {detector.name!r}",
        )
    if None in placing.lattice:
        raise BundleError(
            "the cells of the bundle's showers never fall on cells of this detector",
            where=f"{name}, {'xy'[placing.lattice.index(None)]}",
            cure="choose windows that differ by an even number of cells in every layer",
        )
    if made_for.readout.centre == "barycentre" and valid.theta.max > 0:
        raise BundleError(
            "the bundle's window follows the shower: where it lies is not known for inclined particles",
            where=name,
            got=f"readout.centre: barycentre, theta {valid.theta}",
            expected="readout.centre: axis, or orthogonal particles alone",
        )
