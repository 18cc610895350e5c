"""Every recipe of `space.yaml`, trained: `table.csv` holds what the look at the selection part says of each.

    nice python benchmarks/tabulated/make.py [--minutes 35]

A training takes a second or two. Stopped, it goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import torch
import yaml

import caloforge as cf
from caloforge.samples import positrons
from caloforge.training.recipe import load_recipe

HERE = Path(__file__).parent
TABLE = HERE / "table.csv"
FIGURES = ("score", "merit")
# Two rounds of the fit instead of twelve: half of the time, and the same figures to 0.1 %.
RECIPE = ("calogan-fit", ["schedule.select=merit", "model.fit.rounds=2"])


def main() -> None:
    """Train what the table lacks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=float("inf"))
    end = time.monotonic() + 60 * parser.parse_args().minutes
    torch.set_num_threads(1)
    search = yaml.safe_load((HERE / "space.yaml").read_text())["search"]
    if not TABLE.exists():
        _append([*search, *FIGURES])
    done = {tuple(row[: len(search)]) for row in csv.reader(TABLE.open())}
    for values in grid(search):
        key = tuple(_text(values.get(name)) for name in search)
        if key not in done and time.monotonic() < end:
            _append([*key, *(f"{value:.6g}" for value in _figures(values))])


def grid(search: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every recipe once: a parameter that is not active has no value."""
    seen = set()
    for values in product(*(_levels(entry) for entry in search.values())):
        drawn = dict(zip(search, values, strict=True))
        active = {name: value for name, value in drawn.items() if _active(search[name], drawn)}
        if (key := json.dumps(active)) not in seen:
            seen.add(key)
            yield active


def _levels(entry: dict[str, Any]) -> list[Any]:
    if "choice" in entry:
        return list(entry["choice"])
    low, high = entry["int"]
    return list(range(low, high + 1, entry["step"]))


def _active(entry: dict[str, Any], drawn: dict[str, Any]) -> bool:
    return all(drawn[name] in values for name, values in entry.get("when", {}).items())


def _figures(values: dict[str, Any]) -> list[float]:
    name, settings = RECIPE
    recipe = load_recipe(name, settings + [f"{key}={_text(value)}" for key, value in values.items()])
    with tempfile.TemporaryDirectory() as folder:
        run = cf.train(recipe, positrons(), Path(folder) / "run")
        look = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])
    return [look[name] for name in FIGURES]


def _text(value: Any) -> str:
    return "" if value is None else json.dumps(value)


def _append(row: list[str]) -> None:
    with TABLE.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(row)


if __name__ == "__main__":
    main()
