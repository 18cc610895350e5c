"""Can boosted trees tell the candidates' cells from Geant4's? With growth, and in slices of energy."""

from __future__ import annotations

__all__ = ["cells"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from caloforge.validation.charts.slices import growth_chart, slice_charts
from caloforge.validation.classifiers.families import Trees
from caloforge.validation.classifiers.pictures import Judged, charts, layers_table
from caloforge.validation.classifiers.separation import FEWEST, Separation, separate
from caloforge.validation.classifiers.shares import MOST_CELLS, STEPS, Shares, share_inputs
from caloforge.validation.classifiers.slices import Slice, energy_slices, sliced
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Measure, Number
from caloforge.validation.parallel import side_by_side
from caloforge.validation.studies.family import (
    Plan,
    above_chance,
    details_of,
    findings_of,
    method_of,
    numbers_of,
    showers_of,
)
from caloforge.validation.study import Study, Tell

Array = NDArray[np.float64]

_ROUNDS, _RATE = 200, 0.1
_PER_LEAF, _LEAF = 60, (20, 100)
"""A leaf holds at least about a hundredth of the showers that train, within limits: this finds most."""

_SHARES_OF_ALL = (4, 2, 1)
"""A quarter, a half and all of the showers: does the AUC still rise?"""

_RISES = 2.0


@dataclass(frozen=True)
class _Found:
    """What the trees say of one pair of samples.

    Attributes:
        grown: With a quarter, a half and all of the showers.
        energy: Incident energies of these, the reference's first, MeV.
    """

    grown: tuple[Separation, ...]
    energy: NDArray[np.float32]

    @property
    def all(self) -> Separation:
        return self.grown[-1]


def cells(samples: Samples, tell: Tell, *, trainings: int = 5) -> Study:
    """Grow boosted trees on the log-shares of cells: `auc_cells`, `jsd_cells`, `slice_auc_worst`.

    Args:
        samples: What is compared.
        tell: Called with the progress.
        trainings: Classifiers of each pair, 2 or more.
    """
    showers = showers_of(samples, True)
    plan = Plan("cells", "trees on cells", _METHOD, trainings, True)
    if showers < FEWEST:
        return plan.untrained(samples, showers)
    sizes = tuple(m for m in (showers // share for share in _SHARES_OF_ALL) if m >= FEWEST)
    found = _judge(samples, tell, plan, sizes)
    judged = Judged(tuple(s.name for s in samples.candidates), found[0].all, tuple(f.all for f in found[1:]))
    edges = energy_slices(samples.reference.incident.energy)
    slices = [sliced(f.all, f.energy, edges) for f in found]
    grown = [[(float(g.auc.mean()), g.auc_error) for g in f.grown] for f in found]
    return Study(
        plan.key,
        plan.title,
        tuple(
            (*_with_growth(numbers_of(plan, f.all, judged, showers), sizes, g), *_worst(s, slices[0]))
            for f, g, s in zip(found[1:], grown[1:], slices[1:], strict=True)
        ),
        (
            growth_chart(judged.names, sizes, grown),
            *slice_charts(samples, edges, slices),
            layers_table(judged, [layer.name.replace("_", " ") for layer in samples.detector.layers]),
            *charts(judged, plan.key, plan.label),
        ),
        tuple(findings_of(plan, f.all, judged) for f in found[1:]),
        method_of(plan, showers),
        details_of(judged) | _details(judged.names, sizes, grown, edges, slices),
    )


def _judge(samples: Samples, tell: Tell, plan: Plan, sizes: Sequence[int]) -> list[_Found]:
    def against(other: Sample) -> Callable[[Tell], _Found]:
        def job(tell: Tell) -> _Found:
            note = f"{plan.label} against {other.name}"
            shares, grown, done = share_inputs(samples.reference, other), [], 0
            for size in sizes:
                part = _part(tell, note, done / sum(sizes), size / sum(sizes))
                grown.append(
                    separate(size, _trees(samples, shares, size), plan.trainings, samples.seed, part)
                )
                done += size
            energies = [sample.energies[: sizes[-1]] for sample in (samples.reference, other)]
            return _Found(tuple(grown), np.concatenate(energies))

        return job

    with threadpool_limits(1, user_api="blas"):
        return side_by_side([against(other) for other in (samples.floor, *samples.candidates)], tell)


def _part(tell: Tell, note: str, start: float, length: float) -> Callable[[float], None]:
    return lambda share: tell(start + length * share, note)


def _trees(samples: Samples, shares: Shares, showers: int) -> Trees:
    layers = tuple(np.flatnonzero(shares.layer == i) for i in range(samples.detector.n_layers))
    leaf = int(np.clip(showers // _PER_LEAF, *_LEAF))
    return Trees(shares.first(showers), _ROUNDS, _RATE, leaf, layers, hold=False)


def _with_growth(
    numbers: tuple[Number, ...], sizes: Sequence[int], grown: Sequence[tuple[float, float]]
) -> tuple[Number, ...]:
    """Say with the AUC how it grew with the number of showers."""
    auc, *others = numbers
    steps = ", ".join(f"{value:.2f} with {size:,}" for (value, _), size in zip(grown, sizes, strict=True))
    return replace(auc, meaning=f"{auc.meaning} {steps} showers{_rising(grown)}."), *others


def _rising(grown: Sequence[tuple[float, float]]) -> str:
    if len(grown) < 2:
        return ""
    (before, before_error), (last, error) = grown[-2:]
    return ": still rising" if last - before > _RISES * np.hypot(before_error, error) else ""


def _worst(slices: Sequence[Slice], floor: Sequence[Slice]) -> tuple[Number, ...]:
    known = [s for s in slices if np.isfinite(s.auc)]
    chance = [s for s in floor if np.isfinite(s.auc)]
    if not known or not chance:
        return ()
    worst, most = max(known, key=lambda s: s.auc), max(chance, key=lambda s: s.auc)
    measure = Measure(worst.auc, worst.error, most.auc, most.error)
    return (
        Number(
            "slice_auc_worst",
            "Trees on cells, worst slice of energy",
            measure,
            beyond=above_chance(measure, 0.5),
            meaning="Largest AUC of the trees on cells in any slice of incident energy, also of the floor.",
        ),
    )


def _details(
    names: Sequence[str],
    sizes: Sequence[int],
    grown: Sequence[Sequence[tuple[float, float]]],
    edges: Array,
    slices: Sequence[Sequence[Slice]],
) -> dict[str, object]:
    of = ("floor", *names)
    return {
        "growth": {
            "showers": list(sizes),
            "auc": {name: [list(pair) for pair in g] for name, g in zip(of, grown, strict=True)},
        },
        "slices": {
            "energy_edges": edges.tolist(),
            "auc": {
                name: [[s.auc, s.error, s.showers] for s in found]
                for name, found in zip(of, slices, strict=True)
            },
        },
    }


_METHOD = (
    f"{_ROUNDS} gradient-boosted trees of up to 15 leaves, learning rate {_RATE:g}, on log10 of cells' "
    f"shares of their layers' energies, floored at 1e-5, in {STEPS} steps that hold equally many hits; of "
    f"the cells, the {MOST_CELLS} that most showers hit. All 504 cells of CaloGAN's calorimeter gave the "
    "same AUC with 2,705 showers (0.83), and 0.89 instead of 0.87 with 6,849. Neither shares of the layers "
    "nor the response enter. Four fifths of the showers train, a fifth tests; the tests of the other "
    "trainings calibrate (isotonic regression). The AUC of a slice is that of its showers by the same trees."
)
