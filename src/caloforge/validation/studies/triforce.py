"""Does a reconstruction that was made for Geant4 work on the candidates, and the reverse?"""

from __future__ import annotations

__all__ = ["triforce"]

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from caloforge.validation.charts import Chart, Curve, Histogram, Line, Role, binned
from caloforge.validation.classifiers.triforce import (
    HIDDEN,
    SCHEDULE,
    WIDTH,
    Residuals,
    apply,
    task_of,
    train,
)
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Measure, Number
from caloforge.validation.metrics.energy_bins import equal_shares
from caloforge.validation.study import Absent, Finding, Study, Tell, without_numbers

Array = NDArray[np.float64]
_FEWEST = 100
_BINS = 8
_TITLE = "Reconstruction"


@dataclass(frozen=True)
class _Pair:
    """One number and its error."""

    value: float
    error: float


_Take = Callable[[Residuals], _Pair | None]


@dataclass(frozen=True)
class _Figure:
    """A figure of merit of residuals."""

    name: str
    label: str
    unit: str
    take: _Take
    meaning: str


def triforce(samples: Samples, tell: Tell, *, trainings: int = 3) -> Study:
    """Train a network on Geant4 and apply it to other showers, and train on others and apply to Geant4.

    It measures the incident energy from the cells, the angle where it varies, and the particle where there
    are several (as TriForce, arXiv 1912.06794). `regression_*` is trained on the reference and applied to
    the candidate, floor: to the other sample of Geant4. `transfer_*` is trained on the candidate and applied
    to the reference, floor: trained on the other sample of Geant4.

    Args:
        samples: What is compared.
        tell: Called with the progress.
        trainings: Networks for each, 2 or more: their scatter is part of the error.
    """
    showers = min(s.cells.shape[0] for s in (samples.reference, samples.floor, *samples.candidates))
    if showers < _FEWEST or samples.reference.cells.nnz == 0:
        few = showers < _FEWEST
        absent = Absent(showers, _FEWEST) if few else Absent(showers, 0, "no shower has energy")
        return without_numbers("triforce", _TITLE, samples.candidates, absent)
    forward, reverse = _residuals(samples, trainings, tell)
    figures = _figures(forward[0][0])
    numbers = tuple(
        (*_numbers("regression", forward, i, figures), *_numbers("transfer", reverse, i, figures))
        for i in range(1, len(forward))
    )
    names = tuple(candidate.name for candidate in samples.candidates)
    return Study(
        name="triforce",
        title=_TITLE,
        numbers=numbers,
        charts=(*_charts("regression", forward, names), *_charts("transfer", reverse, names)),
        findings=tuple(_findings(found) for found in numbers),
        method=f"{_TITLE}: {HIDDEN} hidden layers of {WIDTH} nodes on logarithms of cells and layers "
        "measure the "
        f"incident energy, the angle if it varies and the particle if there are several (after TriForce, "
        "arXiv "
        f"1912.06794), Adam at {SCHEDULE.learning_rate:g} falling to 0, batches of {SCHEDULE.batch}, the "
        "epoch that "
        f"is best on a fifth of the showers. Mean of {trainings} trainings on {showers} showers. Bias and "
        "resolution are mean and standard deviation of 100 (E - prediction) / E.",
    )


_Found = list[list[Residuals]]
"""For the floor and each candidate: residuals of each training."""


def _residuals(samples: Samples, trainings: int, tell: Tell) -> tuple[_Found, _Found]:
    others = (samples.floor, *samples.candidates)
    task = task_of(samples.reference)
    steps = trainings * (1 + len(others))
    forward: _Found = [[] for _ in others]
    reverse: _Found = [[] for _ in others]
    for number in range(steps):
        which, training = divmod(number, trainings)
        sample = (samples.reference, *others)[which]

        def share(done: float, number: int = number, sample: Sample = sample) -> None:
            tell((number + done) / steps, f"reconstruction trained on {sample.name}")

        network = train(task, sample, samples.seed + training, share)
        if which:
            reverse[which - 1].append(apply(task, network, samples.reference))
        else:
            for found, other in zip(forward, others, strict=True):
                found.append(apply(task, network, other))
    return forward, reverse


def _figures(example: Residuals) -> tuple[_Figure, ...]:
    figures = [
        _Figure("bias", "bias", "%", lambda r: _mean(r.relative), "Mean of 100 (E - prediction) / E"),
        _Figure("resolution", "resolution", "%", lambda r: _deviation(r.relative), "Its standard deviation"),
    ]
    if example.angle is not None:
        figures += [
            _Figure(
                "angle_bias", "angle bias", "mrad", lambda r: _mean(r.angle), "Mean of prediction - theta"
            ),
            _Figure(
                "angle_resolution", "angle resolution", "mrad", lambda r: _deviation(r.angle), "Its deviation"
            ),
        ]
    if example.classes is not None:
        figures += [
            _Figure(
                "accuracy", "particles recognised", "%", _accuracy, "Showers whose particle is recognised"
            ),
            _Figure(
                "particle_auc",
                "AUC of particles",
                "",
                _particle_auc,
                "Area under the ROC curve, mean of pairs",
            ),
        ]
    return tuple(figures)


def _mean(values: Array | None) -> _Pair | None:
    if values is None:
        return None
    return _Pair(float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values))))


def _deviation(values: Array | None) -> _Pair | None:
    if values is None:
        return None
    # the error of a standard deviation follows from the fourth moment, whatever the tails
    deviation = float(values.std(ddof=1))
    fourth = float(((values - values.mean()) ** 4).mean())
    error = (
        math.sqrt(max(fourth - deviation**4, 0.0) / len(values)) / (2 * deviation) if deviation > 0 else 0.0
    )
    return _Pair(deviation, error)


def _accuracy(found: Residuals) -> _Pair | None:
    known = found.particle >= 0
    if found.classes is None or not known.any():
        return None
    right = found.classes[known].argmax(axis=1) == found.particle[known]
    share = (right.sum() + 1) / (len(right) + 2)
    return _Pair(100 * float(right.mean()), 100 * math.sqrt(share * (1 - share) / len(right)))


def _particle_auc(found: Residuals) -> _Pair | None:
    from caloforge.validation.classifiers.separation import hanley_mcneil

    known = found.particle >= 0
    if found.classes is None or len(np.unique(found.particle[known])) < found.classes.shape[1]:
        return None
    truth, classes = found.particle[known], found.classes[known]
    if classes.shape[1] == 2:
        auc = float(roc_auc_score(truth, classes[:, 1]))
    else:
        auc = float(roc_auc_score(truth, classes, multi_class="ovo"))
    return _Pair(auc, hanley_mcneil(auc, int(np.bincount(truth).min())))


def _numbers(kind: str, found: _Found, which: int, figures: tuple[_Figure, ...]) -> tuple[Number, ...]:
    where = {
        "regression": "network trained on Geant4, applied to the candidate",
        "transfer": "network trained on the candidate, applied to Geant4",
    }[kind]
    numbers = []
    for figure in figures:
        pairs = [_together(figure.take, found[i]) for i in (which, 0)]
        if pairs[0] is not None and pairs[1] is not None:
            # floor and candidate have networks of their own, whose scatter is known better from both together
            scatter = _scatter(figure.take, found[which], found[0]) if kind == "transfer" else 0.0
            errors = [math.hypot(pair.error, scatter) for pair in (pairs[0], pairs[1])]
            measure = Measure(pairs[0].value, errors[0], pairs[1].value, errors[1])
            numbers.append(
                Number(
                    f"{kind}_{figure.name}",
                    f"{kind.capitalize()}, {figure.label}",
                    measure,
                    figure.unit,
                    "floor",
                    f"{figure.meaning}; {where} (arXiv 1912.06794).",
                )
            )
    return tuple(numbers)


def _together(take: _Take, found: list[Residuals]) -> _Pair | None:
    """Mean over the trainings."""
    pairs = [pair for residuals in found if (pair := take(residuals)) is not None]
    if not pairs:
        return None
    return _Pair(
        float(np.mean([pair.value for pair in pairs])), float(np.mean([pair.error for pair in pairs]))
    )


def _scatter(take: _Take, *networks: list[Residuals]) -> float:
    """Error of a mean over trainings, from how much these scatter among the networks of each sample."""
    variances = []
    for found in networks:
        values = [pair.value for residuals in found if (pair := take(residuals)) is not None]
        variances.append(float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0)
    return math.sqrt(float(np.mean(variances)))


def _findings(numbers: tuple[Number, ...]) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            "note",
            number.label,
            f"{number.measure.value:.3g} ± {number.measure.error:.2g} {number.unit}, Geant4 "
            f"{number.measure.floor:.3g} ± {number.measure.floor_error:.2g}. {number.meaning}".strip(),
            f"{number.name.split('_')[0]}_bias_energy",
        )
        for number in numbers
        if number.off
    )


def _charts(kind: str, found: _Found, names: tuple[str, ...]) -> tuple[Chart, ...]:
    energy = found[0][0].energy
    edges = np.unique([energy.min(), *equal_shares(energy, _BINS), energy.max()])
    labels: list[tuple[str, Role]] = [("Geant4", "geant4"), *((name, "candidate") for name in names)]
    what = "trained on Geant4" if kind == "regression" else "applied to Geant4"
    charts: list[Chart] = []
    if len(edges) > 2:  # a single energy has no curve
        charts = [
            _curve(f"{kind}_bias_energy", f"Energy bias, {what}", "Bias", found, labels, edges, _mean),
            _curve(
                f"{kind}_resolution_energy",
                f"Energy resolution, {what}",
                "Resolution",
                found,
                labels,
                edges,
                _deviation,
            ),
        ]
    return (*charts, _histogram(f"{kind}_residual", f"Energy residuals, {what}", found, labels))


def _curve(
    key: str,
    title: str,
    y: str,
    found: _Found,
    labels: list[tuple[str, Role]],
    edges: Array,
    take: Callable[[Array], _Pair | None],
) -> Curve:
    lines = []
    for (name, role), residuals in zip(labels, found, strict=True):
        pairs = [[_in_bin(r, low, high, take) for low, high in pairwise(edges)] for r in residuals]
        values = np.array([[pair.value for pair in row] for row in pairs]).mean(axis=0)
        errors = np.array([[pair.error for pair in row] for row in pairs]).mean(axis=0)
        lines.append(Line(name, role, values, errors))
    return Curve(
        key=key,
        title=title,
        theme="classifiers",
        caption="Mean of the trainings, in bins with as many showers each. Geant4 is the sample that is "
        "also the floor.",
        x="Incident energy",
        unit="MeV",
        y=y,
        y_unit="%",
        at=(edges[1:] + edges[:-1]) / 2,
        lines=tuple(lines),
        ratio=False,
        level=0.0 if take is _mean else None,
    )


def _in_bin(found: Residuals, low: float, high: float, take: Callable[[Array], _Pair | None]) -> _Pair:
    inside = found.relative[(found.energy >= low) & (found.energy <= high)]
    pair = take(inside) if len(inside) > 2 else None
    return pair or _Pair(math.nan, math.nan)


def _histogram(key: str, title: str, found: _Found, labels: list[tuple[str, Role]]) -> Histogram:
    geant4 = found[0][0].relative
    low, high = np.quantile(geant4, [0.01, 0.99])
    margin = 0.25 * (high - low) + 1e-6
    edges = np.linspace(low - margin, high + margin, 41)
    return Histogram(
        key=key,
        title=title,
        theme="classifiers",
        caption="First training. Geant4 is the sample that is also the floor.",
        x="$(E-E_{predicted})/E$",
        unit="%",
        edges=edges,
        lines=tuple(
            Line(name, role, binned(residuals[0].relative, edges))
            for (name, role), residuals in zip(labels, found, strict=True)
        ),
    )
