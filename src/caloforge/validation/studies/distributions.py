"""Every distribution and mean profile of every candidate against Geant4's."""

from __future__ import annotations

__all__ = ["Distances", "distributions"]

from collections.abc import Sequence
from dataclasses import dataclass

from threadpoolctl import threadpool_limits

from caloforge.observables import observables_for
from caloforge.validation.charts import Chart
from caloforge.validation.charts.drawings import LayerCurves, profile_charts, spectrum_chart
from caloforge.validation.inputs.resampling import BOOTSTRAPS, SPLITS
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Measure, Number
from caloforge.validation.metrics.column import Column
from caloforge.validation.metrics.distances import LARGEST_P, Assessment, Distance, Exchanged, corrected
from caloforge.validation.metrics.items import histogram, observable_item, profile_item, spectrum_item
from caloforge.validation.metrics.profiles import profiles_for
from caloforge.validation.study import Finding, Study, Tell

_NAMED = 5


@dataclass(frozen=True)
class Distances(Study):
    """What the study of distributions found.

    Attributes:
        distances: Of each candidate: one entry per observable, the cell spectrum and each profile.
    """

    distances: tuple[tuple[Distance, ...], ...] = ()


def distributions(samples: Samples, tell: Tell) -> Distances:
    """Compare all observables, the cell spectrum and all mean profiles.

    Observables are read from disk one after the other: memory does not grow with their number.

    Args:
        samples: Geant4, its floor and the candidates.
        tell: Told before each observable.

    Returns:
        Numbers `separation`, `beyond_floor`, `profile_error` and `profile_mse`.
    """
    with threadpool_limits(1):  # of small matrices, a second thread makes every product ten times slower
        return _compare(samples, tell)


def _compare(samples: Samples, tell: Tell) -> Distances:
    each = (samples.reference, samples.floor, *samples.candidates)
    assessment = Assessment(samples.blocks, len(samples.candidates), samples.seed)
    layers = LayerCurves(samples.detector, [s.name for s in each])
    charts: list[Chart] = []
    observables = [o for o in observables_for(samples.detector) if o.name in samples.reference.names]
    for i, observable in enumerate(observables):
        tell(i / (len(observables) + 2), "distributions")
        columns = [Column.of(s, observable.name) for s in each]
        item = observable_item(observable, columns)
        assessment.add(item)
        layers.add(observable, columns)
        charts.append(histogram(observable, columns, item.bins, key=observable.name))
    tell(len(observables) / (len(observables) + 2), "profiles")
    assessment.add(spectrum_item(each))
    charts.append(spectrum_chart(each))
    for profile in profiles_for(samples.detector):
        if (found := profile_item(profile, each)) is not None:
            assessment.add(found)
            charts += profile_charts(profile, each)
    tell(1.0, "distributions")
    return _study(samples, assessment, (*charts, *layers.charts()))


def _study(samples: Samples, assessment: Assessment, charts: tuple[Chart, ...]) -> Distances:
    distances = assessment.distances()
    return Distances(
        "distributions",
        "Distributions and profiles",
        numbers=tuple(_numbers(assessment, c, found) for c, found in enumerate(distances)),
        charts=charts,
        findings=tuple(_findings(found) for found in distances),
        method=_METHOD.format(size=len(samples), blocks=samples.blocks),
        distances=distances,
    )


def _numbers(assessment: Assessment, c: int, distances: Sequence[Distance]) -> tuple[Number, ...]:
    keys = ("separation", "relative", "mse")
    parts = {key: [*assessment.exchanged(key, c).values()] for key in keys}
    means = {key: Exchanged.combine(found) for key, found in parts.items() if found}
    p_values = dict(zip(means, corrected([*means.values()]), strict=True))
    off = sum(d.off for d in distances)
    numbers = [
        Number(
            name,
            label,
            means[key].measure(),
            unit,
            meaning=meaning,
            beyond=p_values[key] < LARGEST_P,
        )
        for key, (name, label, unit, meaning) in zip(keys, _MEANS, strict=True)
        if key in means
    ]
    count = Number(
        "beyond_floor",
        f"Beyond their floor, of {len(distances)}",
        Measure(float(off), floor=0.0),
        meaning="Distributions and profiles that differ by more than chance, corrected for their number.",
        beyond=off > 0,
    )
    return (numbers[0], count, *numbers[1:])


_MEANS = (
    (
        "separation",
        "Mean separation power",
        "",
        "Mean of all distributions' separation powers (arXiv 2410.21611): 0 alike, 1 apart.",
    ),
    (
        "profile_error",
        "Mean error of the profiles",
        "%",
        "Relative error of the mean profiles, where they are above 1 % of their maximum.",
    ),
    (
        "profile_mse",
        "Mean squared error of the profiles",
        "",
        "In units of the squared maximum of each profile, mean over bins and profiles.",
    ),
)


def _findings(distances: Sequence[Distance]) -> tuple[Finding, ...]:
    off = sorted((d for d in distances if d.off), key=lambda d: -d.excess)
    if not off:
        return ()
    names = "; ".join(d.label for d in off[:_NAMED])
    found = Finding(
        "note",
        f"{len(off)} of {len(distances)} distributions beyond their floor",
        f"Farthest from Geant4: {names}.",
        off[0].name,
    )
    return (found,)


_METHOD = (
    "{size} showers of each kind. Separation power ½ Σ (p−q)²/(p+q) (arXiv 2410.21611) and χ²/ndf of "
    "histograms whose bins are chosen from Geant4's floor sample, with bins for what lies below, above or is "
    "undefined; Kolmogorov-Smirnov and Wasserstein distance unbinned, the latter over Geant4's standard "
    f"deviation. The floor is the mean over {SPLITS} random cuts of all Geant4 showers in two halves, its "
    f"error their scatter; the error of a value is a bootstrap ({BOOTSTRAPS} draws). Both move {{blocks}} "
    f"random blocks of showers. Beyond the floor: candidate and reference exchange blocks {SPLITS} times, "
    "and so clear a difference turns up in any of the distributions with a probability below 0.5 % (Westfall "
    "and Young's max-T)."
)
