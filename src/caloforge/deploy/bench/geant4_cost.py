"""What a shower of Geant4 costs for the same incident energies: measured now, or as it was recorded."""

from __future__ import annotations

__all__ = ["Geant4Cost", "check_geant4", "geant4_cost"]

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from caloforge import machine
from caloforge.deploy.engine import Engine
from caloforge.errors import BundleError, ShowersError
from caloforge.quantities import Interval, Spectrum
from caloforge.showers import Incident, open_showers

_SHOWERS, _SEED = 40, 1


@dataclass(frozen=True)
class Geant4Cost:
    """Geant4's time per shower.

    Attributes:
        ms_per_shower: CPU milliseconds on one core, averaged over the showers.
        low: 10 % of showers take less than this; None where only the average was recorded.
        high: 10 % of showers take more than this; None likewise.
        how: "measured now" or "recorded in FILE".
        machine: The processor that it was measured on, if known.
    """

    ms_per_shower: float
    low: float | None
    high: float | None
    how: str
    machine: str | None


def check_geant4() -> None:
    """Say at once, not after a minute of timing, if Geant4 cannot run."""
    from caloforge.truth import available

    available()


def geant4_cost(
    engine: Engine, incident: Incident, measure: bool, reference: str | Path | None
) -> Geant4Cost | None:
    """Return the cost for these particles; None if it is neither to be measured nor recorded.

    Args:
        engine: Knows the detector.
        incident: The particles.
        measure: Shoot some of them now.
        reference: A shower file that may have recorded it.

    Raises:
        BundleError: Nothing names the particle.
        ShowersError: What was recorded is no time.
    """
    if measure:
        return _measured(engine, incident)
    return _recorded(Path(reference)) if reference is not None else None


def _measured(engine: Engine, incident: Incident) -> Geant4Cost:
    from caloforge.truth import time_geant4

    if not incident.pdg[0]:
        raise BundleError(
            "Geant4 cannot shoot these particles: the training showers do not say what they are",
            where="--geant4",
            cure="give a --reference that names them, or convert the training showers with `--particle`",
        )
    spectrum = Spectrum("listed", tuple(incident.energy.astype(float).tolist()), "the energies of the bench")
    theta = Interval(float(incident.theta.min()), float(incident.theta.max()))
    taken = time_geant4(
        engine.detector, str(incident.pdg[0]), spectrum, count=_SHOWERS, seed=_SEED, theta=theta
    )
    # The cost grows with the energy, and few showers are drawn: their mean energy is not that of all.
    mean = taken.per_gev * float(incident.energy.mean(dtype=np.float64)) / 1e3
    low, high = np.quantile(taken.milliseconds, (0.1, 0.9)).tolist()
    how = f"measured now with {_SHOWERS} showers of the same energies"
    return Geant4Cost(mean, low, high, how, machine.processor())


def _recorded(reference: Path) -> Geant4Cost | None:
    with open_showers(reference) as file:
        provenance = file.provenance
    ms = provenance.get("ms_per_shower")
    if ms is None or "physics" not in provenance:
        return None
    if not (isinstance(ms, int | float) and 0 < ms < float("inf")):
        raise ShowersError("the recorded time per shower is not a time", where=reference, got=ms)
    return Geant4Cost(float(ms), None, None, f"recorded in {reference.name}", provenance.get("processor"))
