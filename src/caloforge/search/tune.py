"""`tune`: from a recipe, a space and showers to the best recipe and its run."""

from __future__ import annotations

__all__ = ["MOST_TRIALS", "tune"]

import math
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge import __version__
from caloforge.cluster import Chunk, Cluster, open_cluster
from caloforge.errors import CaloforgeError, SearchError
from caloforge.quantities import MOST_SEED, MOST_WORKERS, check_whole
from caloforge.search.figures import Constraint, known_figure
from caloforge.search.job import Job, Trainer
from caloforge.search.keeping import best_trials, tidy
from caloforge.search.ledger import Ledger, is_lost
from caloforge.search.master import Master
from caloforge.search.plan import Plan
from caloforge.search.report import write_results
from caloforge.search.samplers import make_sampler
from caloforge.search.space import Space, load_space
from caloforge.training.curves import draw_run
from caloforge.training.recipe import MOST_FOLDS, Recipe, load_recipe
from caloforge.training.run import Run
from caloforge.writing import locked_folder, replace_text

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from caloforge.progress import Progress

MOST_TRIALS = 1_000_000
_USUAL = "merit"
_PAGE_SECONDS = 60.0  # between two pages while the search goes on,
_RARE = 100  # and at least so many times what one costs
_SILENT = 1.0  # seconds between two reports
_TURN = 60.0  # seconds that a master waits while another one begins
_LEFT = "trials", "best", "best.yaml", "study.json", "index.html"


def tune(
    recipe: Recipe | str | Path,
    space: Space | str | Path | None = None,
    *,
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    trials: int = 100,
    objectives: Sequence[str] = (),
    constraints: Sequence[str] = (),
    sampler: str = "tpe",
    folds: int = 1,
    halving: bool = False,
    groups: int = 1,
    workers: int = 1,
    cluster: str | None = None,
    storage: str | None = None,
    minutes: float | None = None,
    seed: int = 1,
    resume: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Search the best recipe by training many.

    The study is a data base, so nothing that is finished is lost, whoever dies: `resume` goes on. Several
    calls, with `resume`, work on one study together.

    Args:
        recipe: What is searched around: a recipe, the name of a preset, or a file.
        space: Which settings are searched, see `load_space`; None: the preset space of the recipe.
        data: Shower files of one detector; only what trains and selects is looked at.
        out: Folder of the study.
        trials: How many there shall be in it.
        objectives: Figures that are made small (`caloforge.search.figures.FIGURES`); none: those of the
            space, or 3DGAN's figure of merit.
        constraints: What must hold: `ms<0.1`; none: those of the space.
        sampler: What chooses, by its name in `caloforge.search.samplers.SAMPLERS`.
        folds: Train each trial on so many divisions of the showers, and take means; one that is worse than
            the best in its first folds is stopped.
        halving: Stop two of three trials after a ninth of their epochs, and again after a third.
        groups: Trials that are trained at a time on this machine; a cluster has its own number.
        workers: Processes that share the batches of a training.
        cluster: Where, see `open_cluster`; None: on this machine.
        storage: Address of the data base where several machines share it; None: a file in `out`.
        minutes: Begin no trial after this time.
        seed: Of the sampler.
        resume: Go on with the study in `out`, or begin it if there is none.
        progress: Called with (trials done, trials in all, the best so far).

    Returns:
        What `study.json` holds, see `caloforge.search.report.study_record`.

    Raises:
        SearchError: The space does not fit the recipe, `out` holds another study, or nothing can be trained.
        CaloforgeError: What is no trial's fault: showers that cannot be read, a full disk, no such cluster.

    Example:
        >>> found = tune("calogan-tuned", data="showers.h5", out="study", trials=50, groups=2)
        >>> found["best"]["merit"]
        17
    """
    check_whole(trials, "--trials", 1, MOST_TRIALS)
    check_whole(groups, "--groups", 1, MOST_WORKERS)
    check_whole(workers, "--workers", 1, MOST_WORKERS)
    check_whole(folds, "--folds", 1, MOST_FOLDS)
    check_whole(seed, "--seed", 0, MOST_SEED)
    if minutes is not None and not minutes > 0:  # nor NaN
        raise SearchError("this is no time to search", where="--minutes", got=minutes, expected="more than 0")
    plan = _plan(recipe, space, data, (objectives, constraints), (sampler, folds, halving, seed))
    folder = Path(out).absolute()
    facts = _showers_suit(plan)
    url = storage or f"sqlite:///{folder / 'study.db'}"
    asks = make_sampler(sampler, seed, len(plan.objectives), plan.space)
    with open_cluster(cluster, groups) as found:  # before anything is written: it may not be there
        with locked_folder(folder, patience=_TURN):  # masters that begin together do so one after another
            ledger = Ledger(url, folder.name, len(plan.objectives), asks, plan.pruner())
            _begin_or_join(ledger, plan, folder, facts | {"groups": groups, "workers": workers}, resume)
        told = _Teller(ledger, folder, plan, trials, progress)
        deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
        try:
            ledger.take_over()
            Master(ledger, plan, folder, trials, deadline, told).run(found, Trainer(workers))
        finally:
            told(last=True)
        with locked_folder(folder, patience=math.inf):
            _leave_best(ledger, plan, folder, found, workers)
    return told.record


def _plan(
    recipe: Recipe | str | Path,
    space: Space | str | Path | None,
    data: str | Path | Sequence[str | Path],
    aims: tuple[Sequence[str], Sequence[str]],
    how: tuple[str, int, bool, int],
) -> Plan:
    from caloforge.showers import shower_files
    from caloforge.training.trained_detector import from_anywhere

    paths = shower_files(data)
    base = from_anywhere(recipe if isinstance(recipe, Recipe) else load_recipe(recipe))
    where = space if isinstance(space, Space) else load_space(space, base)
    objectives = tuple(dict.fromkeys(aims[0] or where.objectives or (_USUAL,)))
    constraints = tuple(dict.fromkeys(aims[1] or where.constraints))
    for name in objectives:
        known_figure(name)
    for text in constraints:
        Constraint.parse(text)
    files = tuple(str(path.absolute()) for path in paths)
    return Plan(base, where, objectives, constraints, files, *how)


def _showers_suit(plan: Plan) -> dict[str, Any]:
    """See that the showers suit the recipe, before any trial fails by them; return facts for the page."""
    from caloforge.training.batches import selection_showers
    from caloforge.training.trained_detector import for_showers

    files = [Path(path) for path in plan.data]
    chosen, detector = for_showers(plan.recipe, files[0])
    selecting = chosen.data.model_copy(update={"folds": plan.folds}) if plan.folds > 1 else chosen.data
    selection = selection_showers(files, selecting, detector)
    return {"detector": detector.name, "selection": len(selection)}


def _begin_or_join(ledger: Ledger, plan: Plan, folder: Path, facts: dict[str, Any], resume: bool) -> None:
    """Write down what is searched, or see that it is what is searched there already."""
    settings, before = plan.settings(), ledger.remembered()
    if before is None:
        _nothing_of_others(folder)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        ledger.remember({**settings, **facts, "version": __version__, "created": now})
        if (own := plan.own_values()) is not None:
            ledger.study.enqueue_trial(own)  # what the search has to beat
        return
    if not resume:
        raise SearchError(
            "there is a study already",
            got=f"{ledger.study.study_name}, with {ledger.count()} trials",
            cure="go on with it by --resume, or choose another --out",
        )
    different = [key for key, value in settings.items() if before.get(key) != value]
    if different:
        raise SearchError(
            "this is another search than the one in the folder",
            got="different " + ", ".join(different),
            expected="the same recipe, space, showers, objectives, sampler and folds",
            cure="choose another --out, or go on with what it was started with; --trials may change",
        )


def _nothing_of_others(folder: Path) -> None:
    """See that a study that begins replaces nothing, be it no study or one of another data base.

    Raises:
        SearchError: It would.
    """
    there = [name for name in _LEFT if (folder / name).exists()]
    if there:
        raise SearchError(
            "there is something in this folder that a new study would replace",
            where=folder,
            got=", ".join(there),
            expected="an empty folder, or the study of this data base",
            cure="choose another --out; or, of a study that was begun there, give its --storage",
        )


class _Teller:
    """Reports after each trial, and writes the page now and then."""

    def __init__(
        self, ledger: Ledger, folder: Path, plan: Plan, trials: int, progress: Progress | None
    ) -> None:
        self.ledger, self.folder, self.plan = ledger, folder, plan
        self.trials, self.progress = trials, progress
        self.gone: frozenset[int] = frozenset()  # trials whose runs were removed
        self.due, self.silent = time.monotonic() + _PAGE_SECONDS, 0.0
        self.record: dict[str, Any] = {}

    def __call__(self, last: bool = False) -> None:
        if time.monotonic() < self.silent and not last:
            return
        trials = self.ledger.trials()
        self.gone = tidy(self.folder, trials, len(self.plan.objectives), self.gone)
        if self.progress:
            done = sum(trial.state.is_finished() and not is_lost(trial) for trial in trials)
            self.progress(min(done, self.trials), self.trials, self._best(trials))
        if time.monotonic() > self.due or last:
            self.write()
        self.silent = time.monotonic() + _SILENT

    def _best(self, trials: Sequence[Any]) -> str:
        found = best_trials(trials)
        if not found:
            return "none has been trained yet"
        return f"best: {_values(self.plan, found[0])} (trial {found[0].number})"

    def write(self) -> None:
        """Write what was found so far: the page, and the best recipe as a file that `train` takes."""
        begun = time.monotonic()
        self.record = write_results(self.ledger.study, self.folder)
        if best := _best_recipe(self.plan, self.ledger.trials()):
            replace_text(self.folder / "best.yaml", best.to_yaml())
        # Of thousands of trials it takes seconds, in which no group may wait for its next trial.
        self.due = time.monotonic() + max(_PAGE_SECONDS, _RARE * (time.monotonic() - begun))


def _leave_best(ledger: Ledger, plan: Plan, folder: Path, cluster: Cluster, workers: int) -> None:
    """Leave the run of the best recipe; after folds it is trained on all that trains."""
    found = best_trials(ledger.trials())
    if not found:
        return
    best = found[0]
    run = folder / best.user_attrs["run"]
    if plan.folds > 1:
        recipe = plan.space.recipe(plan.recipe, best.user_attrs["values"])
        run = folder / "trials" / f"{best.number}-whole"
        _once(cluster, Trainer(workers), Job(recipe, plan.data, str(run), str(folder / "measured"), ()))
    replacing = folder / ".best.part"
    shutil.rmtree(replacing, ignore_errors=True)
    shutil.copytree(run, replacing)
    shutil.rmtree(folder / "best", ignore_errors=True)
    replacing.rename(folder / "best")
    draw_run(Run.open(folder / "best"))


def _best_recipe(plan: Plan, trials: Sequence[FrozenTrial]) -> Recipe | None:
    """The best recipe, which says where it comes from."""
    found = best_trials(trials)
    if not found:
        return None
    recipe = plan.space.recipe(plan.recipe, found[0].user_attrs["values"])
    about = f"trial {found[0].number} of {len(trials)} around {plan.recipe.name}: {_values(plan, found[0])}"
    return recipe.model_copy(update={"name": f"{plan.recipe.name}-found", "about": about})


def _values(plan: Plan, trial: FrozenTrial) -> str:
    return ", ".join(f"{n} {v:.4g}" for n, v in zip(plan.objectives, trial.values, strict=True))


def _once(cluster: Cluster, function: Callable[[Job], Any], job: Job) -> None:
    with closing(cluster.run(function, [Chunk(0, (job,))])) as outcomes:
        (outcome,) = outcomes
    if outcome.fault:
        raise outcome.fault.error
    if outcome.result.failed:
        raise CaloforgeError("the best recipe could not be trained again", got=outcome.result.failed)
