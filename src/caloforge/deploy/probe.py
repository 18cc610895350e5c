"""A few showers that a graph made when it was exported, and whether it still makes them."""

from __future__ import annotations

__all__ = ["check_probe", "take_probe"]

import numpy as np
from numpy.typing import NDArray

from caloforge.deploy.asking import spread_incident
from caloforge.deploy.bundle.manifest import Probe
from caloforge.deploy.sampling import Sampler
from caloforge.errors import BundleError
from caloforge.models.blocks.noise import draw_noise

_SEED, _SHOWERS = 20, 3
_TOLERANCE = 1e-4  # processors round differently: 1e-6 in float32


def take_probe(sampler: Sampler, tolerance: float = _TOLERANCE) -> Probe:
    """Make showers spread over the trained range, and note what is in their layers.

    Args:
        sampler: Runs the graph.
        tolerance: How far another machine may be off, relative to a shower's energy; in reduced precision
            processors differ by more than in float32.
    """
    incident = spread_incident(sampler.valid, sampler.conditions, np.random.default_rng(_SEED), _SHOWERS)
    return Probe(
        seed=_SEED,
        incident=tuple(map(tuple, incident.tolist())),
        layers_mev=tuple(map(tuple, _layers(sampler, incident, _SEED).tolist())),
        tolerance=tolerance,
    )


def check_probe(sampler: Sampler, probe: Probe) -> float:
    """Make the showers again.

    Args:
        sampler: Runs the graph.
        probe: What it made when it was exported.

    Returns:
        The greatest difference in a layer, relative to the energy of its shower.

    Raises:
        BundleError: It is more than the probe's tolerance.
    """
    expected = np.array(probe.layers_mev)
    got = _layers(sampler, np.array(probe.incident, np.float32), probe.seed)
    energy = np.maximum(expected.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    worst = float((np.abs(got - expected) / energy).max())
    if not worst <= probe.tolerance:  # NaN, too
        raise BundleError(
            "the graph does not make the showers that it made when it was exported",
            where=sampler.name,
            got=f"a layer that differs by {worst:.2g} of the shower's energy",
            expected=f"at most {probe.tolerance:g}",
            cure="export the run again; if this machine alone makes other showers, please report it",
        )
    return worst


def _layers(sampler: Sampler, incident: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """Energy per shower and layer in MeV, shape `(n, layers)`, as the graph gives it: without threshold."""
    noise = draw_noise(np.random.default_rng(seed), len(incident), sampler.noise_shape)
    cells = sampler.run(noise, incident).astype(np.float64)
    return np.stack([cells[:, layer.cells].sum(axis=1) for layer in sampler.detector.layers], axis=1)
