"""Response and energy resolution against the incident energy."""

from __future__ import annotations

__all__ = ["response"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.charts import Chart, Curve, Line, Table
from caloforge.validation.inputs.resampling import Resampling, bootstraps, splits
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Number
from caloforge.validation.metrics.by_energy import ByEnergy
from caloforge.validation.metrics.distances import LARGEST_P, Exchanged, corrected
from caloforge.validation.metrics.energy_bins import energy_edges
from caloforge.validation.metrics.items import roles
from caloforge.validation.metrics.linearity import LEAST, Linearity, linearity
from caloforge.validation.metrics.resolution import Fit, fit_resolution
from caloforge.validation.study import Absent, Study, Tell

Array = NDArray[np.float64]
_GEV = 1e3
_NOTE = "response and resolution"


def response(samples: Samples, tell: Tell) -> Study:
    """Compare mean response and resolution in bins of incident energy.

    Args:
        samples: Geant4, its floor and the candidates.
        tell: Told after each sample.

    Returns:
        Numbers `response`, `response_worst`, `resolution` and `linearity`, all in percent.
    """
    each = (samples.reference, samples.floor, *samples.candidates)
    edges = energy_edges(np.concatenate([s.incident.energy for s in each[:2]]))
    found, blocks = [], []
    for i, sample in enumerate(each):
        tell(0.2 * i / len(each), _NOTE)
        found.append(linearity(sample.incident.energy, sample.column("response"), edges))
        blocks.append(ByEnergy.of(sample, edges))
    ways = splits(samples.blocks, samples.seed), bootstraps(samples.blocks, samples.seed)
    steps = _Steps(tell, (len(edges) - 1) * (1 + 2 * len(samples.candidates)))
    cuts = _differences(blocks[0], blocks[1], ways[0], steps)
    numbers = tuple(_numbers(blocks[0], other, ways, cuts, steps) for other in blocks[2:])
    fits = [fit_resolution(f.energy / _GEV, f.resolution, f.resolution_error) for f in found]
    names = [s.name for s in each]
    tell(1.0, _NOTE)
    return Study(
        "response",
        "Response and resolution",
        numbers=numbers,
        charts=tuple(_charts(names, found, fits)),
        method=_method(fits),
        details={
            "energy_edges": edges.tolist(),
            "samples": {n: _plain(f, fit) for n, f, fit in zip(names, found, fits, strict=True)},
        },
        absent=_absent(len(samples), len(edges) - 1, numbers),
    )


def _absent(showers: int, bins: int, numbers: Sequence[Sequence[Number]]) -> Absent | None:
    if all(len(found) == len(_LABELS) for found in numbers):
        return None
    if bins == 1 and showers >= LEAST:
        return Absent(showers, 0, "all showers have one incident energy")
    return Absent(showers, 2 * bins * LEAST, f"no bin of energy has {LEAST} showers of each kind")


@dataclass
class _Steps:
    """Tells how far the resampling is: it takes most of the time."""

    tell: Tell
    total: int
    done: int = 0

    def advance(self) -> None:
        self.done += 1
        self.tell(0.2 + 0.8 * self.done / self.total, _NOTE)


def _differences(first: ByEnergy, second: ByEnergy, ways: Resampling, steps: _Steps) -> dict[str, Array]:
    """Return the numbers of a pair of samples for each resampling, in percent; NaN where undefined."""
    blocks, _, bins = first.sums.shape
    sums = [
        total.reshape(-1, 2, bins)
        for total in ways(first.sums.reshape(blocks, -1), second.sums.reshape(blocks, -1))
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        # a bin with few showers says nothing
        one, two = (np.where(s[:, 1] >= LEAST, s[:, 0] / s[:, 1], np.nan) for s in sums)
        whole = np.divide(*(s[:, 0].sum(axis=1) / s[:, 1].sum(axis=1) for s in reversed(sums)))
        ratio = two / one
        bent = ratio / whole[:, None]
    wide = _resolutions(first, second, ways, steps)
    return {
        "response": 100 * (whole - 1),
        "response_worst": 100 * _largest(ratio - 1),
        "resolution": 100 * (_middle(wide) - 1),
        "linearity": 100 * _largest(bent - 1) if bins > 1 else np.full(len(whole), np.nan),
    }


def _resolutions(first: ByEnergy, second: ByEnergy, ways: Resampling, steps: _Steps) -> Array:
    """Return the ratio of resolutions in each bin of energy, shape `(resamplings, bins)`."""
    both = first.joined(second)
    out = np.full((len(ways.first), len(both.ranked)), np.nan)
    for i in range(out.shape[1]):
        out[:, i] = both.widths(i, ways.second) / both.widths(i, ways.first)
        steps.advance()
    return out


def _largest(values: Array) -> Array:
    return np.where(np.isfinite(values).any(axis=1), np.nan_to_num(np.abs(values)).max(axis=1), np.nan)


def _middle(values: Array) -> Array:
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1))


_LABELS = {
    "response": (
        "Response, difference to Geant4",
        "Difference of the mean of $E_{tot}/E_{inc}$ to Geant4's.",
    ),
    "response_worst": (
        "Response, largest difference",
        "Largest difference of the mean response to Geant4's among bins of incident energy.",
    ),
    "resolution": (
        "Resolution, difference to Geant4",
        "Difference of σ₉₀/μ₉₀, of the narrowest interval with 90 % of the showers; mean of bins of energy.",
    ),
    "linearity": (
        "Linearity",
        "Largest difference to Geant4's response among bins of energy, once the mean responses are equal.",
    ),
}
_SIGNED = ("response", "resolution")


def _numbers(
    reference: ByEnergy,
    other: ByEnergy,
    ways: tuple[Resampling, Resampling],
    cuts: dict[str, Array],
    steps: _Steps,
) -> tuple[Number, ...]:
    exchanges, draws = (_differences(reference, other, way, steps) for way in ways)
    found = {
        key: Exchanged(float(v[0]), cuts[key][1:], v, draws[key])
        for key, v in exchanges.items()
        if np.isfinite(v[0]) and np.isfinite(cuts[key]).any()
    }
    p_values = corrected([f.absolute for f in found.values()])
    return tuple(
        Number(
            key,
            _LABELS[key][0],
            f.measure(),
            "%",
            "floor" if key in _SIGNED else "low",
            _LABELS[key][1],
            beyond=p < LARGEST_P,
        )
        for (key, f), p in zip(found.items(), p_values, strict=True)
    )


def _charts(names: Sequence[str], found: Sequence[Linearity], fits: Sequence[Fit | None]) -> Iterator[Chart]:
    at = found[0].energy / _GEV
    kept = np.isfinite(at)
    for key, title, label, unit in (
        ("response", "Response against incident energy", r"$\langle E_{tot}/E_{inc}\rangle$", 1.0),
        ("resolution", "Resolution against incident energy", r"$\sigma_{90}/\mu_{90}$", 100.0),
    ):
        if not np.isfinite(getattr(found[0], key)).any():
            continue
        yield Curve(
            key=f"{key}_vs_energy",
            title=title,
            theme="energy",
            quantity=key,
            x="Incident energy $E_{inc}$",
            unit="GeV",
            y=label,
            y_unit="%" if unit == 100.0 else "",
            at=at[kept],
            lines=tuple(
                Line(n, role, unit * getattr(f, key)[kept], unit * getattr(f, f"{key}_error")[kept])
                for n, role, f in zip(names, roles(len(names)), found, strict=True)
            ),
            log_x=bool(kept.any() and at[kept].max() > 30 * at[kept].min()),
        )
    rows: list[tuple[str | float | tuple[float, float], ...]] = [
        (n, *((100 * v, 100 * e) for v, e in (fit.stochastic, fit.noise, fit.constant)), fit.chi2)
        for n, fit in zip(names, fits, strict=True)
        if fit is not None
    ]
    if rows:
        yield Table(
            key="resolution_fit",
            title=r"Resolution $a/\sqrt{E}\oplus b/E\oplus c$",
            theme="energy",
            quantity="resolution",
            columns=("Sample", "$a$ [% √GeV]", "$b$ [% GeV]", "$c$ [%]", "χ²/ndf"),
            rows=tuple(rows),
        )


def _plain(found: Linearity, fit: Fit | None) -> dict[str, object]:
    plain: dict[str, object] = {key: value.tolist() for key, value in vars(found).items()}
    return plain if fit is None else plain | {"fit": vars(fit)}


def _method(fits: Sequence[Fit | None]) -> str:
    unfitted = " The resolution is not fitted: that takes five known energies, over a factor of three."
    return _METHOD + (unfitted if all(fit is None for fit in fits) else "")


_METHOD = (
    "Response is E_tot/E_inc. The resolution is σ₉₀/μ₉₀: standard deviation over mean in the narrowest "
    "interval with 90 % of the showers, as in ILD's practice. Floors are random cuts of Geant4 in halves; "
    "what is beyond chance is decided by exchanges of showers with the reference, corrected for the number "
    "of figures (Westfall and Young's max-T)."
)
