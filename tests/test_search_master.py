"""The master of a search: what it asks, hands out, tells, and what is left when it dies."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import FrozenTrial, TrialState

from caloforge.cluster import Chunk, Fault, Outcome
from caloforge.errors import OutputError, SearchError, WorkerError
from caloforge.search.job import Job, Report
from caloforge.search.keeping import best_trials, tidy
from caloforge.search.master import Master
from caloforge.search.plan import Plan
from caloforge.search.trial import rungs
from search_toys import SPACE, Inline, Pretended, distance, ledger, plan


def searched(
    folder: Path, of: Plan, trials: int, function: Any = None, slots: int = 1
) -> tuple[list[FrozenTrial], Pretended]:
    does = function or Pretended()
    found = ledger(folder, of)
    Master(found, of, folder, trials).run(Inline(slots), does)
    return found.trials(), does


def test_each_trial_is_one_training(tmp_path: Path) -> None:
    trials, done = searched(tmp_path, plan(), 6, slots=2)
    assert [t.state for t in trials] == [TrialState.COMPLETE] * 6
    assert len(done.seen) == 6
    assert len({job.folder for job in done.seen}) == 6
    for trial, job in zip(trials, done.seen, strict=True):
        values = trial.user_attrs["values"]
        assert job.recipe.objective.generator_rate == values["objective.generator_rate"]
        assert job.recipe.model.latent == values["model.latent"]
        assert trial.values == [distance(job)] == [trial.user_attrs["figures"]["merit"]]
        assert str(tmp_path / trial.user_attrs["run"]) == job.folder
        assert [j["group"] for j in trial.user_attrs["jobs"]] == ["here:1"]


def test_the_study_goes_on_to_as_many_trials_as_are_asked_for(tmp_path: Path) -> None:
    assert len(searched(tmp_path, plan(), 2)[0]) == 2
    trials, done = searched(tmp_path, plan(), 5)
    assert len(trials) == 5
    assert len(done.seen) == 3
    assert len(searched(tmp_path, plan(), 4)[0]) == 5


def test_several_objectives_and_constraints(tmp_path: Path) -> None:
    of = plan(objectives=("merit", "ms"), constraints=("ms<0.1", "weights<1"))
    trials, _ = searched(tmp_path, of, 3)
    for trial in trials:
        assert trial.values[1] == 0.5
        assert trial.constraints == {"ms<0.1": pytest.approx(4.0), "weights<1": pytest.approx(-0.5)}
    assert best_trials(trials) == []


def test_what_cannot_be_trained_counts_as_the_worst(tmp_path: Path) -> None:
    def diverges(job: Job) -> Report:
        if job.recipe.objective.generator_rate > 1e-4:
            return Report(group="here:1", failed="the training diverged")
        return Report({"merit": math.nan if job.recipe.model.latent < 30 else 0.1, "ms": 1.0}, "here:1")

    trials, _ = searched(tmp_path, plan(constraints=("ms<2",)), 12, diverges)
    for trial in trials:
        values = trial.user_attrs["values"]
        bad = values["objective.generator_rate"] > 1e-4
        assert ("failed" in trial.user_attrs) == bad
        assert trial.constraints["ms<2"] == (1.0 if bad else -0.5)
        assert trial.values == [0.1 if not bad and values["model.latent"] >= 30 else math.inf]
    assert {math.inf, 0.1} == {t.values[0] for t in trials}
    assert all(t.values == [0.1] for t in best_trials(trials))


def test_nothing_that_can_be_trained_ends_the_search(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="none of the first 10 trials") as caught:
        searched(tmp_path, plan(), 100, lambda _: Report(failed="no such luck"))
    assert "no such luck" in str(caught.value)


def test_values_that_do_not_fit_together_are_a_trial_without_training(tmp_path: Path) -> None:
    space = """search:
  objective.matching_weight: {choice: [0, 9]}
  objective.requested: {choice: [uniform, batch]}
  model.kind: {choice: [calogan, gan3d]}
  model.attention: {choice: [true, false], when: {model.kind: calogan}}
"""
    trials, done = searched(tmp_path, plan(space), 10)
    assert all(t.state is TrialState.COMPLETE for t in trials)
    misfits = [t for t in trials if "requested" in t.user_attrs.get("failed", "")]
    assert 0 < len(misfits) == len(trials) - len(done.seen)
    assert {t.params["objective.matching_weight"] for t in misfits} == {9}
    kinds = {job.recipe.model.kind for job in done.seen}
    assert kinds == {"calogan", "gan3d"}
    assert all("model.attention" not in t.params for t in trials if t.params["model.kind"] == "gan3d")


def test_a_chunk_that_kills_its_workers_is_set_aside(tmp_path: Path) -> None:
    class Kills(Pretended):
        def __call__(self, job: Job) -> Any:
            report = super().__call__(job)
            if len(self.seen) == 2:
                return Outcome(Chunk(2, (job,)), fault=Fault("died", WorkerError("it died"), 4))
            return report

    trials, _ = searched(tmp_path, plan(), 3, Kills())
    assert [t.state.name for t in trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert "set aside" in trials[1].user_attrs["failed"]


def test_a_full_disk_ends_the_search_and_what_was_under_way_is_tried_again(tmp_path: Path) -> None:
    def full(job: Job) -> Any:
        return Outcome(Chunk(1, (job,)), fault=Fault("raised", OutputError("no space left")))

    of = plan()
    found = ledger(tmp_path, of)
    with pytest.raises(OutputError, match="no space"):
        Master(found, of, tmp_path, 3).run(Inline(), full)
    lost = {t.number: t.params for t in found.trials() if t.state is TrialState.FAIL}
    assert len(lost) == 2  # one had a full disk, one waited
    trials, _ = searched(tmp_path, of, 3)
    finished = [t for t in trials if t.state is TrialState.COMPLETE]
    assert len(finished) == 3
    for number, params in lost.items():
        (again,) = [t for t in finished if t.params == params]
        assert again.user_attrs["run"] == f"trials/{number}"  # in the folder of the first try


# --- folds ---


def test_folds_are_trainings_of_their_own(tmp_path: Path) -> None:
    of = plan(folds=3, objectives=("merit", "ms"), constraints=("weights<1e9",))
    trials, done = searched(tmp_path, of, 2, Pretended(lambda job: 1.0 + job.recipe.data.fold))
    assert {j.recipe.data.folds for j in done.seen} == {3}
    assert sorted(j.recipe.data.fold for j in done.seen) == [0, 0, 1, 1, 2, 2]
    assert len({job.folder for job in done.seen}) == 6
    # What is the same for all folds is measured in the first.
    assert all(("weights" in job.figures) == (job.recipe.data.fold == 0) for job in done.seen)
    for trial in trials:
        assert trial.values[0] == pytest.approx(2.0)
        assert trial.user_attrs["spread"]["merit"] == pytest.approx(np.std([1, 2, 3], ddof=1))
        assert [fold["merit"] for fold in trial.user_attrs["folds"]] == [1, 2, 3]


def test_the_last_trials_folds_are_done_side_by_side(tmp_path: Path) -> None:
    class Watched(Inline):
        most = 0

        def run(self, function, chunks, ahead=1):
            def seen():
                for chunk in chunks:
                    taken.append(chunk)
                    Watched.most = max(Watched.most, sum(c is not None for c in taken) - len(done.seen))
                    yield chunk

            taken: list[Chunk | None] = []
            yield from super().run(function, seen(), ahead)

    of, done = plan(folds=4), Pretended()
    Master(ledger(tmp_path, of), of, tmp_path, 1).run(Watched(3), done)
    assert len(done.seen) == 4
    assert Watched.most == 4


def test_a_hopeless_trial_is_stopped_by_its_first_folds(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.01, 8)
    of = plan(folds=8)
    trials, done = searched(
        tmp_path, of, 12, Pretended(lambda job: distance(job) + noise[job.recipe.data.fold])
    )
    states = [t.state for t in trials]
    assert states[0] is TrialState.COMPLETE
    assert TrialState.PRUNED in states
    assert len(done.seen) < 0.8 * 8 * 12
    true = [distance_of(t) for t in trials]
    assert states[int(np.argmin(true))] is TrialState.COMPLETE
    # Three folds that are worse than those of the best are the fewest that tell.
    assert min(len(t.user_attrs["folds"]) for t in trials if t.state is TrialState.PRUNED) == 3


def distance_of(trial: FrozenTrial) -> float:
    return abs(math.log10(trial.params["objective.generator_rate"] / 1e-4))


def test_folds_that_were_done_before_the_master_died_are_not_done_again(tmp_path: Path) -> None:
    class Dies(Pretended):
        def __call__(self, job: Job) -> Any:
            if len(self.seen) == 2:
                raise KeyboardInterrupt
            return super().__call__(job)

    of = plan(folds=4)
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path, of, 1, Dies())
    trials, done = searched(tmp_path, of, 1)
    assert [job.recipe.data.fold for job in done.seen] == [2, 3]
    assert [t.state for t in trials] == [TrialState.FAIL, TrialState.COMPLETE]
    assert len(trials[1].user_attrs["folds"]) == 4


# --- successive halving ---


def test_rungs() -> None:
    assert [(s.until, s.resource) for s in rungs(90)] == [(10, 1), (30, 3), (90, 9)]
    assert [s.until for s in rungs(4)] == [1, 4]
    assert [s.until for s in rungs(1)] == [1]


def test_successive_halving_stops_most_early(tmp_path: Path) -> None:
    of = plan(settings=["schedule.epochs=90"], halving=True, constraints=("weights<1",))
    trials, done = searched(tmp_path, of, 27)
    ends = {}
    for job in done.seen:
        ends.setdefault(job.folder, []).append(job.until)
        assert ("weights" in job.figures) == (job.until == 90)
    assert all(found == [10, 30, 90][: len(found)] for found in ends.values())
    reached = [sum(len(found) > rung for found in ends.values()) for rung in range(3)]
    assert reached[0] == 27
    assert 2 <= reached[2] <= reached[1] <= 18
    complete = [distance_of(t) for t in trials if t.state is TrialState.COMPLETE]
    assert min(complete) == min(distance_of(t) for t in trials)


@pytest.mark.parametrize(
    "how", [{"halving": True, "folds": 2}, {"halving": True, "objectives": ("merit", "ms")}]
)
def test_what_does_not_go_together(how: dict[str, Any]) -> None:
    with pytest.raises(SearchError):
        plan(**how)


# --- masters that die ---


def asked_by_another(folder: Path, of: Plan) -> FrozenTrial:
    """A trial of a master that was killed."""
    other = ledger(folder, of)
    trial = other.ask()
    trial.set_user_attr("values", of.suggest(trial))
    return other.trials()[trial.number]


def silent(folder: Path, minutes: int, *, never: bool = False) -> None:
    """Put the last signs of life back in time."""
    with sqlite3.connect(folder / "study.db") as base:
        if never:
            base.execute("DELETE FROM trial_heartbeats")
            base.execute("DELETE FROM trial_user_attributes")
            base.execute(
                f"UPDATE trials SET datetime_start = datetime('now', 'localtime', '-{minutes} minutes')"
            )
        base.execute(f"UPDATE trial_heartbeats SET heartbeat = datetime('now', '-{minutes} minutes')")
    base.close()


@pytest.mark.parametrize("never", [False, True])
def test_a_trial_of_a_dead_master_is_tried_again(tmp_path: Path, never: bool) -> None:
    of = plan()
    lost = asked_by_another(tmp_path, of)
    found = ledger(tmp_path, of)
    found.take_over()
    assert found.trials()[0].state is TrialState.RUNNING  # it may be alive
    silent(tmp_path, 2, never=never)
    found = ledger(tmp_path, of)
    found.take_over()
    assert [t.state.name for t in found.trials()] == ["FAIL", "WAITING"]
    trials, _ = searched(tmp_path, of, 2)
    assert [t.state.name for t in trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert trials[1].params == lost.params
    assert trials[1].user_attrs["run"] == "trials/0"


def test_one_that_waits_for_others_takes_over_what_they_lose(tmp_path: Path) -> None:
    of = plan()
    asked_by_another(tmp_path, of)
    found, done = ledger(tmp_path, of), Pretended()
    master = Master(found, of, tmp_path, 1)
    assert not master._wanted()
    silent(tmp_path, 2)
    found.take_over()
    master.run(Inline(), done)
    assert [t.state.name for t in found.trials()] == ["FAIL", "COMPLETE"]


def test_time_is_over(tmp_path: Path) -> None:
    of = plan()
    found = ledger(tmp_path, of)
    Master(found, of, tmp_path, 5, deadline=0.0).run(Inline(), Pretended())
    assert found.trials() == []


# --- what is left on disk ---


def test_runs_of_the_best_stay(tmp_path: Path) -> None:
    def trains(job: Job) -> Report:
        (Path(job.folder) / "checkpoint").mkdir(parents=True)
        (Path(job.folder) / "weights.safetensors").touch()
        return Report({"merit": distance(job)}, "here:1")

    trials, _ = searched(tmp_path, plan(), 15, trains)
    gone = tidy(tmp_path, trials, 1)
    left = {int(folder.name) for folder in (tmp_path / "trials").iterdir()}
    assert gone == set(range(15)) - left
    assert left == set(np.argsort([t.values[0] for t in trials])[:10].tolist())
    assert not list(tmp_path.glob("**/checkpoint"))
    assert len(list(tmp_path.glob("**/weights.safetensors"))) == 10


def test_a_data_base_that_cannot_be_opened(tmp_path: Path) -> None:
    from caloforge.search.ledger import Ledger

    of = plan()
    for url in (
        f"sqlite:///{tmp_path}/no/such/folder.db",
        "oracle://me:secret@there/db",
        "x://there/db?password=secret",
        "no",
    ):
        with pytest.raises(SearchError, match="cannot be opened") as caught:
            Ledger(url, "study", 1, None, of.pruner())  # type: ignore[arg-type]
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite+pysqlite:///?timeout=3",
        "sqlite:///file::memory:?uri=true",
        "sqlite:///file:x?mode=memory&uri=true",
    ],
)
def test_a_data_base_that_does_not_last_is_refused(url: str) -> None:
    from caloforge.search.ledger import Ledger

    with pytest.raises(SearchError, match="gone with the command"):
        Ledger(url, "study", 1, None, plan().pruner())  # type: ignore[arg-type]


def test_the_space_is_what_the_study_remembers() -> None:
    of = plan(SPACE)
    assert of.settings() == plan(of.settings()["space"]).settings()
    assert of.own_values() is None  # the published latent space is larger
    assert plan("search: {model.latent: {int: [8, 2000]}}").own_values() == {"model.latent": 1024}
