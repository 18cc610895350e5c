"""Are the showers of a reduced graph good enough? Judged by `validate`, beside float32 and the floor."""

from __future__ import annotations

__all__ = ["Condition", "Judged", "Trial", "conditions", "judge"]

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from caloforge.deploy.bundle.figures import Acceptance, Figure, figure_of
from caloforge.deploy.sampling import make_showers
from caloforge.errors import ValidationError
from caloforge.progress import Progress
from caloforge.showers import Incident, open_showers
from caloforge.validation.registry import check_number
from caloforge.validation.require import Requirement, compared

if TYPE_CHECKING:
    from caloforge.deploy.sampling import Sampler
    from caloforge.validation.measure import Number

# The number, a sign, and a limit: with a + (or, for what ought to be high, a -) on the difference to fp32.
_PATTERN = re.compile(r"\s*([A-Za-z0-9_.]+)\s*(<\+|>-|<|>)\s*([0-9.]+(?:[eE][-+]?\d+)?)\s*(%?)\s*")
_WHERE = "--accept"
_SEED = 1


@dataclass(frozen=True)
class Condition:
    """What a number of a reduced graph must be below, or above.

    Attributes:
        number: Its name, the sign and the limit.
        relative: Whether the limit is on the difference to float32's number: `auc_low<+0.01`.
    """

    number: Requirement
    relative: bool


@dataclass(frozen=True)
class Trial:
    """How reduced precisions are judged.

    Attributes:
        conditions: What they must meet.
        reference: Geant4's showers, which nothing was trained with.
        floor: More of them, for the floor.
        report: Folder of the report.
    """

    conditions: tuple[Condition, ...]
    reference: Path
    floor: Path | None
    report: Path

    def particles(self, sampler: Sampler) -> Incident:
        """Return the reference's particles.

        Raises:
            RangeError: Some are outside the range that the sampler was trained for.
            ShowersError: The file cannot be read.
        """
        with open_showers(self.reference) as file:
            found = file.incident()
        sampler.valid.admit(found)
        return found


@dataclass(frozen=True)
class Judged:
    """What became of one precision.

    Attributes:
        accepted: Whether all conditions hold.
        said: What each came to, in words.
        acceptance: What the manifest keeps.
    """

    accepted: bool
    said: tuple[str, ...]
    acceptance: Acceptance


def conditions(text: str) -> tuple[Condition, ...]:
    """Read conditions that are separated by commas.

    Raises:
        ValidationError: Not a condition, no such number, or one that needs more than showers.

    Example:
        >>> conditions("auc_low<+0.01, response<+0.1%")[1].number.limit
        0.1
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _PATTERN.fullmatch(part)
        if match is None or match[3].count(".") > 1 or match[3] == ".":
            raise ValidationError(
                "this is not a condition for a precision",
                where=_WHERE,
                got=part,
                expected="a number of the report, < or >, and a limit; <+ and >- compare with fp32",
                cure="for example auc_low<+0.01 or response<+0.1%",
            )
        check_number(match[1], _WHERE)
        number = Requirement(part, match[1], match[2][0], float(match[3]), bool(match[4]))
        found.append(Condition(number, len(match[2]) > 1))
    if not found:
        raise ValidationError("no condition", where=_WHERE, got=repr(text), expected="auc_low<+0.01")
    return tuple(found)


def judge(
    samplers: Mapping[str, Sampler], trial: Trial, progress: Progress | None = None
) -> dict[str, Judged]:
    """Make showers like the reference's with each precision, and compare them with it.

    All precisions get the same noise and the same particles, so that what differs is the precision.

    Args:
        samplers: By precision; "fp32" is among them.
        trial: What they are compared with, and what they must meet.
        progress: Told of each step of the report.

    Returns:
        The reduced precisions, each with what its conditions came to.

    Raises:
        RangeError: The reference has particles outside the trained range.
        ValidationError: Names of numbers that do not exist; see `validate`.
    """
    from caloforge.validation import validate

    particles = trial.particles(samplers["fp32"])
    made = {
        name: make_showers(sampler, particles, np.random.default_rng(_SEED))
        for name, sampler in samplers.items()
    }
    report = validate(
        trial.reference,
        made,
        out=trial.report,
        floor=trial.floor,
        metrics=["quick", *(condition.number.name for condition in trial.conditions)],
        progress=progress,
    )
    comparison = report.comparison
    for i, _ in enumerate(comparison.names):  # of all, before any is judged
        for condition in trial.conditions:
            compared(condition.number, comparison.numbers(i), _WHERE, comparison.absent(i))
    numbers = {name: comparison.numbers(i) for i, name in enumerate(comparison.names)}
    return {
        name: _judged(trial.conditions, numbers[name], numbers["fp32"]) for name in samplers if name != "fp32"
    }


def _judged(wanted: Sequence[Condition], numbers: Mapping[str, Number], full: Mapping[str, Number]) -> Judged:
    outcomes = [_outcome(condition, numbers, full) for condition in wanted]
    accepted = all(met for met, _ in outcomes)
    found = {c.number.name: _figure(numbers[c.number.name], full[c.number.name]) for c in wanted}
    figures = {name: figure for name, figure in found.items() if figure is not None}
    acceptance = Acceptance(required=", ".join(c.number.text for c in wanted), figures=figures)
    return Judged(accepted, tuple(said for _, said in outcomes), acceptance)


def _outcome(
    condition: Condition, numbers: Mapping[str, Number], full: Mapping[str, Number]
) -> tuple[bool, str]:
    value, limit, unit = compared(condition.number, numbers, _WHERE)
    exact = compared(condition.number, full, _WHERE)[0]
    above = condition.number.sign == ">"
    if condition.relative:
        limit = exact - limit if above else exact + limit
    met = value > limit if above else value < limit  # false for NaN
    floor = numbers[condition.number.name].measure.floor
    return met, (
        f"{condition.number.text}: {'met' if met else 'failed'}, {value:.4g}{unit} "
        f"(fp32 {exact:.4g}{unit}, floor {floor:.4g}{unit})"
    )


def _figure(number: Number, full: Number) -> Figure | None:
    fp32 = full.measure.value
    return figure_of(
        label=number.label, unit=number.unit, off=number.off, fp32=fp32, **asdict(number.measure)
    )
