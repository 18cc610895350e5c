"""A generator asked on purpose: the same noise at other energies, and a walk from one noise to another."""

from __future__ import annotations

__all__ = ["scans"]

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from caloforge.observables import Observable, Shapes, evaluate, observables_for
from caloforge.showers import Incident, Showers
from caloforge.validation.charts import Chart, Curve, Line
from caloforge.validation.inputs.samples import Model, Samples
from caloforge.validation.measure import Measure, Number
from caloforge.validation.study import Study, Tell

Array = NDArray[np.float64]
_ENERGIES, _NOISES, _STEPS, _WALKS = 40, 64, 33, 16
_BEYOND = 1.5
"""How far beyond the trained energies the scan goes, as a factor."""


def scans(samples: Samples, tell: Tell) -> Study:
    """Scan the conditions and the latent space of the first candidate's generator.

    Energy: 64 noises, the same at each of 40 energies, from 1/1.5 of the lowest to 1.5 times the highest
    trained one; the other conditions stay at their means in Geant4's sample. Latent space: 16 walks of 33
    steps on the sphere between two noises at the mean energy. A good generator changes smoothly in both.

    Args:
        samples: With `model`.
        tell: Told of the progress.

    Returns:
        Number `latent_jump`: the largest step of a walk, in any observable, over its spread. Geant4 has no
        latent space, so it has no floor.
    """
    model = samples.model
    if model is None:
        raise ValueError("a scan needs a generator")
    observables = [o for o in observables_for(samples.detector) if o.layer is None]
    rng = np.random.default_rng([samples.seed, 21])
    low, high = model.valid.energy.min / _BEYOND, model.valid.energy.max * _BEYOND
    energies = np.geomspace(low, high, _ENERGIES)
    noise = rng.standard_normal((_NOISES, *model.noise_shape)).astype(np.float32)
    values = []
    for i, energy in enumerate(energies):
        values.append(_observe(model, observables, samples, noise, float(energy)))
        tell(0.6 * (i + 1) / _ENERGIES, "energy scan")
    walks = [_walk(model, observables, samples, rng) for _ in range(_WALKS)]
    tell(1.0, "latent walks")
    by_energy = np.stack(values)
    outside = ((low, model.valid.energy.min), (model.valid.energy.max, high))
    charts: list[Chart] = [
        _energy_chart(samples, o, energies, by_energy[:, :, i], outside) for i, o in enumerate(observables)
    ]
    charts += [_walk_chart(o, [walk[:, i] for walk in walks]) for i, o in enumerate(observables)]
    numbers = (_jump(walks, by_energy, observables),)
    return Study(
        "scans",
        "Scans of the generator",
        (numbers, *(() for _ in samples.candidates[1:])),
        charts=tuple(charts),
        method=(
            f"Scans ask the generator of {samples.candidates[0].name} itself: {_NOISES} noises at "
            f"{_ENERGIES} energies, and {_WALKS} walks of {_STEPS} steps between two noises on a sphere."
        ),
    )


def _observe(
    model: Model,
    observables: Sequence[Observable],
    samples: Samples,
    noise: NDArray[np.float32],
    energy: float,
) -> Array:
    """Return observables of one shower per noise, shape `(n, observables)`."""
    means = {
        name: float(np.mean(getattr(samples.reference.incident, name))) for name in ("theta", "phi", "x", "y")
    }
    pdg = int(samples.reference.incident.pdg[0])
    incident = Incident.of(np.full(len(noise), energy), pdg=pdg, **means)
    cells = model.run(noise, incident.matrix(model.conditions))
    shapes = Shapes(Showers(model.detector, incident, np.maximum(cells, 0.0)))
    return np.asarray(evaluate(observables, shapes), np.float64)


def _walk(
    model: Model, observables: Sequence[Observable], samples: Samples, rng: np.random.Generator
) -> Array:
    """Return observables along a great circle between two noises, shape `(steps, observables)`."""
    first, second = rng.standard_normal((2, *model.noise_shape))
    angle = np.linspace(0.0, np.pi / 2, _STEPS).reshape(-1, *(1,) * len(model.noise_shape))
    # two independent normal vectors are nearly orthogonal: this keeps the length of a normal vector
    noise = (np.cos(angle) * first + np.sin(angle) * second).astype(np.float32)
    energy = float(np.mean(samples.reference.incident.energy))
    return _observe(model, observables, samples, noise, energy)


def _energy_chart(
    samples: Samples,
    observable: Observable,
    energies: Array,
    values: Array,
    outside: tuple[tuple[float, float], ...],
) -> Chart:
    borders = np.sqrt(energies[1:] * energies[:-1])
    where = np.digitize(samples.reference.incident.energy, borders)
    column = np.asarray(samples.reference.column(observable.name), np.float64)
    geant4 = [column[(where == i) & np.isfinite(column)] for i in range(len(energies))]
    lines = (
        Line("Geant4", "geant4", *_mean_and_error(geant4)),
        Line(samples.candidates[0].name, "candidate", *_mean_and_error([v[np.isfinite(v)] for v in values])),
    )
    return Curve(
        key=f"scan.{observable.name}",
        title=f"{observable.label}, same noise at all energies",
        theme="scans",
        caption="Mean over 64 noises. Shaded: energies outside the training.",
        x="Incident energy",
        unit="MeV",
        y=observable.label,
        y_unit=observable.unit,
        at=energies,
        lines=lines,
        log_x=True,
        ratio=False,
        shaded=outside,
    )


def _mean_and_error(parts: Sequence[Array]) -> tuple[Array, Array]:
    enough = [part if len(part) > 1 else np.full(2, np.nan) for part in parts]
    return (
        np.array([part.mean() for part in enough]),
        np.array([part.std(ddof=1) / np.sqrt(len(part)) for part in enough]),
    )


def _walk_chart(observable: Observable, walks: list[Array]) -> Chart:
    return Curve(
        key=f"walk.{observable.name}",
        title=f"{observable.label}, walks through the latent space",
        theme="scans",
        caption="Each line walks from one noise to another at the mean energy.",
        x="Way",
        unit="",
        y=observable.label,
        y_unit=observable.unit,
        at=np.linspace(0.0, 1.0, _STEPS),
        lines=tuple(Line(f"walk {i + 1}", "candidate", walk) for i, walk in enumerate(walks[:4])),
        ratio=False,
    )


def _jump(walks: list[Array], by_energy: Array, observables: Sequence[Observable]) -> Number:
    """Return the largest step of any walk over the spread between noises at one energy."""
    spread = np.nanstd(by_energy[_ENERGIES // 2], axis=0)
    usable = np.isfinite(spread) & (spread > 0) & np.array([not o.integer for o in observables])
    steps = [np.abs(np.diff(walk[:, usable], axis=0)).max(axis=0) / spread[usable] for walk in walks]
    largest = np.nanmax(np.stack(steps), axis=1)
    return Number(
        "latent_jump",
        "Largest step of a latent walk",
        Measure(float(largest.mean()), float(largest.std(ddof=1) / np.sqrt(len(largest)))),
        "σ",
        meaning=f"Largest change of an observable in 1/{_STEPS - 1} of the way, over its spread.",
        beyond=False,
    )
