"""A population in one pass, beside one individual after another; and Deep GA at four million weights.

    OMP_NUM_THREADS=1 python benchmarks/evolve.py

All in one process, on one core, in turns; each figure is the median over the rounds of CPU seconds. "One after
another" decodes each individual from its chromosome, loads its weights into the generator and runs it; what is in
brackets leaves decoding out on both sides. The batch is the number of showers that each individual makes.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from caloforge.detector import Detector, load_detector
from caloforge.evolution.algorithms import make_algorithm
from caloforge.evolution.algorithms.base import Algorithm
from caloforge.evolution.algorithms.parents import PARENTS
from caloforge.evolution.codings import make_coding
from caloforge.evolution.population.many import Change, one_by_one
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
        widths = 32, 224, 224, self.detector.n_cells
        layers: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        return torch.softmax(self.layers(noise), dim=1) * incident


def clock(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """CPU seconds of each way, in turns."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            begin = time.process_time()
            way()
            if number:  # the first round warms up
                found[name].append(time.process_time() - begin)
    return {name: float(np.median(values)) for name, values in found.items()}


def passes(generator: Generator, count: int, batch: int, rounds: int) -> None:
    """One row of the table."""
    generator.eval()
    weights = dict(generator.named_parameters())
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    start = {name: weight.detach().numpy().copy() for name, weight in weights.items()}
    spread = {name: max(float(weight.std()), 0.01) for name, weight in start.items()}
    coding = make_coding(DenseSettings(), shapes, start, spread)
    noise, incident = generator.sample_noise(batch), torch.full((batch, 1), 2e4)

    def algorithm(rank: str) -> Algorithm:
        settings = EsSettings(population=count, rank=rank, first=0)
        return make_algorithm(settings, coding.start, coding.spread, 1, shapes)

    full, one = algorithm("full"), algorithm("one")
    seeds, pairs = full.ask(), one.ask()
    decoded = coding.decode(torch.from_numpy(full.decode(seeds.shared, seeds.chromosomes, coding.size)))
    states = [{name: values[number] for name, values in decoded.items()} for number in range(count)]
    buffers = dict(generator.named_buffers())

    def run(state: dict[str, Tensor]) -> None:
        generator.load_state_dict(state | buffers, strict=False)
        generator(noise, incident)

    def alone(rank: Algorithm, generation: object) -> None:
        for chromosome in generation.chromosomes:  # type: ignore[attr-defined]
            genes = rank.decode(generation.shared, [chromosome], coding.size)  # type: ignore[attr-defined]
            run({name: value[0] for name, value in coding.decode(torch.from_numpy(genes)).items()})

    def loaded() -> None:
        for state in states:
            run(state)

    def lent() -> None:
        for state in states:
            with one_by_one(generator, state):
                generator(noise, incident)

    def at_once(part: slice, weights: dict[str, Tensor | Change]) -> None:
        size = len(range(*part.indices(count)))
        showers_of_each(generator, weights, size, noise, incident, True)

    def stacked(decode: bool) -> None:
        for first in range(0, count, 64):
            part = slice(first, first + 64)
            found = {name: values[part] for name, values in decoded.items()}
            if decode:
                genes = full.decode(seeds.shared, seeds.chromosomes[part], coding.size)
                found = coding.decode(torch.from_numpy(genes))
            at_once(part, found)

    def changed() -> None:
        for first in range(0, count, 64):
            part = slice(first, first + 64)
            factors = one.factors(pairs.shared, pairs.chromosomes[part], shapes)  # type: ignore[attr-defined]
            found: dict[str, Tensor | Change] = {}
            for name, (left, right) in factors.items():
                u, v = (
                    torch.from_numpy(np.ascontiguousarray(left)),
                    torch.from_numpy(np.ascontiguousarray(right)),
                )
                leaf = generator.get_submodule(name.rpartition(".")[0])
                if type(leaf) is nn.Linear and name.endswith("weight"):
                    found[name] = Change(u, v)
                else:
                    outer = u.unsqueeze(2) * v.unsqueeze(1)
                    found[name] = weights[name] + outer.reshape(-1, *shapes[name])
            at_once(part, found)

    with torch.no_grad():
        took = clock(
            {
                "alone": partial(alone, full, seeds),
                "alone, rank one": partial(alone, one, pairs),
                "loaded": loaded,
                "lent": lent,
                "stacked": partial(stacked, True),
                "stacked, decoded": partial(stacked, False),
                "rank one": changed,
            },
            rounds,
        )
    each = 1e3 * took["alone"] / count
    print(
        f"{count} x {generator.detector.n_cells} cells, {coding.size:,} weights, batch {batch}: "
        f"{each:.2f} ms alone ({1e3 * took['loaded'] / count:.2f}); at once {took['alone'] / took['stacked']:.1f}x "
        f"({took['loaded'] / took['stacked, decoded']:.1f}x, lent {took['loaded'] / took['lent']:.1f}x); "
        f"rank one {took['alone'] / took['rank one']:.1f}x "
        f"(beside its own chromosomes {took['alone, rank one'] / took['rank one']:.1f}x, "
        f"beside loading {took['loaded'] / took['rank one']:.1f}x)"
    )


def deep_ga(genes: int, generations: int, population: int) -> None:
    """Decoding the children of a generation, with their parents kept and without."""
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

    def decode(limit: int, some: int) -> float:
        PARENTS.limit = limit
        begin = time.process_time()
        for chromosome in generation.chromosomes[:some]:
            algorithm.decode(generation.shared, [chromosome], genes)
        return (time.process_time() - begin) / some

    decode(1 << 30, population)
    kept, whole = decode(1 << 30, population), decode(0, 3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"Deep GA, {genes:,} weights, population {population}, after {generations} generations: a child "
        f"{1e3 * kept:.0f} ms with parents kept, {1e3 * whole:.0f} ms from its chain: {whole / kept:.1f}x; "
        f"{np.mean([len(one) for one in generation.chromosomes]):.0f} bytes an individual; peak {peak:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("dense", "image", "deep-ga"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    if options.only in (None, "dense"):
        for batch in (1, 8, 32, 256):
            passes(Dense(), 256, batch, options.rounds)
    if options.only in (None, "image"):
        generator = build_generator(load_recipe("evolve-2d").model, Detector.from_yaml(IMAGE))
        cells = torch.rand(500, 625) * 1e3
        generator.adapt(cells, cells.sum(1, keepdim=True))
        for batch in (8, 32):
            passes(generator, 64, batch, options.rounds)
    if options.only in (None, "deep-ga"):
        for population in (16, 64):
            deep_ga(4_000_000, 20, population)


if __name__ == "__main__":
    main()
