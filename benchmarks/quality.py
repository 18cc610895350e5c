"""How good generators are: a row of docs/benchmarks.md for each run, from Geant4 showers that none has seen.

    python benchmarks/quality.py --reference test.h5 --floor select.h5 --out reports RUN [RUN ...]

Beside the networks on cells and on observables stand boosted trees: on log-shares of cells (auc_cells), and
on observables (auc_trees). They need the number of showers beside them, as all AUCs do.

RUN is a folder, or the name of a run that comes with caloforge. Each makes the showers three times over, with
seeds of their own: figures are means, as a spread of 840 showers is uncertain by 2.4 %. Reports with every
number and figure are written into --out. The floor row compares the two Geant4 files with each other.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import caloforge as cf
from caloforge.models import build_critic
from caloforge.showers import Showers, open_showers
from caloforge.training import Run

SEEDS = 3
METRICS = "distributions,response,images,merit,diversity,high,trees,cells,low,frechet"
NUMBERS = (
    "auc_low",
    "auc_high",
    "auc_cells",
    "auc_trees",
    "fpd",
    "profile_mse",
    "spread",
    "spread_worst",
    "ssim_pairs",
    "figure_of_merit",
)


def main() -> None:
    """Print the table."""
    options = _options()
    torch.set_num_threads(options.threads)
    geant4 = _read(options.reference)
    options.out.mkdir(parents=True, exist_ok=True)
    columns = ["run", "parameters", "profiles z", "x", "y", "response", "auxiliary", *NUMBERS]
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    _print("floor", "", "", [_figures(options, geant4, "floor", options.floor, None, SEEDS)])
    for source in options.run:
        name = Path(source).name
        found = []
        for seed in range(1, SEEDS + 1):
            file = options.out / f"{name}-{seed}.h5"
            file.unlink(missing_ok=True)
            cf.generate(source, out=file, like=options.reference, seed=seed)
            found.append(_figures(options, geant4, f"{name}-{seed}", file, options.floor, 2))
        _print(name, *_networks(source, geant4), found)


def _figures(
    options: argparse.Namespace, geant4: Showers, name: str, file: Path, floor: Path | None, trainings: int
) -> list[float]:
    """Deviations of profiles and response, %, and the report's `NUMBERS`."""
    report = cf.validate(
        options.reference, file, out=options.out / name, floor=floor, metrics=METRICS, trainings=trainings
    )
    made = _read(file)
    worst = [100 * one for one in (*_profiles(geant4, made), _response(geant4, made))]
    return [*worst, *(report.numbers[key].measure.value for key in NUMBERS)]


def _print(name: str, size: str, estimate: str, found: list[list[float]]) -> None:
    *profiles, response = np.mean(found, axis=0)[:4]
    numbers = [f"{value:.3g}" for value in np.mean(found, axis=0)[4:]]
    percent = [f"{value:.1f} %" for value in profiles]
    row = [name, size, *percent, f"{response:.2f} %", estimate, *numbers]
    print("| " + " | ".join(row) + " |", flush=True)


def _options() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("run", nargs="+")
    parser.add_argument("--reference", type=Path, required=True, help="Geant4 showers that judge")
    parser.add_argument("--floor", type=Path, required=True, help="other Geant4 showers")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if len({Path(run).name for run in options.run}) < len(options.run):
        parser.error("two runs have the same name, and so would their reports")
    return options


def _read(path: Path) -> Showers:
    with open_showers(path) as file:
        return file.read(0, len(file))


def _profiles(geant4: Showers, made: Showers) -> list[float]:
    """Largest deviation of the mean profile along z, x and y where it is above 1 % of its maximum."""
    worst = []
    for truth, found in zip(_mean_profiles(geant4), _mean_profiles(made), strict=True):
        seen = [t > 0.01 * t.max() for t in truth]
        worst.append(max(np.abs(f[s] / t[s] - 1).max() for t, f, s in zip(truth, found, seen, strict=True)))
    return worst


def _mean_profiles(showers: Showers) -> list[list[NDArray[np.float64]]]:
    """Along z, and along both axes of each grid."""
    images = [image.mean(0, dtype=np.float64) for image in showers.detector.split(showers.cells)]
    grids: dict[tuple[int, ...], NDArray[np.float64]] = {}
    for image in images:
        grids[image.shape] = grids.get(image.shape, 0) + image
    z = [np.array([image.sum() for image in images])]
    return [z, [grid.sum(1) for grid in grids.values()], [grid.sum(0) for grid in grids.values()]]


def _response(geant4: Showers, made: Showers) -> float:
    """Largest deviation of the mean response in five bins of energy with as many showers each."""
    edges = np.quantile(geant4.incident.energy, np.linspace(0, 1, 6))
    ratios = []
    for low, high in pairwise(edges):
        part = (geant4.incident.energy >= low) & (geant4.incident.energy <= high)
        other = (made.incident.energy >= low) & (made.incident.energy <= high)
        ratios.append(_mean_response(made, other) / _mean_response(geant4, part) - 1)
    return float(np.abs(ratios).max())


def _mean_response(showers: Showers, part: NDArray[np.bool_]) -> float:
    return float(np.mean(showers.cells[part].sum(1) / showers.incident.energy[part]))


def _networks(source: str, geant4: Showers) -> tuple[str, str]:
    """Weights of the generator; bias and spread of the critic's estimate of the energy, if it has one."""
    run = Run.open(source)
    size = sum(p.numel() for p in run.generator().parameters())
    if not run.checkpoint.is_file():
        return f"{size:,}", ""
    from safetensors.torch import load_file

    critic = build_critic(run.recipe.model, run.detector).eval()
    state = load_file(run.checkpoint)
    prefix = "critic."
    critic.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    incident = torch.from_numpy(geant4.incident.matrix(run.generator().conditions))
    with torch.no_grad():
        readings = critic(torch.from_numpy(geant4.cells), incident)
    if "auxiliary" not in readings:
        return f"{size:,}", ""
    ratio = readings["auxiliary"].numpy() * 100e3 / geant4.incident.energy - 1
    return f"{size:,}", f"{100 * ratio.mean():+.1f} ± {100 * ratio.std():.1f} %"


if __name__ == "__main__":
    main()
