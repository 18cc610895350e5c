"""A population in one pass, beside one individual after another; and Deep GA at four million weights.

    OMP_NUM_THREADS=1 python benchmarks/evolve.py

All in one process, on one core, in turns; each figure is the median over the rounds of CPU seconds. "Alone"
decodes each individual from its chromosome, loads its weights into the generator and runs it; "loaded" only
loads and runs, as if all weights of all individuals lay in memory. The batch is the number of showers that
each individual makes.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caloforge.detector import Detector, load_detector
from caloforge.evolution.algorithms import make_algorithm
from caloforge.evolution.algorithms.base import Algorithm, Generation
from caloforge.evolution.algorithms.parents import Parents
from caloforge.evolution.algorithms.rank_one import RankOneEs
from caloforge.evolution.codings import make_coding
from caloforge.evolution.population.many import Change, Weights, one_by_one
from caloforge.evolution.population.pieces import Pieces
from caloforge.evolution.population.showers import showers_of_each
from caloforge.evolution.settings import DeepGaSettings, DenseSettings, EsSettings
from caloforge.models import build_generator
from caloforge.models.base import Generator
from caloforge.training import load_recipe

IMAGE = """
name: image
shape: planar
size: [130 mm, 130 mm]
readout:
  deposits: all
  layers:
    - {name: a, thickness: 10 mm, grid: {kind: cartesian, window: [127.5 mm, 127.5 mm], cells: [25, 25]}}
"""


class Dense(Generator):
    """A dense generator of 504 cells with 171,192 weights."""

    noise_shape = (32,)

    def __init__(self) -> None:
        super().__init__(load_detector("calogan"))
        layers: list[nn.Module] = []
        for before, after in pairwise((32, 224, 224, self.detector.n_cells)):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        return torch.softmax(self.layers(noise), dim=1) * incident


class Population:
    """The ways to make showers of all individuals."""

    def __init__(self, generator: Generator, count: int, batch: int) -> None:
        self.generator, self.count, self.batch = generator.eval(), count, batch
        self.weights = dict(generator.named_parameters())
        self.shapes = {name: tuple(weight.shape) for name, weight in self.weights.items()}
        start = {name: weight.detach().numpy().copy() for name, weight in self.weights.items()}
        spread = {name: max(float(weight.std()), 0.01) for name, weight in start.items()}
        self.coding = make_coding(DenseSettings(), self.shapes, start, spread)
        self.noise, self.incident = generator.sample_noise(batch), torch.full((batch, 1), 2e4)
        self.pieces = Pieces.measured(generator, self.weights, self.incident, 1 << 30)
        self.buffers = dict(generator.named_buffers())
        self.full, self.one = self._algorithm("full"), self._algorithm("one")
        self.seeds, self.pairs = self.full.ask(), self.one.ask()
        self.decoded = self._decoded(self.full, self.seeds, slice(None))

    def ways(self) -> dict[str, Callable[[], None]]:
        """All of them, by name."""
        return {
            "alone": lambda: self.alone(self.full, self.seeds),
            "alone, of rank one": lambda: self.alone(self.one, self.pairs),
            "loaded": self.loaded,
            "lent": self.lent,
            "at once": lambda: self.at_once(True),
            "at once, decoded": lambda: self.at_once(False),
            "rank one": self.rank_one,
        }

    def alone(self, algorithm: Algorithm[Any], generation: Generation) -> None:
        """Decode, load and run one after the other."""
        for number in range(self.count):
            part = self._decoded(algorithm, generation, slice(number, number + 1))
            self._run({name: value[0] for name, value in part.items()})

    def loaded(self) -> None:
        """Load and run one after the other."""
        for number in range(self.count):
            self._run({name: values[number] for name, values in self.decoded.items()})

    def lent(self) -> None:
        """Run one after the other, without loading."""
        for number in range(self.count):
            with one_by_one(self.generator, {name: values[number] for name, values in self.decoded.items()}):
                self.generator(self.noise, self.incident)

    def at_once(self, decode: bool) -> None:
        """All of a piece in one pass."""
        for part in self._pieces():
            if decode:
                self._make(part, self._decoded(self.full, self.seeds, part))
            else:
                self._make(part, {name: values[part] for name, values in self.decoded.items()})

    def rank_one(self) -> None:
        """All of a piece in one pass, as changes of what they share."""
        assert isinstance(self.one, RankOneEs)
        for part in self._pieces():
            found = self.one.factors(self.pairs.shared, self.pairs.chromosomes[part], self.shapes)
            self._make(part, {name: self._changed(name, *factors) for name, factors in found.items()})

    def _algorithm(self, rank: str) -> Algorithm[Any]:
        settings = EsSettings.model_validate({"population": self.count, "rank": rank, "first": 0})
        return make_algorithm(settings, self.coding.start, self.coding.spread, 1, self.shapes)

    def _decoded(self, algorithm: Algorithm[Any], generation: Generation, part: slice) -> dict[str, Tensor]:
        genes = algorithm.decode(generation.shared, generation.chromosomes[part], self.coding.size)
        return self.coding.decode(torch.from_numpy(genes))

    def _changed(self, name: str, left: NDArray[np.float32], right: NDArray[np.float32]) -> Tensor | Change:
        change = Change(*(torch.from_numpy(np.ascontiguousarray(side)) for side in (left, right)))
        leaf = self.generator.get_submodule(name.rpartition(".")[0])
        if type(leaf) is nn.Linear and name.endswith("weight"):
            return change
        outer = change.left.unsqueeze(2) * change.right.unsqueeze(1)
        return self.weights[name] + outer.reshape(-1, *self.shapes[name])

    def _pieces(self) -> list[slice]:
        return list(self.pieces.of(self.count))

    def _make(self, part: slice, weights: Weights) -> None:
        showers_of_each(self.generator, weights, part.stop - part.start, self.noise, self.incident, True)

    def _run(self, state: dict[str, Tensor]) -> None:
        self.generator.load_state_dict(state | self.buffers, strict=False)
        self.generator(self.noise, self.incident)


def clock(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """CPU seconds of each way, in turns."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            begin = time.process_time()
            way()
            if number:  # the first round warms up
                found[name].append(time.process_time() - begin)
    return {name: float(np.median(values)) for name, values in found.items()}


@torch.no_grad()
def passes(generator: Generator, count: int, batches: tuple[int, ...], rounds: int) -> None:
    """Print a table."""
    weights = sum(weight.numel() for weight in generator.parameters())
    print(f"\n{count} generators of {generator.detector.n_cells} cells, {weights:,} weights: ms for each\n")
    heads = "alone", "at once", "alone, of rank one", "rank one", "loaded", "at once, decoded", "lent"
    print("| batch | " + " | ".join(heads) + " |\n|---" + "|---" * len(heads) + "|")
    for batch in batches:
        took = clock(Population(generator, count, batch).ways(), rounds)
        beside = dict(zip(heads, ("alone",) * 2 + ("alone, of rank one",) * 2 + ("loaded",) * 3, strict=True))
        cells = [
            f"{1e3 * took[name] / count:.3f}"
            + (f" ({took[beside[name]] / took[name]:.1f}x)" if name != beside[name] else "")
            for name in heads
        ]
        print(f"| {batch} | " + " | ".join(cells) + " |", flush=True)


def deep_ga(genes: int, generations: int, population: int) -> None:
    """Print what decoding the children of a generation takes, with their parents kept and without."""
    from caloforge.evolution.algorithms import deep_ga as module

    settings = DeepGaSettings(population=population, parents=4, elites=2)
    spread = np.full(genes, 0.05, np.float32)
    algorithm = make_algorithm(settings, np.zeros(genes, np.float32), spread, 1, {"w": (genes,)})
    random = np.random.default_rng(0)
    for _ in range(generations):
        algorithm.ask()
        algorithm.tell(random.random(population))
        if (elites := algorithm.elites()) is not None:
            algorithm.choose(random.random(len(elites.chromosomes)))
    generation = algorithm.ask()

    def decode(some: int) -> float:
        begin = time.process_time()
        for chromosome in generation.chromosomes[:some]:
            algorithm.decode(generation.shared, [chromosome], genes)
        return (time.process_time() - begin) / some

    module.PARENTS = Parents(limit=0)
    whole = decode(4)
    module.PARENTS = Parents(limit=1 << 30)
    decode(population)
    kept = decode(population)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"Deep GA, {genes:,} weights, population {population}, generation {generations}: a child takes "
        f"{1e3 * kept:.0f} ms with parents kept, {1e3 * whole:.0f} ms from its chain, {whole / kept:.1f}x; "
        f"{np.mean([len(one) for one in generation.chromosomes]):.0f} bytes; peak {peak:.0f} MB"
    )


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("dense", "image", "deep-ga"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    if options.only in (None, "dense"):
        passes(Dense(), 256, (1, 8, 32, 256), options.rounds)
    if options.only in (None, "image"):
        generator = build_generator(load_recipe("evolve-2d").model, Detector.from_yaml(IMAGE))
        cells = torch.rand(500, 625) * 1e3
        generator.adapt(cells, cells.sum(1, keepdim=True))
        passes(generator, 64, (1, 8, 32), options.rounds)
    if options.only in (None, "deep-ga"):
        for population in (16, 64, 256):
            deep_ga(4_000_000, 30, population)


if __name__ == "__main__":
    main()
