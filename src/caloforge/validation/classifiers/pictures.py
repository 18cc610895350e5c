"""Charts of classifiers: ROC, scores, weights, calibration, learning curves, and what gives it away."""

from __future__ import annotations

__all__ = ["Judged", "charts", "features_table", "layers_table"]

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from caloforge.detector import Detector
from caloforge.observables import observables_for
from caloforge.validation.charts import Chart, Curve, Histogram, Line, Role, Table
from caloforge.validation.classifiers.growth import Grown
from caloforge.validation.classifiers.separation import Separation

Array = NDArray[np.float64]
_RATES = np.linspace(0, 1, 101)
_TENTHS = np.linspace(0, 1, 11)
_FEATURES = 12
_FLOOR = "Geant4, floor"
_PROBABILITY = "Probability of being Geant4"


@dataclass(frozen=True)
class Judged:
    """What one family of classifiers says of all samples.

    Attributes:
        names: Of the candidates.
        grown: Geant4 against Geant4, then Geant4 against each candidate.
    """

    names: tuple[str, ...]
    grown: tuple[Grown, ...]

    @property
    def floor(self) -> Separation:
        """Geant4 against Geant4, with all showers."""
        return self.grown[0].all

    @property
    def candidates(self) -> tuple[Separation, ...]:
        """Geant4 against each candidate, with all showers."""
        return tuple(grown.all for grown in self.grown[1:])

    def lines(self, of: Callable[[Separation], tuple[Array, Array]]) -> Iterator[Line]:
        """One line with errors for the floor and each candidate."""
        yield Line(_FLOOR, "floor", *of(self.floor))
        for name, found in zip(self.names, self.candidates, strict=True):
            yield Line(name, "candidate", *of(found))


def charts(judged: Judged, key: str, label: str) -> tuple[Chart, ...]:
    """Return what is to be seen of one family of classifiers.

    Args:
        judged: What it says.
        key: End of the charts' keys.
        label: What the titles call it.
    """
    found: list[Chart] = [_roc(judged, key, label)]
    if len(judged.grown[0].showers) > 1:
        found.append(_growth(judged, key, label))
    for number in range(len(judged.candidates)):
        end = key if len(judged.candidates) == 1 else f"{key}.{number}"
        found += [_scores(judged, number, end, label), _weights(judged, number, end, label)]
    found.append(_reliability(judged, key, label))
    if judged.floor.histories:
        found.append(_learning(judged, key, label))
    return tuple(found)


def features_table(judged: Judged, names: list[str], detector: Detector) -> Table:
    """Return the features without which the trees would be worse, the most important first.

    Args:
        judged: What the trees say; with `lost`.
        names: Of the features.
        detector: Knows the labels of observables.
    """
    labels = {observable.name: observable.label for observable in observables_for(detector)}
    worth = [_worth(found) for found in (*judged.candidates, judged.floor)]
    best = np.argsort(-np.max([mean for mean, _ in worth[:-1]], axis=0))[:_FEATURES]
    rows = tuple(
        (
            labels.get(names[i], names[i].replace("_", " ")),
            *((float(mean[i]), float(e[i])) for mean, e in worth),
        )
        for i in best
    )
    return Table(
        key="what_gives_it_away",
        title="What gives it away",
        theme="classifiers",
        caption="AUC of the boosted trees that is lost when one feature is shuffled among the showers. "
        "Features that say the same share their worth.",
        columns=("Feature", *judged.names, _FLOOR),
        rows=rows,
    )


def layers_table(judged: Judged, names: list[str]) -> Table:
    """Return what each layer's cells are worth, in the order of the layers.

    Args:
        judged: What the trees say; with `lost` of each layer.
        names: Of the layers.
    """
    worth = [_worth(found) for found in (*judged.candidates, judged.floor)]
    return Table(
        key="layers_give_it_away",
        title="Which layer's cells give it away",
        theme="classifiers",
        caption="AUC of the boosted trees that is lost when all cells of a layer are dealt anew among the "
        "showers, together.",
        columns=("Layer", *judged.names, _FLOOR),
        rows=tuple(
            (name, *((float(mean[i]), float(error[i])) for mean, error in worth))
            for i, name in enumerate(names)
        ),
    )


def _worth(found: Separation) -> tuple[Array, Array]:
    if found.lost is None:
        raise ValueError("only trees know what a feature is worth")
    return found.lost.mean(axis=0), found.lost.std(axis=0, ddof=1) / math.sqrt(len(found.lost))


def _roc(judged: Judged, key: str, label: str) -> Curve:
    return Curve(
        key=f"roc_{key}",
        title=f"ROC curve, {label}",
        theme="classifiers",
        caption="Mean of the trainings. The diagonal is chance: nothing can be told.",
        x="Candidate's showers taken for Geant4's",
        unit="",
        y="Geant4's showers recognised",
        y_unit="",
        at=_RATES,
        lines=(Line("Chance", "geant4", _RATES), *judged.lines(_rates)),
        ratio=False,
    )


def _growth(judged: Judged, key: str, label: str) -> Curve:
    return Curve(
        key=f"growth_{key}",
        title=f"AUC against the number of showers, {label}",
        theme="classifiers",
        caption="Classifiers that learned from parts of the showers, all tested on the same. What still "
        "rises needs more showers to be known.",
        x="Showers of each kind",
        unit="",
        y="AUC",
        y_unit="",
        at=np.asarray(judged.grown[0].showers, np.float64),
        lines=tuple(
            Line(name, "candidate" if i else "floor", *np.array(grown.auc).T)
            for i, (name, grown) in enumerate(zip((_FLOOR, *judged.names), judged.grown, strict=True))
        ),
        log_x=True,
        ratio=False,
        level=0.5,
    )


def _rates(found: Separation) -> tuple[Array, Array]:
    """Return the true positive rate at each false positive rate, and its error, over the trainings."""
    curves = []
    for training in range(len(found.auc)):
        mine = found.training == training
        false, true, _ = roc_curve(found.truth[mine], found.probability[mine])
        curves.append(np.interp(_RATES, false, true))
    return np.mean(curves, axis=0), np.std(curves, axis=0, ddof=1) / math.sqrt(len(curves))


def _pair(judged: Judged, number: int, count: Callable[[Array], Array]) -> tuple[Line, ...]:
    """Geant4 and a candidate by the candidate's classifier, and the floor by its own; each shower once."""
    found, floor = judged.candidates[number], judged.floor
    parts: list[tuple[str, Role, Separation, bool]] = [
        ("Geant4", "geant4", found, True),
        (_FLOOR, "floor", floor, False),
        (judged.names[number], "candidate", found, False),
    ]
    return tuple(
        Line(name, role, count(which.probability[_once(which) & (which.truth == truth)]))
        for name, role, which, truth in parts
    )


def _once(found: Separation) -> NDArray[np.bool_]:
    """The first test of each shower: errors of histograms are those of independent showers."""
    once = np.zeros(len(found.tested), np.bool_)
    once[np.unique(found.tested, return_index=True)[1]] = True
    return once


def _scores(judged: Judged, number: int, key: str, label: str) -> Histogram:
    edges = np.linspace(0, 1, 41)
    return Histogram(
        key=f"score_{key}",
        title=f"What the classifier says, {label}",
        theme="classifiers",
        caption="Showers that it has not seen. The floor is judged by a classifier of its own.",
        x=_PROBABILITY,
        unit="",
        edges=edges,
        lines=_pair(judged, number, lambda p: _counts(p, edges)),
    )


def _weights(judged: Judged, number: int, key: str, label: str) -> Histogram:
    edges = np.logspace(-3, 3, 61)
    return Histogram(
        key=f"weight_{key}",
        title=f"Weights of showers, {label}",
        theme="classifiers",
        caption=r"$w=p/(1-p)$ would turn the candidate into Geant4 (arXiv 2305.16774). "
        "A tail of Geant4 at large weights is what the candidate never makes; the candidate's tail at "
        "small weights is what Geant4 never does.",
        x="Weight $w$",
        unit="",
        edges=edges,
        log=True,
        lines=_pair(judged, number, lambda p: _counts(p / np.maximum(1 - p, 1e-12), edges)),
    )


def _counts(values: Array, edges: Array) -> Array:
    below, above = (values < edges[0]).sum(), (values > edges[-1]).sum()
    return np.array([*np.histogram(values, edges)[0], below, above, 0], np.float64)


def _reliability(judged: Judged, key: str, label: str) -> Curve:
    middles = (_TENTHS[1:] + _TENTHS[:-1]) / 2
    return Curve(
        key=f"calibration_{key}",
        title=f"Calibration, {label}",
        theme="classifiers",
        caption="Of the showers that the calibrated classifier gives a probability, how many are Geant4's.",
        x=_PROBABILITY,
        unit="",
        y="Share that is Geant4's",
        y_unit="",
        at=middles,
        lines=(Line("Ideal", "geant4", middles), *judged.lines(_shares)),
        ratio=False,
    )


def _shares(found: Separation) -> tuple[Array, Array]:
    mine = _once(found)
    bins = np.clip((found.calibrated[mine] * 10).astype(np.int64), 0, 9)
    counts = np.bincount(bins, minlength=10).astype(np.float64)
    hits = np.bincount(bins, weights=found.truth[mine], minlength=10)
    filled = np.where(counts > 0, counts, np.nan)
    # one more of either kind, so that a bin with a single kind has an error
    guess = (hits + 1) / (counts + 2)
    return hits / filled, np.sqrt(guess * (1 - guess) / filled)


def _learning(judged: Judged, key: str, label: str) -> Curve:
    longest = max(len(h.unseen) for found in (judged.floor, *judged.candidates) for h in found.histories)
    return Curve(
        key=f"learning_{key}",
        title=f"Learning curve, {label}",
        theme="classifiers",
        caption="Binary cross-entropy on showers that are not trained on, mean of the trainings that reach "
        "the epoch; the level is ln 2, a guess.",
        x="Epoch",
        unit="",
        y="Loss",
        y_unit="",
        at=np.arange(1, longest + 1, dtype=np.float64),
        lines=tuple(judged.lines(lambda found: _curve(found, longest))),
        ratio=False,
        level=math.log(2),
    )


def _curve(found: Separation, longest: int) -> tuple[Array, Array]:
    table = np.full((len(found.histories), longest), np.nan)
    for row, history in zip(table, found.histories, strict=True):
        row[: len(history.unseen)] = history.unseen
    count = (~np.isnan(table)).sum(axis=0)
    filled = np.where(count > 0, count, np.nan)
    mean = np.nansum(table, axis=0) / filled
    square = np.nansum((table - mean) ** 2, axis=0) / filled
    return mean, np.sqrt(square / filled)
