"""The master of a search: asks for trials, hands out their trainings, tells what became of them."""

from __future__ import annotations

__all__ = ["Master"]

import math
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from caloforge.cluster import Chunk, Cluster, Outcome
from caloforge.errors import RecipeError, SearchError
from caloforge.search.figures import Constraint
from caloforge.search.job import Job, Report
from caloforge.search.ledger import BEAT
from caloforge.search.trial import Step, Trial, replace_data, rungs

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.search.ledger import Ledger
    from caloforge.search.plan import Plan

_FRUITLESS = 10  # trials without one that could be trained, after which nothing more is tried
_UNKNOWN = 1.0  # violation of a constraint whose figure was not measured
_MOST = 1e9  # violation: samplers add violations up, and infinities would hide the others
_POLL = 1.0  # seconds


class Master:
    """Runs trials of a study on a cluster until there are as many as were asked for.

    Several masters may work on one study, each with groups of its own.

    Args:
        ledger: The study.
        plan: What is searched.
        folder: Of the study.
        trials: How many there shall be in the study.
        deadline: Time (`time.monotonic`) after which no trial is begun.
        told: Called after each trial.
    """

    def __init__(
        self,
        ledger: Ledger,
        plan: Plan,
        folder: Path,
        trials: int,
        deadline: float = math.inf,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self.ledger, self.plan, self.folder = ledger, plan, folder
        self.trials, self.deadline, self._told = trials, deadline, told
        self.limits = [Constraint.parse(text) for text in plan.constraints]
        self._under_way: dict[int, Trial] = {}
        self._of_chunk: dict[int, tuple[Trial, Step]] = {}
        self._chunks = 0
        self._ended = threading.Event()
        self._trained = False

    def run(self, cluster: Cluster, function: Callable[[Job], Report]) -> None:
        """Work until all is done.

        Args:
            cluster: Its slots are the groups.
            function: Does a job.

        Raises:
            SearchError: None of the first trials could be trained.
            CaloforgeError: What is no recipe's fault: a full disk, showers that cannot be read.
        """
        heart = threading.Thread(target=self._beat, daemon=True)
        heart.start()
        try:
            with closing(cluster.run(function, self._work(), ahead=1)) as outcomes:
                for outcome in outcomes:
                    self._finished(outcome)
        finally:
            self._ended.set()
            heart.join()
            self._give_back()

    # --- what is next ---

    def _work(self) -> Iterator[Chunk | None]:
        while True:
            found = self._next()
            if found is not None:
                yield self._chunk(*found)
            elif self._of_chunk:
                yield None
            elif not self._wait_for_others():
                return

    def _next(self) -> tuple[Trial, Step] | None:
        """A trial that waits goes on; else one begins; else the folds of one are done side by side."""
        for trial in self._under_way.values():
            if trial.todo and not trial.running:
                return trial, trial.todo.popleft()
        if self._wanted() and (asked := self._ask()):
            return asked, asked.todo.popleft()
        for trial in self._under_way.values():
            if trial.todo and trial.todo[0].fold is not None:
                return trial, trial.todo.popleft()
        return None

    def _wanted(self, fresh: bool = False) -> bool:
        return time.monotonic() < self.deadline and self.ledger.count(fresh) < self.trials

    def _ask(self) -> Trial | None:
        """Begin a trial; one whose values do not fit together is finished at once."""
        while self._wanted():
            asked = self.ledger.ask()
            values = self.plan.suggest(asked)
            asked.set_user_attr("values", values)
            folder = self.folder / "trials" / str(self.ledger.first_number(asked))
            asked.set_user_attr("run", str(folder.relative_to(self.folder)))
            trial = Trial(asked, self.plan.recipe, folder, deque())
            try:
                trial.recipe = self.plan.space.recipe(self.plan.recipe, values)
                trial.todo.extend(self._steps(trial))
            except RecipeError as error:
                trial.failed = str(error)
            if trial.todo:
                self._under_way[asked.number] = trial
                return trial
            self._tell(trial)  # its values do not fit together, or it was lost after its last fold
        return None

    def _steps(self, trial: Trial) -> list[Step]:
        """What there is to do; of a trial that was lost, what is left."""
        if self.plan.halving:
            return rungs(trial.recipe.schedule.epochs)
        if self.plan.folds == 1:
            return [Step()]
        trial.recipe = replace_data(trial.recipe, folds=self.plan.folds)
        for fold, report in trial.asked.user_attrs.get("done", []):
            trial.reports.append((Step(fold), Report(**report)))
        done = {step.fold for step, _ in trial.reports}
        return [Step(fold) for fold in range(self.plan.folds) if fold not in done]

    def _chunk(self, trial: Trial, step: Step) -> Chunk:
        self._chunks += 1
        trial.running.append(step)
        self._of_chunk[self._chunks] = trial, step
        # What takes long to measure, or is the same for all folds, is measured once.
        whole = not trial.todo if step.fold is None else not trial.reports
        figures = self.plan.figures if whole else self.plan.objectives
        job = trial.job(step, self.plan.data, self.folder / "measured", figures)
        return Chunk(self._chunks, (job,))

    # --- what was found ---

    def _finished(self, outcome: Outcome) -> None:
        trial, step = self._of_chunk.pop(outcome.chunk.number)
        trial.running.remove(step)
        if outcome.fault and outcome.fault.kind == "raised":
            raise outcome.fault.error
        if outcome.fault:
            trial.lost, trial.failed = True, f"set aside: {outcome.fault.error}"
            trial.stop()
        else:
            self._reported(trial, step, outcome.result)
        if trial.finished:
            self._under_way.pop(trial.asked.number)
            self._tell(trial)
            self._fruitful()

    def _reported(self, trial: Trial, step: Step, report: Report) -> None:
        trial.reports.append((step, report))
        if report.failed is not None:
            trial.failed = report.failed
            return trial.stop()
        if step.fold is not None:
            done = [(s.fold, asdict(r)) for s, r in trial.reports]
            trial.asked.set_user_attr("done", done)
        if self.plan.prunes and trial.todo:
            value = report.figures[self.plan.objectives[0]]
            trial.asked.report(_worst(value), step.resource if step.fold is None else step.fold)
            if trial.asked.should_prune():
                trial.pruned = True
                trial.stop()
        return None

    def _tell(self, trial: Trial) -> None:
        means, spread = trial.figures()
        attributes = {"figures": means, "spread": spread, "folds": trial.folds(), "jobs": trial.jobs()}
        attributes |= {"failed": trial.failed} if trial.failed else {}
        for name, value in attributes.items():
            trial.asked.set_user_attr(name, value)
        for limit in self.limits:
            violation = limit.violation(means) if limit.name in means else _UNKNOWN
            trial.asked.set_constraint(str(limit), min(violation, _MOST))
        if trial.pruned or trial.failed:
            shutil.rmtree(trial.folder, ignore_errors=True)
        if trial.lost:
            self.ledger.study.tell(trial.asked, state=TrialState.FAIL)
        elif trial.pruned:
            self.ledger.study.tell(trial.asked, state=TrialState.PRUNED)
        else:
            values = [_worst(means.get(name, math.inf)) for name in self.plan.objectives]
            self.ledger.study.tell(trial.asked, [math.inf] * len(values) if trial.failed else values)
        self._told()

    def _fruitful(self) -> None:
        """Stop where nothing can be trained at all."""
        if self._trained:
            return
        trials = self.ledger.trials()
        over = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        faults = [t.user_attrs["failed"] for t in over if "failed" in t.user_attrs]
        self._trained = len(faults) < len(over)
        if len(faults) == len(over) >= min(_FRUITLESS, self.trials):
            raise SearchError(
                f"none of the first {len(over)} trials could be trained",
                got=faults[-1],
                cure="see that `caloforge train` does it with the recipe itself; then narrow the space",
            )

    # --- others, and the end ---

    def _beat(self) -> None:
        """Show others that our trials are alive, and take over those of masters that are not."""
        while not self._ended.wait(BEAT):
            with suppress(
                StorageInternalError
            ):  # of a data base that is away for a while: the next beat tells
                for trial in list(self._under_way.values()):
                    self.ledger.beat(trial.asked)
                self.ledger.take_over()

    def _wait_for_others(self) -> bool:
        """Wait while others work on trials, which they may lose; return whether there is work again."""
        while not self._wanted(fresh=True):
            running = any(trial.state is TrialState.RUNNING for trial in self.ledger.trials())
            if not running or time.monotonic() >= self.deadline:
                return self._wanted(fresh=True)  # the last one may have been lost just now
            time.sleep(_POLL)
        return True

    def _give_back(self) -> None:
        """What was not finished is tried again by whoever goes on."""
        for trial in self._under_way.values():
            self.ledger.give_back(trial.asked)


def _worst(value: Any) -> float:
    """A figure as samplers can take it: what is no number is the worst there is."""
    return float(value) if math.isfinite(value) else math.inf
