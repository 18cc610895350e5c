"""Does the exported graph make the model's showers? Measured on the very files that are shipped."""

from __future__ import annotations

__all__ = ["measure_parity"]

import numpy as np

from caloforge.deploy.asking import spread_incident
from caloforge.deploy.bundle.manifest import Parity
from caloforge.deploy.sampling import Sampler
from caloforge.errors import BundleError
from caloforge.models.blocks.noise import draw_noise

_BATCHES = (1, 2, 7, 64)
_REPEATS = 3
# Rounding alone gives 1e-6; a wrong graph is wrong by far more than this.
_TOLERANCE = 1e-4


def measure_parity(
    reference: Sampler, exported: Sampler, seed: int = 20, tolerance: float = _TOLERANCE
) -> Parity:
    """Compare a generator with what it was exported from, on the same noise and incident particles.

    Batches of several sizes are spread over the trained range, its ends included.

    Args:
        reference: The trained model.
        exported: Runs the exported graph.
        seed: Of noise and particles.
        tolerance: Of any cell, relative to the hottest one: more is no rounding.

    Returns:
        The greatest difference of any cell, in MeV and relative to the hottest cell of all.

    Raises:
        BundleError: The difference is more than rounding.
    """
    rng = np.random.default_rng(seed)
    worst = hottest = 0.0
    for batch in _BATCHES * _REPEATS:
        noise = draw_noise(rng, batch, reference.noise_shape)
        incident = spread_incident(reference.valid, reference.conditions, rng, batch)
        expected, got = reference.run(noise, incident), exported.run(noise, incident)
        if got.shape != expected.shape or not (np.isfinite(got).all() and np.isfinite(expected).all()):
            shapes = f"shapes {got.shape} and {expected.shape}, or cells that are not finite"
            raise _differs(exported, shapes, tolerance)
        worst = max(worst, float(np.abs(got - expected).max()))
        hottest = max(hottest, float(expected.max()))
    # A generator whose showers are all empty has nothing to be relative to.
    relative = worst / hottest if hottest else worst
    if not relative <= tolerance:
        apart = f"{worst:.3g} MeV in a cell, {relative:.2g} of the hottest one ({hottest:.3g} MeV)"
        raise _differs(exported, apart, tolerance)
    return Parity(
        batches=_BATCHES,
        showers=_REPEATS * sum(_BATCHES),
        max_abs_mev=worst,
        max_relative=relative,
        tolerance=tolerance,
    )


def _differs(exported: Sampler, got: str, tolerance: float) -> BundleError:
    return BundleError(
        "the exported graph does not make the model's showers; no bundle was written",
        where=exported.name,
        got=got,
        expected=f"at most {tolerance:g} of the hottest cell",
        cure="this is a fault of caloforge or of the exporter: please report it with the recipe",
    )
