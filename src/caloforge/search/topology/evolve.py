"""`evolve` with a recipe whose topology evolves: the driver of generations."""

from __future__ import annotations

__all__ = ["evolve_topology"]

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors.torch import load, save

from caloforge.cluster import open_cluster
from caloforge.errors import EvolutionError, RecipeError, TrainingError
from caloforge.models.grown.generator import GrownGenerator
from caloforge.models.grown.inherit import Parent, weight_count
from caloforge.quantities import MOST_WORKERS, check_whole
from caloforge.search.topology.breeding import Unborn, bred, founders
from caloforge.search.topology.cost import milliseconds
from caloforge.search.topology.diary import write_diary
from caloforge.search.topology.individual import Individual, values_of, violations
from caloforge.search.topology.nsga2 import stand, survivors
from caloforge.search.topology.raising import Raised, Raiser, member_recipe
from caloforge.search.topology.results import Results
from caloforge.search.topology.store import State, Store, see_that_it_is_the_same
from caloforge.showers import shower_files
from caloforge.training.batches import TrainingData
from caloforge.training.hardware import Hardware
from caloforge.training.measuring import adapt
from caloforge.training.objectives.base import Task
from caloforge.training.objectives.evolution.elsewhere import Spread
from caloforge.training.objectives.evolution.objective import EvolutionObjective
from caloforge.training.trained_detector import for_showers
from caloforge.writing import locked_folder

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.evolution.topology import TopologySettings
    from caloforge.models.settings import GrownSettings
    from caloforge.progress import Progress
    from caloforge.training.recipe import Recipe


def evolve_topology(
    recipe: Recipe,
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    resume: bool = False,
    minutes: float | None = None,
    jobs: int = 1,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Evolve stages and weights of generators together.

    Each generation has as many children as the population has members. A child has the stages of its parents,
    changed, and weights that go on from theirs by some generations of the recipe's algorithm. The next
    population is the best half of both (NSGA-II), by the fitness on showers that select, by about the ms per
    shower, and by the number of weights. The last front's members are left as runs, with ms as the engine
    measures them.

    Args:
        recipe: With a section `topology`.
        data: Shower files, as in `train`.
        out: Folder of the evolution.
        resume: Go on with the evolution in `out`, or start it if there is none.
        minutes: Begin no generation after this time.
        jobs: Processes that raise children; 1: this one alone.
        cluster: Raise them elsewhere, see `open_cluster`.
        progress: Called with (individuals raised, in all, the best and the front).

    Returns:
        What `topology.json` holds.

    Raises:
        RecipeError: The recipe is impossible with these showers.
        EvolutionError: `out` holds another evolution.
        TrainingError: None of the founders makes showers.
        ClusterError: The cluster cannot be reached, or is lost.
        OutputError: `out` cannot be written, or another process writes there.
    """
    check_whole(jobs, "--jobs", 1, MOST_WORKERS)
    if minutes is not None and not minutes > 0:  # nor NaN
        raise RecipeError("this is no time", where="--minutes", got=minutes, expected="more than 0")
    paths = shower_files(data)
    chosen, detector = for_showers(recipe, paths[0])
    deadline = time.monotonic() + 60 * (minutes or chosen.schedule.minutes or float("inf"))
    with locked_folder(Path(out)) as folder:
        store = Store(folder)
        if store.begun() and not resume:
            raise EvolutionError(
                "there is an evolution already",
                where=folder,
                cure="go on with it by --resume, or choose another --out",
            )
        base = _Base.of(chosen, detector, paths)
        state = _begin(store, chosen, base)
        evolution = _Evolution(chosen, base, store, state, progress or (lambda *_: None))
        with _workers(Raiser(chosen, detector, base.objective.fitness, paths), jobs, cluster) as everyone:
            evolution.run(everyone, deadline)
        return Results(chosen, detector, base.facts, paths, store, evolution.progress).leave(evolution.state)


@dataclass
class _Base:
    """What all founders have in common: the recipe's own generator, and what was measured of real showers."""

    detector: Detector
    objective: EvolutionObjective
    facts: dict[str, Any]

    @classmethod
    def of(cls, recipe: Recipe, detector: Detector, paths: Sequence[Path]) -> _Base:
        own = member_recipe(recipe, cast("GrownSettings", recipe.model))
        hardware = Hardware.choose(recipe.schedule)
        with torch.random.fork_rng([]):
            torch.manual_seed(recipe.schedule.seed)
            generator = GrownGenerator(detector, cast("GrownSettings", recipe.model))
            showers = TrainingData(paths, own, detector, generator.conditions, hardware.device)
            try:
                objective = EvolutionObjective.of(generator, Task(own, detector, showers, hardware))
                adapt(objective.networks.values(), showers, recipe.schedule.seed)
                return cls(detector, objective, showers.facts())
            finally:
                showers.close()

    @property
    def genome(self) -> Parent:
        generator = cast("GrownGenerator", self.objective.generator)
        return Parent(generator.settings, generator.state_dict())


def _begin(store: Store, recipe: Recipe, base: _Base) -> State:
    """Return where an evolution begins, or goes on."""
    fresh = State(
        recipe=recipe.model_dump(mode="json"),
        detector=base.detector.digest,
        showers=base.facts["fingerprint"],
    )
    if not store.begun():
        return fresh
    found = store.read()
    see_that_it_is_the_same(found, fresh, store.folder)
    return found.model_copy(update={"recipe": fresh.recipe})


Everyone = Callable[[Iterable[tuple[Any, ...]], Callable[[], None]], list[Raised]]


@contextmanager
def _workers(raiser: Raiser, jobs: int, cluster: str | None) -> Iterator[Everyone]:
    """What raises all children of a generation, in order: this process, or others."""
    if jobs == 1 and cluster is None:
        yield _alone(raiser)
        raiser.close()
        return
    with open_cluster(cluster, jobs) as found:
        spread = Spread(found, raiser)
        try:
            yield spread
        finally:
            spread.close()


def _alone(raiser: Raiser) -> Everyone:
    def everyone(parts: Iterable[tuple[Any, ...]], told: Callable[[], None]) -> list[Raised]:
        raised = []
        for part in parts:
            raised.append(raiser(*part))
            told()
        return raised

    return everyone


@dataclass
class _Evolution:
    """Generations, one after the other.

    Args:
        recipe: Of the evolution.
        base: What founders have in common.
        store: Where each generation is kept.
        state: Where it is.
        progress: Told of each child.
    """

    recipe: Recipe
    base: _Base
    store: Store
    state: State
    progress: Progress
    _known: dict[int, Individual] = field(default_factory=dict)

    @property
    def settings(self) -> TopologySettings:
        return cast("TopologySettings", self.recipe.topology)

    def run(self, everyone: Everyone, deadline: float) -> None:
        self._known = {one.number: one for one in self.state.individuals}
        self.store.tidy(set(self.state.population))
        while self.state.generation <= self.settings.generations and time.monotonic() < deadline:
            begun = time.monotonic()
            unborn = list(self._unborn())
            raised = everyone((self._order(one) for one in unborn), self._teller())
            self._live_on(unborn, raised, begun)

    def _unborn(self) -> Iterator[Unborn]:
        seed, generation = self.recipe.schedule.seed, self.state.generation
        if not generation:
            return founders(self.base.genome, self.base.detector, self.settings, seed)
        living = [self._known[number] for number in self.state.population]
        genomes = {one.number: self.store.genome(one) for one in living}
        standing = self._standing(living)
        first = generation * self.settings.population
        return bred(first, self.state.population, genomes, standing, self.base.detector, self.settings, seed)

    def _order(self, one: Unborn) -> tuple[Any, ...]:
        """What a worker is told."""
        steps = self.settings.steps if self.state.generation else self.settings.first_steps
        # Batches go on from generation to generation, so that a lineage sees all showers.
        first = self.settings.first_steps + (self.state.generation - 1) * self.settings.steps
        weights = {name: value.contiguous() for name, value in one.genome.weights.items()}
        return one.number, one.genome.settings, save(weights), first if self.state.generation else 0, steps

    def _live_on(self, unborn: Sequence[Unborn], raised: Sequence[Raised], begun: float) -> None:
        children = [self._individual(*pair) for pair in zip(unborn, raised, strict=True)]
        if not self.state.generation and not any(one.fitness is not None for one in children):
            raise TrainingError(
                "none of the founders makes showers",
                expected="numbers, and some energy in the cells",
                cure="another schedule.seed, or smaller topology.limits",
            )
        everyone = [self._known[number] for number in self.state.population] + children
        chosen = survivors(self._standing(everyone), self.settings.population)
        population = tuple(everyone[i].number for i in chosen.tolist())
        for child, found in zip(children, raised, strict=True):
            if child.number in population:
                self.store.keep(child.number, load(found.weights))
        self._known |= {child.number: child for child in children}
        worked = (self.state.worked[-1] if self.state.worked else 0.0) + time.monotonic() - begun
        self.state = self.state.model_copy(
            update={
                "generation": self.state.generation + 1,
                "population": population,
                "individuals": (*self.state.individuals, *children),
                "lived": (*self.state.lived, population),
                "worked": (*self.state.worked, worked),
            }
        )
        self.store.write(self.state, {})
        write_diary(self.state, self.store.folder)
        self.store.tidy(set(population))

    def _individual(self, unborn: Unborn, raised: Raised) -> Individual:
        model, detector = unborn.genome.settings, self.base.detector
        good = raised.terms["fitness"] < float("inf")
        return Individual(
            number=unborn.number,
            generation=self.state.generation,
            way=unborn.way,
            parents=unborn.parents,
            model=model,
            fitness=raised.terms["fitness"] if good else None,
            terms={name: value for name, value in raised.terms.items() if name != "fitness"} if good else {},
            ms=milliseconds(model, detector),
            weights=weight_count(model, detector),
            course=raised.course,
        )

    def _standing(self, individuals: Sequence[Individual]) -> Any:
        return stand(values_of(individuals), violations(individuals, self.settings.tolerance))

    def _teller(self) -> Callable[[], None]:
        """Return what is called after each child."""
        size, generation = self.settings.population, self.state.generation
        best = [self._known[n].fitness for n in self.state.population if self._known[n].fitness is not None]
        note = f"best {min(best):.4g}" if best else "founders"  # type: ignore[type-var]
        done = generation * size

        def told() -> None:
            nonlocal done
            done += 1
            self.progress(done, (self.settings.generations + 1) * size, f"generation {generation}, {note}")

        return told
