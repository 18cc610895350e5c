"""Are the showers of a reduced graph good enough? Judged by `validate`, beside float32 and the floor."""

from __future__ import annotations

__all__ = ["Condition", "Judged", "conditions", "judge"]

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.deploy.bundle.figures import Acceptance, Figure
from caloforge.errors import ValidationError
from caloforge.progress import Progress
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
        ValidationError: Not a condition.

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
        number = Requirement(part, match[1], match[2][0], float(match[3]), bool(match[4]))
        found.append(Condition(number, len(match[2]) > 1))
    if not found:
        raise ValidationError("no condition", where=_WHERE, got=repr(text), expected="auc_low<+0.01")
    return tuple(found)


def judge(
    samplers: Mapping[str, Sampler],
    wanted: Sequence[Condition],
    *,
    reference: str | Path,
    floor: str | Path | None,
    out: Path,
    speed: Sequence[Mapping[str, Any]] = (),
    progress: Progress | None = None,
) -> dict[str, Judged]:
    """Make showers like the reference's with each precision, and compare them with it.

    All precisions get the same noise and the same particles, so that what differs is the precision.

    Args:
        samplers: By precision; "fp32" is among them.
        wanted: Conditions of the reduced ones.
        reference: Geant4's showers that nothing was trained with.
        floor: More of them, for the floor.
        out: Folder of the report.
        speed: Rows of the report's table of times.
        progress: Told of each step of the report.

    Returns:
        The reduced precisions, each with what its conditions came to.

    Raises:
        RangeError: The reference has particles outside the trained range.
        ValidationError: Names of numbers that do not exist; see `validate`.
    """
    from caloforge.showers import open_showers
    from caloforge.validation import validate

    with open_showers(reference) as file:
        particles = file.incident()
    made = {name: _showers(sampler, particles) for name, sampler in samplers.items()}
    report = validate(
        reference,
        made,
        out=out,
        floor=floor,
        metrics=["quick", *(condition.number.name for condition in wanted)],
        speed=speed,
        progress=progress,
    )
    numbers = {name: report.comparison.numbers(i) for i, name in enumerate(report.comparison.names)}
    return {name: _judged(wanted, numbers[name], numbers["fp32"]) for name in samplers if name != "fp32"}


def _showers(sampler: Sampler, particles: Any) -> Any:
    import numpy as np

    from caloforge.deploy.sampling import make_showers

    sampler.valid.admit(particles)
    return make_showers(sampler, particles, np.random.default_rng(_SEED))


def _judged(wanted: Sequence[Condition], numbers: Mapping[str, Number], full: Mapping[str, Number]) -> Judged:
    outcomes = [_outcome(condition, numbers, full) for condition in wanted]
    accepted = all(met for met, _ in outcomes)
    figures = {
        condition.number.name: _figure(numbers[condition.number.name], full[condition.number.name])
        for condition in wanted
    }
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


def _figure(number: Number, full: Number) -> Figure:
    measure = number.measure
    return Figure(
        label=number.label,
        unit=number.unit,
        value=measure.value,
        error=_known(measure.error),
        floor=measure.floor,
        floor_error=_known(measure.floor_error),
        off=number.off,
        fp32=full.measure.value,
    )


def _known(error: float) -> float | None:
    return None if math.isnan(error) else error
