"""Does steps of a caloforge training when told to; `compare.py` starts it beside `keras_worker.py`."""

from __future__ import annotations

import os

# As `caloforge.train` does it: torch looks at this once, at its first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import argparse
import json
import sys
import time

import torch
from torch import Tensor, nn

from caloforge.detector import load_detector
from caloforge.models import build_critic, build_generator
from caloforge.models.fitted.response import ResponseFit
from caloforge.training import load_recipe
from caloforge.training.hardware import Hardware
from caloforge.training.objectives.adversarial.objective import AdversarialObjective
from caloforge.training.recipe import Recipe
from caloforge.training.requests import Requests

# The published fits, what is asked for (MeV), and mean energy of a cell: speed does not depend on them.
_FIT = ResponseFit((1.8e-5, -2.3e-4, 1.1e-3, -2.8e-3, 2.21e-2))
_RANGES = {"gan3d": (1e4, 5e5), "calogan": (1e3, 1e5)}


def main() -> None:
    """Say what is measured, then take a number of steps per line of input and answer with the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=list(_RANGES))
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    recipe = load_recipe(options.recipe)
    batch = options.batch or recipe.schedule.batch
    objective, requests = _objective(recipe, options.precision)
    incident = requests.draw(batch)
    cells = _real(batch, objective.generator.detector.n_cells)
    objective.step(cells, incident)
    counts = {name: _count(module) for name, module in objective.modules.items()}
    _say({"counts": counts, "batch": batch, "versions": f"torch {torch.__version__}"})
    for line in sys.stdin:
        begin, used = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            objective.step(cells, incident)
        _say({"wall": time.perf_counter() - begin, "cpu": time.process_time() - used})


def _objective(recipe: Recipe, precision: str) -> tuple[AdversarialObjective, Requests]:
    detector = load_detector(recipe.usual_detector)
    generator, critic = build_generator(recipe.model, detector), build_critic(recipe.model, detector)
    low, high = _RANGES[recipe.name]
    requests = Requests(torch.tensor([low]), torch.tensor([high]))
    hardware = Hardware(torch.device("cpu"), precision)
    objective = AdversarialObjective(generator, critic, recipe.objective, requests, _FIT, hardware)
    objective.begin()
    return objective, requests


def _real(batch: int, n_cells: int) -> Tensor:
    """Stand-ins for real showers: half of the cells hold something."""
    return torch.empty(batch, n_cells).exponential_(0.1) * (torch.rand(batch, n_cells) < 0.5)


def _count(module: nn.Module) -> list[int]:
    """Parameters as Keras counts them, with the statistics of norms, and those that learn."""
    learn = sum(parameter.numel() for parameter in module.parameters())
    running = sum(value.numel() for name, value in module.named_buffers() if "running" in name)
    return [learn + running, learn]


def _say(answer: dict) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
