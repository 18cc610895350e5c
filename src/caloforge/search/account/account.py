"""The account of an evolution: it and gradients, with the same core-seconds, beside the floor."""

from __future__ import annotations

__all__ = ["account"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from caloforge.cluster import Chunk, open_cluster
from caloforge.errors import RecipeError
from caloforge.models.grown.inherit import weight_count
from caloforge.quantities import MOST_WORKERS, check_whole
from caloforge.search.account.arms import Arm, arms_of, chosen_arms
from caloforge.search.account.fidelity import fidelity
from caloforge.search.account.member import Member, Order, do
from caloforge.search.account.page import page
from caloforge.search.account.record import Record, Store
from caloforge.search.account.showers import halves, same_training_showers
from caloforge.showers import shower_files
from caloforge.training.recipe import Recipe, load_recipe
from caloforge.training.trained_detector import for_showers
from caloforge.writing import locked_folder, replace_text

if TYPE_CHECKING:
    from caloforge.cluster import Cluster
    from caloforge.models.settings import GrownSettings
    from caloforge.progress import Progress

_MOST_SEEDS = 100


def account(
    recipe: Recipe | str | Path,
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    test: str | Path | Sequence[str | Path] = (),
    minutes: float = 4.0,
    seeds: int = 3,
    arms: Sequence[str] = (),
    resume: bool = False,
    jobs: int = 1,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare an evolution with trainings of the same generator, and write a page.

    Each arm is a way to the weights of the generator: it evolves, follows gradients, or does one after the
    other. All have the same core-seconds, each on one core, and some stop when they have seen as many real
    showers as the evolution. What comes out is judged by showers that no training saw; other showers of
    Geant4, as many, are the floor.

    Args:
        recipe: Of an evolution of one population, whose model is `grown`: a preset, or a file.
        data: Shower files, as in `train`.
        out: Folder of the account: `index.html`, `account.json`, and all trainings below `runs/`.
        test: Files of showers that judge; left out: the part of `data` that neither trains nor selects.
        minutes: Of a core, for each arm.
        seeds: Of each arm.
        arms: Keys of arms, or of groups, `gradients` and `codings`; left out: those of gradients.
        resume: Go on with the account in `out`, or start it if there is none.
        jobs: Arms that are trained at a time.
        cluster: Train them elsewhere, see `open_cluster`.
        progress: Called with (arms done, in all, the last of them).

    Returns:
        What `account.json` holds.

    Raises:
        RecipeError: The recipe is no such evolution, or impossible with these showers.
        SearchError: No such arm, too few showers that judge, or `out` holds another account.
        ClusterError: The cluster cannot be reached, or is lost.
        OutputError: `out` cannot be written, or another process writes there.
    """
    check_whole(jobs, "--jobs", 1, MOST_WORKERS)
    check_whole(seeds, "--seeds", 1, _MOST_SEEDS)
    if not minutes > 0:  # nor NaN
        raise RecipeError("this is no time to train", where="--minutes", got=minutes, expected="more than 0")
    asked = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    wanted = chosen_arms(asked, arms)
    data_names, test_names = _names(data), _names(test) if test else ()
    paths = shower_files(list(data_names))
    chosen, detector = for_showers(asked, paths[0])
    one, other = halves(test_names, data_names, chosen, detector)
    with locked_folder(Path(out)) as folder:
        store = Store(folder)
        record = store.begin(
            Record(
                recipe=chosen.model_dump(mode="json"),
                detector=detector.name,
                digest=detector.digest,
                weights=weight_count(cast("GrownSettings", chosen.model), detector),
                minutes=minutes,
                judges=len(one),
                floor=fidelity(one, other),
            ),
            resume,
        )
        same_training_showers(folder, record, paths)
        first, told = chosen.schedule.seed, progress or (lambda *_: None)
        here = _Account(wanted, seeds, first, data_names, test_names, store, record, told)
        with open_cluster(cluster, jobs) as found:
            here.run(found)
        replace_text(folder / "index.html", page(here.record, arms_of(chosen)))
        return here.record.model_dump(mode="json")


def _names(paths: str | Path | Sequence[str | Path]) -> tuple[str, ...]:
    """Return absolute names, which other processes find, too; patterns stay patterns."""
    several = [paths] if isinstance(paths, str | Path) else paths
    return tuple(str(Path(path).absolute()) for path in several)


@dataclass
class _Account:
    """Arms that are trained, and what is known of them."""

    arms: dict[str, Arm]
    seeds: int
    seed: int
    data: tuple[str, ...]
    test: tuple[str, ...]
    store: Store
    record: Record
    progress: Progress

    def run(self, cluster: Cluster) -> None:
        """Train all arms that are missing; those that need others come after them."""
        for first in (True, False):
            ready = [arm for arm in self.arms.values() if (not arm.needs) == first]
            orders = [o for arm in ready for n in range(self.seeds) for o in self._order(arm, self.seed + n)]
            chunks = (Chunk(number, (order,)) for number, order in enumerate(orders))
            self._tell("")
            for outcome in cluster.run(do, chunks, ahead=0):
                if outcome.fault:
                    raise outcome.fault.error
                self._keep(outcome.result)

    def _order(self, arm: Arm, seed: int) -> Iterator[Order]:
        """What is to be done for an arm with a seed, if it is not done yet and can be done."""
        done = self.record.member(arm.key, seed)
        if done is not None and not (done.failed and arm.needs):  # what an arm needs may be there by now
            return
        lacking = self._lacking(arm, seed)
        if lacking:
            self._keep(Member(arm=arm.key, seed=seed, failed=lacking))
            return
        yield Order(
            arm.key,
            seed,
            tuple(self._with_runs(leg.recipe, leg.runs) for leg in arm.legs),
            tuple(60 * self.record.minutes * leg.share for leg in arm.legs),
            self._epochs(arm, seed),
            self.data,
            self.test,
            str(self.store.folder.absolute()),
        )

    def _lacking(self, arm: Arm, seed: int) -> str:
        """Say what an arm needs that is not there."""
        if arm.like is not None and not self._like(arm, seed):
            return f"the arm {arm.like} came to nothing with this seed"
        if any(leg.runs is not None and len(self._runs(leg.runs)) < 2 for leg in arm.legs):
            return "directions are those of two trained runs at least: more --seeds"
        return ""

    def _like(self, arm: Arm, seed: int) -> Member | None:
        other = None if arm.like is None else self.record.member(arm.like, seed)
        return None if other is None or other.failed else other

    def _epochs(self, arm: Arm, seed: int) -> int | None:
        """Epoch in which an arm has seen as many showers as another; None where time ends it."""
        other = self._like(arm, seed)
        return None if other is None else max(1, round(sum(leg.epochs for leg in other.legs)))

    def _runs(self, arm: str) -> list[str]:
        """Runs of an arm, in the order of their seeds, whoever was done first."""
        done = sorted((one for one in self.record.members if one.arm == arm), key=lambda one: one.seed)
        there = [member.legs[-1].run for member in done if not member.failed]
        return [str((self.store.folder / run).absolute()) for run in there]

    def _with_runs(self, recipe: Recipe, arm: str | None) -> Recipe:
        """Put the runs of an arm into the coding that takes its directions from them."""
        if arm is None:
            return recipe
        told = recipe.model_dump(mode="json")
        told["objective"]["coding"]["runs"] = self._runs(arm)
        return Recipe.model_validate(told)

    def _keep(self, member: Member) -> None:
        self.record = self.record.with_member(member)
        self.store.write(self.record)
        merit = member.figures.get("merit")
        told = member.failed or ("" if merit is None else f"figure of merit {merit:.3g}")
        self._tell(f"{member.arm}, seed {member.seed}: {told}")

    def _tell(self, note: str) -> None:
        keys = {(member.arm, member.seed) for member in self.record.members}
        wanted = {(key, self.seed + n) for key in self.arms for n in range(self.seeds)}
        self.progress(len(keys & wanted), len(wanted), note)
