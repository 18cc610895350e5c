"""What the next trial costs in a study of many finished trials: milliseconds by sampler.

    python benchmarks/ask.py [--trials 10000] [--samplers tpe,nsga2] [--objectives 1] [--folder /tmp]

The study has eight parameters, one of them conditional, and lies in an SQLite file, as that of `caloforge
tune`. Its trials are random, or proposed by the sampler itself where it keeps its state in them. Asking is
`study.ask()` and drawing all parameters; medians of CPU time and wall time. "Fresh" is the first question of
a new process, which reads all trials. The last column is Optuna's own sampler, made by its name alone.
"""

from __future__ import annotations

import argparse
import math
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from caloforge.search.samplers import SAMPLERS, make_sampler
from caloforge.search.space import Parameter, Space

SPACE = Space(
    (
        *(Parameter(f"objective.weight{i}", "float", 0, 1) for i in range(3)),
        Parameter("objective.generator_rate", "float", 1e-5, 1e-2, log=True),
        Parameter("model.network", "choice", choices=("dense", "planes", "volume")),
        Parameter("model.width", "int", 64, 512, step=64),
        Parameter("model.latent", "int", 8, 128, log=True, when={"model.network": ("dense",)}),
        Parameter("schedule.batch", "int", 32, 512, log=True),
    )
)
OPTUNA: dict[str, Callable[[], BaseSampler]] = {
    "random": lambda: RandomSampler(seed=1),
    "tpe": lambda: TPESampler(seed=1),
    "gp": lambda: GPSampler(seed=1),
    "cmaes": lambda: CmaEsSampler(seed=1),
    "nsga2": lambda: NSGAIISampler(seed=1),
}


KEEPS_STATE = ("cmaes", "nsga2")


def main() -> None:
    """Print the table."""
    options = _options()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    print("| sampler | fresh, s | CPU, ms | wall, ms | Optuna, CPU, ms |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for name in options.samplers.split(","):
            filled = Path(folder) / f"{name if name in KEEPS_STATE else 'random'}.db"
            if not filled.exists():
                _fill(f"sqlite:///{filled}", filled.stem, options)
            asked = Path(shutil.copy(filled, Path(folder) / "asked.db"))
            fresh, ours, wall = _ask(f"sqlite:///{asked}", _ours(name, options), options)
            plain = ""
            if name in OPTUNA and options.optuna:
                shutil.copy(filled, asked)
                plain = f"{_ask(f'sqlite:///{asked}', OPTUNA[name](), options)[1]:.0f}"
            print(f"| {name} | {fresh:.1f} | {ours:.0f} | {wall:.0f} | {plain} |", flush=True)


def _ours(name: str, options: argparse.Namespace) -> BaseSampler:
    return make_sampler(name, 1, options.objectives, SPACE)


def _fill(url: str, name: str, options: argparse.Namespace) -> None:
    """Trials proposed in memory, then written: how long that takes is not asked."""
    directions = ["minimize"] * options.objectives
    memory = optuna.create_study(directions=directions, sampler=_ours(name, options))
    for _ in range(options.trials):
        trial = memory.ask()
        memory.tell(trial, _figures(SPACE.suggest(trial, flat=True), options.objectives))
    study = optuna.create_study(storage=url, study_name="study", directions=directions)
    study.add_trials(memory.get_trials(deepcopy=False))
    for key, value in memory._storage.get_study_system_attrs(memory._study_id).items():
        study._storage.set_study_system_attr(study._study_id, key, value)


def _ask(url: str, sampler: BaseSampler, options: argparse.Namespace) -> tuple[float, float, float]:
    study = optuna.load_study(study_name="study", storage=url, sampler=sampler)
    cpu, wall = [], []
    for _ in range(options.questions + 1):
        begun, now = time.process_time(), time.perf_counter()
        trial = study.ask()
        values = SPACE.suggest(trial, flat=True)
        cpu.append(time.process_time() - begun)
        wall.append(time.perf_counter() - now)
        study.tell(trial, _figures(values, options.objectives))
    return cpu[0], 1e3 * median(cpu[1:]), 1e3 * median(wall[1:])


def _figures(values: dict[str, Any], objectives: int) -> list[float]:
    first = sum((values[f"objective.weight{i}"] - 0.3) ** 2 for i in range(3))
    first += (math.log10(values["objective.generator_rate"]) + 3.5) ** 2
    first += {"dense": (values.get("model.latent", 0) / 64 - 1) ** 2, "planes": 0.2, "volume": 0.3}[
        values["model.network"]
    ]
    second = values["model.width"] / 512 + (values["objective.weight0"] - 0.9) ** 2
    return [first + abs(values["schedule.batch"] - 128) / 512, second][:objectives]


def _options() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--samplers", default=",".join(SAMPLERS))
    parser.add_argument("--objectives", type=int, default=1)
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where the studies lie for the while")
    parser.add_argument("--no-optuna", dest="optuna", action="store_false")
    return parser.parse_args()


if __name__ == "__main__":
    main()
