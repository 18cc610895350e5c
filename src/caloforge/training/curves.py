"""The learning curves of a run as a picture in its folder, renewed while it trains."""

from __future__ import annotations

__all__ = ["Curves", "draw_curves", "draw_run"]

import io
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.training.metrics import read_metrics
from caloforge.training.objectives import objective_class
from caloforge.writing import replace_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from caloforge.training.run import Run

_INK, _GREY, _PALE = "#1f2a37", "#55606e", "#e3e8ee"
_MADE, _KEPT = "#1b8a6b", "#f3a712"
_OTHERS = "#2f6db3", "#e4572e", "#7b5ea7", "#8a6d3b"
_POINTS = 200  # of a line; more would not be seen
_FIRST = 10.0  # seconds until the first picture
_SHARE = 0.02  # of the time of a training that may go into pictures of it
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _PALE,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "svg.fonttype": "none",
    "svg.hashsalt": "caloforge",
}

Numbers = NDArray[np.float64]
Entries = Sequence[Mapping[str, Any]]


class Curves:
    """Draws `curves.svg` of a run from its diary, now and then.

    Args:
        folder: The run.
        losses: Which are drawn, and what they are called.
        rates: Names of what has a learning rate.
        select: What its epochs are compared by, `score` or `merit`.
        steps: Steps of an epoch.
    """

    def __init__(
        self, folder: Path, losses: Mapping[str, str], rates: Iterable[str], select: str, steps: int
    ) -> None:
        self._folder, self._losses, self._rates = folder, losses, tuple(rates)
        self._select, self._steps = select, steps
        self._next = time.monotonic() + _FIRST

    def draw(self, last: bool = False) -> None:
        """Draw, unless this was done so shortly ago that training would suffer.

        Args:
            last: Draw in any case.
        """
        begin = time.monotonic()
        if begin < self._next and not last:
            return
        entries = read_metrics(self._folder / "metrics.jsonl")
        if any(entry["kind"] == "step" for entry in entries):
            file = self._folder / "curves.svg"
            draw_curves(entries, self._losses, self._rates, self._select, self._steps, file)
        self._next = begin + (time.monotonic() - begin) / _SHARE


def draw_run(run: Run) -> None:
    """Draw `curves.svg` of a run that was trained without it."""
    entries = run.metrics()
    looks = [entry for entry in entries if entry["kind"] == "epoch" and entry["epoch"]]
    if not looks:
        return
    rates = [name.removesuffix("_rate") for name in entries[0] if name.endswith("_rate")]
    labels = objective_class(run.recipe.objective.kind).shown
    steps = looks[-1]["steps"] // looks[-1]["epoch"]
    select = run.recipe.schedule.select
    draw_curves(entries, labels, rates, select, steps, run.path / "curves.svg")


def draw_curves(
    entries: Entries, losses: Mapping[str, str], rates: Iterable[str], select: str, steps: int, path: Path
) -> None:
    """Draw losses, response, what selects, and learning rates (or a population's spread) over the epochs.

    Args:
        entries: A run's diary, `Run.metrics()`.
        losses: Which are drawn, and what they are called.
        rates: Names of what has a learning rate.
        select: `score` or `merit`.
        steps: Steps of an epoch.
        path: File to write, whole or not at all; its ending says as what (svg, png, pdf).
    """
    # pyplot would look for a screen, and keep every figure.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    done = [entry for entry in entries if entry["kind"] == "step"]
    looks = [entry for entry in entries if entry["kind"] == "epoch"]
    with rc_context(_STYLE):
        figure = Figure(figsize=(9, 6))
        # Fixed places: letting matplotlib find them takes longer than all the rest.
        figure.subplots_adjust(left=0.07, right=0.98, bottom=0.08, top=0.95, hspace=0.2, wspace=0.17)
        axes = figure.subplots(2, 2, sharex=True)
        _lines(axes[0, 0], "loss", done, losses, steps)
        _lines(axes[0, 1], "energy in all cells / what it should be", done, {"response": ""}, steps)
        axes[0, 1].axhline(1, color=_GREY, linewidth=0.8, linestyle=(0, (4, 3)))
        _selection(axes[1, 0], looks, select, steps)
        told = {f"{name}_rate": name for name in rates}
        if told:
            _lines(axes[1, 1], "learning rate", done, told, steps)
        else:  # a population has a spread instead
            _lines(axes[1, 1], "spread of the population", done, {"deviation": ""}, steps)
        # A short training tells only its last rate, which may be 0.
        if any(np.any(np.asarray(line.get_ydata()) > 0) for line in axes[1, 1].lines):
            axes[1, 1].set_yscale("log")
        for axis in axes[1]:
            axis.set_xlabel("epochs")
        picture = io.BytesIO()
        figure.savefig(picture, format=path.suffix[1:], dpi=150)
    replace_bytes(path, picture.getvalue())


def _lines(axis: Axes, title: str, done: Entries, names: Mapping[str, str], steps: int) -> None:
    """Draw means over stretches of the training, and pale behind them what lies between their extremes."""
    _title(axis, title)
    others = cycle(_OTHERS)
    for name, label in names.items():
        colour = _MADE if label in ("generator", "") else next(others)
        found = [(e["steps"] / steps, e[name]) for e in done if isinstance(e.get(name), int | float)]
        if not found:
            continue
        at, low, middle, high = _thinned(np.array(found))
        axis.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
        axis.plot(at, middle, color=colour, linewidth=1.4, label=label)
    if len(names) > 1 and axis.lines:
        axis.legend(frameon=False, labelcolor="linecolor", handlelength=1.2, fontsize=9)
    if not axis.lines:
        axis.text(0.5, 0.5, "not told by this objective", ha="center", color=_GREY, transform=axis.transAxes)


def _title(axis: Axes, text: str) -> None:
    # With a height of its own: matplotlib would look for one that touches nothing, which takes long.
    axis.set_title(text, loc="left", y=1.02, color=_INK, fontsize=10)


def _thinned(points: NDArray[Any]) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Position, lowest, mean and highest value of at most `_POINTS` stretches of equal length."""
    size = -(-len(points) // _POINTS)
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    at, middle = np.array([part.mean(axis=0) for part in parts]).T
    low = np.array([part[:, 1].min() for part in parts])
    high = np.array([part[:, 1].max() for part in parts])
    return at, low, middle, high


def _selection(axis: Axes, looks: Entries, select: str, steps: int) -> None:
    """Draw what epochs are compared by, with a mark at the one that is kept."""
    words = {"score": "distance from Geant4 (score)", "merit": "figure of merit"}
    _title(axis, f"{words[select]}, smaller is better")
    seen = [entry for entry in looks if isinstance(entry.get(select), int | float)]
    if not seen:
        axis.text(0.5, 0.5, "no look at the physics yet", ha="center", color=_GREY, transform=axis.transAxes)
        return
    at, values = [entry["steps"] / steps for entry in seen], [entry[select] for entry in seen]
    axis.plot(at, values, color=_OTHERS[0], linewidth=1.4, marker="o" if len(seen) < 40 else "", markersize=3)
    kept = next((entry for entry in reversed(seen) if entry["kept"]), None)
    if kept is not None:
        here = kept["steps"] / steps, kept[select]
        axis.plot(*here, marker="o", markersize=9, color=_KEPT, markeredgecolor=_INK, zorder=5)
        text = f"kept: epoch {kept['epoch']}, {kept[select]:.3g}"
        axis.annotate(text, here, (0, -18), textcoords="offset points", ha="center")
    if min(values) > 0 and max(values) / min(values) > 20:
        axis.set_yscale("log")
    axis.margins(y=0.2)
