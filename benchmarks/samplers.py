"""Which sampler finds a good recipe in how many trials: all of them, equal budgets, several seeds.

    python benchmarks/samplers.py --trials 100 --seeds 5 --out docs/images/samplers.png  # from the table
    python benchmarks/samplers.py --real calogan-fit --space my.yaml --data showers.h5 --studies studies \
        --trials 60 --seeds 5 --out real.png

Without `--real`, figures are those of `tabulated/table.csv`: 672 recipes, all of them trained
(`tabulated/make.py`), so the comparison takes minutes and comes out the same anywhere. With it, each is a
study of `caloforge tune`, kept in a folder of its own and gone on with if there is one. Prints the median
over the seeds of the best figure so far, and how many trials it took to be within 5 % of the best known; the
picture has a band from the best to the worst seed.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from caloforge.search.samplers import SAMPLERS, make_sampler, wants_flat
from caloforge.search.space import Space, load_space
from caloforge.training import load_recipe

HERE = Path(__file__).parent / "tabulated"
COLOURS = ("#8d979f", "#ca3b09", "#096db8", "#008e69", "#ad5597", "#b89700", "#3aa2dc")
Curves = dict[str, NDArray[np.float64]]
"""Figures of the trials in their order, shape (seeds, trials), by sampler."""


def main() -> None:
    """Print the table, draw the picture."""
    options = _options()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    known = None if options.real else min(_table(options.figure).values())
    curves: Curves = {}
    _head(options)
    for name in options.samplers.split(","):
        figures = [(_real if options.real else _tabulated)(name, seed, options) for seed in _seeds(options)]
        curves[name] = np.minimum.accumulate(np.array(figures), axis=1)
        _row(name, curves[name], known, options)
    if options.out:
        _draw(curves, known, options)


def _seeds(options: argparse.Namespace) -> range:
    return range(1, options.seeds + 1)


def _tabulated(name: str, seed: int, options: argparse.Namespace) -> list[float]:
    space, table = _space(), _table(options.figure)
    study = optuna.create_study(sampler=make_sampler(name, seed, 1, space))
    for _ in range(options.trials):
        trial = study.ask()
        values = space.suggest(trial, flat=wants_flat(name, space))
        study.tell(trial, table[_key(values)])
    return [trial.value for trial in study.trials]


def _real(name: str, seed: int, options: argparse.Namespace) -> list[float]:
    from caloforge.search.tune import tune

    tune(
        options.real,
        options.space,
        data=options.data,
        out=options.studies / f"{name}-{seed}",
        trials=options.trials,
        objectives=[options.figure],
        sampler=name,
        seed=seed,
        groups=options.groups,
        resume=True,
    )
    url = f"sqlite:///{options.studies / f'{name}-{seed}' / 'study.db'}"
    study = optuna.load_study(study_name=None, storage=url)
    figures = [trial.value for trial in study.trials if trial.state.is_finished() and trial.values]
    return figures[: options.trials]


def _space() -> Space:
    return load_space(HERE / "space.yaml", load_recipe("calogan-fit"))


def _table(figure: str) -> dict[str, float]:
    return dict(_rows(figure))


def _rows(figure: str) -> Iterator[tuple[str, float]]:
    names = [parameter.name for parameter in _space().parameters]
    with (HERE / "table.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            yield _key({name: json.loads(row[name]) for name in names if row[name]}), float(row[figure])


def _key(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)


def _marks(options: argparse.Namespace) -> list[int]:
    return sorted({max(1, options.trials * part // 10) for part in (1, 2, 3, 5, 10)})


def _head(options: argparse.Namespace) -> None:
    marks = [f"{mark} trials" for mark in _marks(options)]
    columns = ["sampler", *marks, "worst seed", "trials to within 5 %"]
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))


def _row(name: str, best: NDArray[np.float64], known: float | None, options: argparse.Namespace) -> None:
    aim = 1.05 * (float(best.min()) if known is None else known)
    reached = [int(np.argmax(row <= aim)) + 1 if row[-1] <= aim else options.trials + 1 for row in best]
    middle = int(np.median(reached))
    said = str(middle) if middle <= options.trials else f"more than {options.trials}"
    cells = [f"{np.median(best[:, mark - 1]):.4f}" for mark in _marks(options)]
    print("| " + " | ".join([name, *cells, f"{best[:, -1].max():.4f}", said]) + " |", flush=True)


def _draw(curves: Curves, known: float | None, options: argparse.Namespace) -> None:
    """One panel for each sampler: its median and band, beside the median of random search."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    names = [name for name in curves if name != "random"] or list(curves)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(3.2 * columns, 2.4 * rows), sharex=True, sharey=True, squeeze=False
    )
    trials = np.arange(1, options.trials + 1)
    for panel, name, colour in zip(panels.flat, names, COLOURS[1:], strict=False):
        if "random" in curves:
            panel.plot(trials, np.median(curves["random"], 0), color=COLOURS[0], label="random", lw=1.2)
        best = curves[name]
        panel.fill_between(trials, best.min(0), best.max(0), color=colour, alpha=0.2, lw=0)
        panel.plot(trials, np.median(best, 0), color=colour, label=name, lw=1.8)
        if known is not None:
            panel.axhline(known, color="#1d2329", lw=0.8, ls=":")
        panel.legend(frameon=False, loc="upper right")
    # The first trials of all samplers are random, and tell nothing.
    late = np.concatenate([best[:, min(5, options.trials - 1) :].ravel() for best in curves.values()])
    panels[0, 0].set_ylim(0.98 * float(late.min()), 1.02 * float(np.quantile(late, 0.98)))
    figure.supxlabel("trials", fontsize=9)
    figure.supylabel(f"best {options.figure} so far", fontsize=9)
    figure.tight_layout()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=110)


def _options() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samplers", default=",".join(SAMPLERS))
    parser.add_argument("--figure", default="score", help="score or merit; with --real any figure")
    parser.add_argument("--out", type=Path, help="picture")
    parser.add_argument("--real", metavar="RECIPE", help="train instead of looking up")
    parser.add_argument("--space", help="space of --real; left out: that of the recipe")
    parser.add_argument("--data", type=Path, help="showers of --real")
    parser.add_argument("--studies", type=Path, help="folder of the studies of --real")
    parser.add_argument("--groups", type=int, default=1)
    options = parser.parse_args()
    if options.real and not (options.data and options.studies):
        parser.error("--real needs --data and --studies")
    return options


if __name__ == "__main__":
    main()
