"""How many showers it takes to tell a candidate from Geant4."""

from __future__ import annotations

__all__ = ["power"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from caloforge.observables import observables_for
from caloforge.validation.charts import Curve, Line
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Measure, Number
from caloforge.validation.metrics.equivalent import PAIRS, Ladder, Ranks, crossing, scaled_ks
from caloforge.validation.study import Absent, Finding, Study, Tell, without_numbers

Array = NDArray[np.float64]
_LEVEL, _SHOWN, _DRAWS = 0.05, 4, 100
_FEWEST_SIZES, _FEWEST = 2, 40  # sizes of subsamples, and the showers that have so many of them


def power(samples: Samples, tell: Tell) -> Study:
    """Find the number of showers at which half of all tests tell a candidate from Geant4.

    Pairs of subsamples of growing size are compared by Kolmogorov-Smirnov tests at 5 %, in every observable
    and in all of them together: then the largest distance is compared with the largest that pairs of Geant4
    subsamples give, so that Geant4 is told from itself in 5 % of the cases, however many observables there
    are.

    Args:
        samples: Geant4, its floor and the candidates.
        tell: Told before each observable.

    Returns:
        Number `equivalent_showers`; none with less than about 40 showers.
    """
    ladder = Ladder.of(len(samples), samples.blocks, samples.seed)
    if len(ladder.sizes) < _FEWEST_SIZES:
        return without_numbers("power", _TITLE, samples.candidates, Absent(len(samples), _FEWEST))
    with threadpool_limits(1):  # of small matrices, a second thread makes every product ten times slower
        found = _tests(samples, ladder, tell)
    reached = [t.together() for t in found]
    return Study(
        "power",
        _TITLE,
        numbers=tuple((_number(ladder.sizes, r, reached[0], len(samples)),) for r in reached[1:]),
        charts=tuple(_charts(samples, ladder.sizes, found)),
        findings=tuple(_findings(ladder.sizes, t) for t in found[1:]),
        method=_METHOD.format(low=ladder.sizes[0], high=ladder.sizes[-1]),
        details={
            "sizes": ladder.sizes.tolist(),
            "rates": [t.together().mean(axis=1).tolist() for t in found[1:]],
            "floor": reached[0].mean(axis=1).tolist(),
            "showers": [{n: _finite(v) for n, v in t.showers(ladder.sizes).items()} for t in found[1:]],
        },
    )


_TITLE = "Equivalent number of Geant4 showers"


@dataclass
class _Tests:
    """Tests of one sample against the reference.

    Attributes:
        largest: Largest distance of all observables, for each size and pair.
        null: The same between subsamples of Geant4.
        rates: Share of the pairs that are told apart by each observable, for each size.
        labels: Labels of the observables.
    """

    largest: Array
    null: Array
    rates: dict[str, Array] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, label: str, apart: Array, null: Array) -> None:
        self.largest, self.null = np.maximum(self.largest, apart), np.maximum(self.null, null)
        self.rates[name] = (apart > _threshold(null)).mean(axis=1)
        self.labels[name] = label

    def together(self) -> NDArray[np.bool_]:
        """Say of each size and pair whether it is told apart by all observables together."""
        return np.asarray(self.largest > _threshold(self.null))

    def showers(self, sizes: Array) -> dict[str, float]:
        """Return how many showers each observable needs, fewest first."""
        found = {name: crossing(sizes, rate) for name, rate in self.rates.items()}
        return dict(sorted(found.items(), key=lambda pair: (pair[1], -float(self.rates[pair[0]].sum()))))


def _threshold(null: Array) -> Array:
    return np.asarray(np.quantile(null, 1 - _LEVEL, axis=1, method="higher")[:, None])


def _tests(samples: Samples, ladder: Ladder, tell: Tell) -> list[_Tests]:
    """Test the floor and each candidate; observables are read from disk one after the other."""
    each = (samples.reference, samples.floor, *samples.candidates)
    found = [_Tests(np.zeros((len(ladder.sizes), 1)), np.zeros((len(ladder.sizes), 1))) for _ in each[1:]]
    observables = [o for o in observables_for(samples.detector) if o.name in samples.reference.names]
    for i, observable in enumerate(observables):
        tell(i / len(observables), "equivalent number of showers")
        ranks = Ranks.of([s.column(observable.name) for s in each], [s.block for s in each])
        null = scaled_ks(ranks[0], ranks[1], ladder, null=True)
        for tests, other in zip(found, ranks[1:], strict=True):
            tests.add(observable.name, observable.label, scaled_ks(ranks[0], other, ladder), null)
    tell(1.0, "equivalent number of showers")
    return found


def _number(sizes: Array, told: NDArray[np.bool_], floor: NDArray[np.bool_], showers: int) -> Number:
    value, error = _with_error(sizes, told, showers)
    least, least_error = _with_error(sizes, floor, showers)
    note = ""
    if not np.isfinite(value):
        note = f" More than {sizes[-1]:,.0f}: not told apart by subsamples of this size, the largest tried."
    elif value <= sizes[0]:
        note = f" At most {sizes[0]:,.0f}: told apart by the smallest subsamples tried."
    top = float(sizes[-1])
    return Number(
        "equivalent_showers",
        _TITLE,
        Measure(min(value, top), error, min(least, top), least_error),
        better="high",
        meaning=(
            "Showers of each kind at which half of all tests at 5 %, by the observable that shows most, tell "
            f"the candidate from Geant4.{note}"
        ),
        beyond=bool(np.isfinite(value)),
    )


def _with_error(sizes: Array, told: NDArray[np.bool_], showers: int) -> tuple[float, float]:
    """Return where half of the pairs are told apart, and its standard error."""
    value = crossing(sizes, told.mean(axis=1))
    if not np.isfinite(value):
        return value, np.nan
    rng = np.random.default_rng(7)
    pairs = told.shape[1]
    drawn = [crossing(sizes, told[:, rng.integers(0, pairs, pairs)].mean(axis=1)) for _ in range(_DRAWS)]
    # all pairs come from the same two samples: what is two standard errors with N showers is known to
    # one part in sqrt(n / N) with n, and N goes with the difference to the power of minus two: an error of
    # the logarithm, taken upwards, where the floor is; a small number would else have too small an error
    common = value * np.expm1(np.sqrt(value / showers))
    return value, float(np.hypot(np.std(np.minimum(drawn, sizes[-1])), common))


def _findings(sizes: Array, tests: _Tests) -> tuple[Finding, ...]:
    showers = crossing(sizes, tests.together().mean(axis=1))
    if not np.isfinite(showers):
        return ()
    name = next(iter(tests.showers(sizes)))
    count = f"{showers:,.0f}" if showers > sizes[0] else f"{sizes[0]:,.0f} or fewer"
    text = f"With {count} showers of each kind, half of all tests see it; first in {tests.labels[name]}."
    return (Finding("note", f"Told from Geant4 by {count} showers", text, "equivalent_showers"),)


def _charts(samples: Samples, sizes: Array, found: Sequence[_Tests]) -> Iterator[Curve]:
    floor = _line(samples.floor.name, found[0].together().mean(axis=1))
    candidates = [
        Line(c.name, "candidate", *_percent(t.together().mean(axis=1)))
        for c, t in zip(samples.candidates, found[1:], strict=True)
    ]
    yield _chart("equivalent_showers", "Told from Geant4, by all observables", sizes, (floor, *candidates))
    for i, (candidate, tests) in enumerate(zip(samples.candidates, found[1:], strict=True)):
        names = list(tests.showers(sizes))[:_SHOWN]
        worst = [Line(tests.labels[n], "candidate", *_percent(tests.rates[n])) for n in names]
        again = [_line(f"{samples.floor.name}: {tests.labels[n]}", found[0].rates[n]) for n in names[:1]]
        title = f"{candidate.name}: told from Geant4, by the observables that show most"
        yield _chart(f"equivalent_showers.{i}", title, sizes, (*again, *worst))


def _line(name: str, rates: Array) -> Line:
    return Line(name, "floor", *_percent(rates))


def _percent(rates: Array) -> tuple[Array, Array]:
    return 100 * rates, 100 * np.sqrt(rates * (1 - rates) / PAIRS)


def _chart(key: str, title: str, sizes: Array, lines: tuple[Line, ...]) -> Curve:
    return Curve(
        key=key,
        title=title,
        theme="generative",
        caption="Pairs of subsamples that a test at 5 % tells apart; what counts is where they are half.",
        quantity="equivalent_showers",
        x="Showers of each kind",
        unit="",
        y="Pairs told apart",
        y_unit="%",
        at=sizes,
        lines=lines,
        log_x=True,
        ratio=False,
        level=50.0,
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


_METHOD = (
    f"{PAIRS} pairs of subsamples of {{low:.0f}} to {{high:,.0f}} showers are drawn from candidate and "
    "reference, and compared by Kolmogorov-Smirnov tests at 5 %, undefined values counting as the lowest. "
    "For all observables together the largest distance is compared with the largest that pairs of Geant4 "
    "subsamples of that size give. The equivalent number is the size at which half of them are told apart."
)
