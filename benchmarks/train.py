"""Time one training step of the CaloGAN recipe, part by part.

    python benchmarks/train.py --batch 256 --threads 2

Prints wall and CPU milliseconds (median and best of the repetitions) for fp32 and, where the processor has
it, bf16. CPU time is what to compare on a machine that is not idle.
"""

from __future__ import annotations

import os

# As `caloforge.train` does it: torch looks at this once, at its first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch

from caloforge.detector import load_detector
from caloforge.machine import processor
from caloforge.models import build_critic, build_generator
from caloforge.models.fitted.response import ResponseFit
from caloforge.training import load_recipe
from caloforge.training.hardware import Hardware
from caloforge.training.objectives.adversarial.objective import AdversarialObjective
from caloforge.training.requests import Requests


def main() -> None:
    """Time the parts and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="calogan")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = load_recipe(options.recipe, options.settings)
    batch = options.batch or recipe.schedule.batch
    print(f"{processor()}; {options.threads} threads; recipe {recipe.name}, batch {batch}")
    print(f"{'':28}{'wall ms':>9}{'best':>9}{'CPU ms':>9}{'best':>9}")
    for precision in ("fp32", "bf16"):
        for name, part in _parts(recipe, precision, batch).items():
            wall, cpu = _time(part, options.repeat)
            numbers = [statistics.median(wall), min(wall), statistics.median(cpu), min(cpu)]
            print(f"{precision + ' ' + name:28}" + "".join(f"{n:9.0f}" for n in numbers), flush=True)


def _parts(recipe: object, precision: str, batch: int) -> dict[str, Callable[[], object]]:
    torch.manual_seed(1)
    detector = load_detector(recipe.usual_detector)
    generator, critic = build_generator(recipe.model, detector), build_critic(recipe.model, detector)
    requests = Requests(torch.tensor([1e3]), torch.tensor([1e5]))
    hardware = Hardware(torch.device("cpu"), precision)
    objective = AdversarialObjective(
        generator, critic, recipe.objective, requests, ResponseFit((1.0,)), hardware
    )
    objective.begin()
    incident = requests.draw(batch)
    with torch.no_grad():
        cells = generator(generator.sample_noise(batch), incident)
    return {
        "whole step": lambda: objective.step(cells, incident),
        "critic, real": lambda: objective._critic_step(cells, incident, real=True),
        "showers for the critic": lambda: objective._unlearned(incident),
        "generator": lambda: objective._generator_step(cells, incident),
        "Adam of the generator": objective.optimisers["generator"].step,
    }


def _time(part: Callable[[], object], repeat: int) -> tuple[Sequence[float], Sequence[float]]:
    part()
    wall, cpu = [], []
    for _ in range(repeat):
        begin, used = time.perf_counter(), time.process_time()
        part()
        wall.append((time.perf_counter() - begin) * 1e3)
        cpu.append((time.process_time() - used) * 1e3)
    return wall, cpu


if __name__ == "__main__":
    main()
