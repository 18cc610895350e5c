"""Can classifiers that know one incident energy alone tell the candidates' showers from Geant4's there?"""

from __future__ import annotations

__all__ = ["energies"]

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.charts import Curve, Line, Table
from caloforge.validation.classifiers.pictures import Judged
from caloforge.validation.classifiers.recipes import QUICK, Recipe
from caloforge.validation.classifiers.separation import FEWEST
from caloforge.validation.classifiers.slices import energy_slices
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Measure, Number
from caloforge.validation.metrics.energy_bins import fixed_energies
from caloforge.validation.studies.cells import cells_plan
from caloforge.validation.studies.classifiers import high_plan
from caloforge.validation.studies.family import Plan, above_chance, judge, showers_of
from caloforge.validation.study import Absent, Finding, Study, Tell, without_numbers

Array = NDArray[np.float64]

_TITLE = "Classifiers at each energy"
_GEV, _DECADES, _GUESS = 1e3, 5.0, 0.5


@dataclass(frozen=True)
class _Beams:
    """One family of classifiers at each energy.

    Attributes:
        plan: How they are trained.
        energy: Incident energies, increasing, shape `(k,)`, MeV.
        judged: What those of each energy say.
    """

    plan: Plan
    energy: Array
    judged: Sequence[Judged]

    @property
    def names(self) -> tuple[str, ...]:
        return self.judged[0].names

    @property
    def showers(self) -> list[int]:
        """Showers of each kind at each energy."""
        return [judged.grown[0].showers[-1] for judged in self.judged]

    def auc(self, which: int) -> list[tuple[float, float]]:
        """AUC and error at each energy: of the floor (0), or of a candidate (1, 2, ...)."""
        return [judged.grown[which].auc[-1] for judged in self.judged]


def energies(samples: Samples, tell: Tell, *, recipe: Recipe = QUICK, trainings: int = 5) -> Study:
    """Train classifiers at each of a few fixed energies: `energy_auc_high_worst`, `energy_auc_cells_worst`.

    Args:
        samples: What is compared.
        tell: Called with the progress.
        recipe: How networks on high-level observables are trained.
        trainings: Classifiers of each pair, 2 or more.
    """
    energy = fixed_energies(samples.reference.incident.energy)
    beams = [_beam(samples, i) for i in range(len(energy))]
    why = _why_not(energy, [showers_of(beam, True) for beam in beams])
    if why:
        return without_numbers("energies", _TITLE, samples.candidates, Absent(len(samples), 0, why))
    plans = high_plan(recipe, trainings), cells_plan(trainings)
    parts = iter(range(total := len(plans) * len(beams)))
    found = [
        _Beams(plan, energy, [judge(beam, _part(tell, next(parts), total), plan, (1,)) for beam in beams])
        for plan in plans
    ]
    numbers = [tuple(_worst(family, i) for family in found) for i in range(1, len(samples.candidates) + 1)]
    return Study(
        "energies",
        _TITLE,
        tuple(numbers),
        (*(_chart(family) for family in found), _table(found)),
        tuple(tuple(_findings(of_one)) for of_one in numbers),
        _method(plans),
        {"energies": energy.tolist()} | {family.plan.key: _details(family) for family in found},
    )


def _beam(samples: Samples, i: int) -> Samples:
    """Return the samples with showers of one of the energies alone."""
    inner = energy_slices(samples.reference.incident.energy)[1:-1]

    def only(sample: Sample) -> Sample:
        return sample.only(np.flatnonzero(np.digitize(sample.energies, inner) == i))

    candidates = tuple(only(candidate) for candidate in samples.candidates)
    return replace(
        samples, reference=only(samples.reference), floor=only(samples.floor), candidates=candidates
    )


def _why_not(energy: Array, showers: Sequence[int]) -> str:
    if len(energy) == 0:
        return "the incident energies are not a few fixed ones"
    if len(energy) == 1:
        return f"all showers have {energy[0] / _GEV:g} GeV: the AUCs of all showers are those at this energy"
    fewest = int(np.argmin(showers))
    if showers[fewest] < FEWEST:
        return (
            f"at {energy[fewest] / _GEV:g} GeV there are {showers[fewest]} showers of each kind, "
            f"{FEWEST} are needed"
        )
    return ""


def _part(tell: Tell, number: int, total: int) -> Tell:
    return lambda share, note: tell((number + share) / total, note)


def _worst(found: _Beams, which: int) -> Number:
    """Return the largest AUC of any energy, beside the largest of the floor."""
    aucs, plan = found.auc(which), found.plan
    worst = int(np.argmax([auc for auc, _ in aucs]))
    measure = Measure(*aucs[worst], *max(found.auc(0)))
    each = ", ".join(f"{auc:.3f} at {e / _GEV:g}" for e, (auc, _) in zip(found.energy, aucs, strict=True))
    return Number(
        f"energy_auc_{plan.key}_worst",
        f"AUC, {plan.label}, worst energy",
        measure,
        beyond=above_chance(measure, _GUESS),
        meaning="Largest AUC of classifiers that were trained and tested at one incident energy alone, also "
        f"of the floor: {each} GeV; {found.showers[worst]:,} showers of each kind at "
        f"{found.energy[worst] / _GEV:g} GeV.",
        showers=found.showers[worst],
    )


def _findings(numbers: Sequence[Number]) -> list[Finding]:
    return [
        Finding(
            "note",
            f"A classifier of one energy tells it: {number.label.removeprefix('AUC, ')}",
            f"AUC {number.measure.value:.3f} ± {number.measure.error:.3f}, Geant4 against Geant4 at most "
            f"{number.measure.floor:.3f}.",
            "energies_table",
        )
        for number in numbers
        if number.off
    ]


def _chart(found: _Beams) -> Curve:
    return Curve(
        key=f"energies_{found.plan.key}",
        title=f"AUC at each incident energy, {found.plan.label}",
        theme="classifiers",
        caption="Classifiers that were trained and tested at one energy alone.",
        x="Incident energy $E_{inc}$",
        unit="GeV",
        y="AUC",
        y_unit="",
        at=found.energy / _GEV,
        lines=tuple(
            Line(name, "candidate" if i else "floor", *np.array(found.auc(i)).T)
            for i, name in enumerate(("Geant4, floor", *found.names))
        ),
        log_x=bool(found.energy[-1] > _DECADES * found.energy[0]),
        ratio=False,
        level=_GUESS,
    )


def _table(found: Sequence[_Beams]) -> Table:
    """Write for each energy the AUCs of the candidates and of the floor."""
    order = [*range(1, len(found[0].names) + 1), 0]
    names = [*found[0].names, "Geant4, floor"]
    columns = [
        column for family in found for column in (family.showers, *(family.auc(which) for which in order))
    ]
    heads = [
        head
        for family in found
        for head in (f"Showers, {family.plan.label}", *(f"AUC, {family.plan.label}, {n}" for n in names))
    ]
    rows = zip([f"{energy / _GEV:g} GeV" for energy in found[0].energy], *columns, strict=True)
    return Table(
        key="energies_table",
        title="Classifiers at each incident energy",
        theme="classifiers",
        caption="AUC of classifiers that were trained and tested at one energy alone.",
        columns=("Incident energy", *heads),
        rows=tuple(rows),
    )


def _details(found: _Beams) -> dict[str, object]:
    return {
        "showers": found.showers,
        "floor": found.auc(0),
        "candidates": [{"name": name, "auc": found.auc(i)} for i, name in enumerate(found.names, 1)],
    }


def _method(plans: Sequence[Plan]) -> str:
    methods = " ".join(f"{plan.label[0].upper()}{plan.label[1:]}: {plan.method}" for plan in plans)
    return (
        f"{_TITLE}. Trained and tested with the showers of one incident energy alone, as published AUCs of "
        f"fixed energies are; the number is the largest. {methods}"
    )
