"""`evolve --report`: ways to one generator at equal core-seconds, judged by showers that no training saw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import caloforge as cf
from caloforge.cli.main import app
from caloforge.errors import CaloforgeError, RecipeError, RunError, SearchError
from caloforge.observables.figure_of_merit import figure_of_merit
from caloforge.search.account.account import account
from caloforge.search.account.arms import arms_of, chosen_arms
from caloforge.search.account.fidelity import fidelity
from caloforge.search.account.member import Member, Trained
from caloforge.search.account.results import answer, rows_of
from caloforge.showers import Showers
from caloforge.training import Recipe, Run, load_recipe, train
from evolution_toys import image_showers

TINY = (
    "model={kind: grown, latent: 4, filters: 3, stages: [{filters: 3, grow: 2}]}",
    "objective.algorithm={kind: snes, population: 8}",
    "schedule.batch=16",
    "data.mirror=false",
)


def recipe(*settings: str) -> Recipe:
    return load_recipe("evolve-2d", [*TINY, *settings])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_showers(400).save(tmp_path_factory.mktemp("data") / "image.h5")


@pytest.fixture(scope="module")
def test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_showers(300, seed=6).save(tmp_path_factory.mktemp("data") / "test.h5")


@pytest.fixture(scope="module")
def done(data: Path, test: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("accounts") / "account"
    arms = ("evolved", "evolved-trained", "distance-few", "directions")
    return out, account(recipe(), data, out, test=test, minutes=0.01, seeds=2, arms=arms, jobs=2)


def member(arm: str, seed: int, *figures: dict[str, float], failed: str | None = None) -> Member:
    legs = tuple(
        Trained(
            run="runs/a",
            kind="evolution",
            core_seconds=10.0,
            seconds=11.0,
            steps=5,
            batch=32,
            epochs=0.5,
            individuals=8,
            bytes=32,
            faulty=0,
            figures=found,
            curve=((1.0, 1, 0.5),),
        )
        for found in figures
    )
    return Member(arm=arm, seed=seed, legs=legs, failed=failed)


# --- what comes out ---


def test_every_arm_has_the_core_seconds_that_it_was_given(done: tuple[Path, dict]) -> None:
    _, found = done
    members = {(one["arm"], one["seed"]): one for one in found["members"]}
    assert members.keys() == {
        (arm, seed)
        for arm in ("evolved", "distance", "evolved-trained", "distance-few", "directions")
        for seed in (1, 2)
    }
    for (arm, _), one in members.items():
        assert one["failed"] is None
        spent = [leg["core_seconds"] for leg in one["legs"]]
        if arm == "distance-few":
            continue
        # A step ends late: what is over the limit is less than a few of them.
        steps = [leg["core_seconds"] / leg["steps"] for leg in one["legs"]]
        given = [0.6 / len(spent)] * len(spent)
        assert all(g <= s < g + 5 * step + 0.5 for g, s, step in zip(given, spent, steps, strict=True))


def test_an_arm_that_is_like_another_sees_as_many_showers(done: tuple[Path, dict]) -> None:
    _, found = done
    members = {(one["arm"], one["seed"]): one["legs"] for one in found["members"]}
    for seed in (1, 2):
        own, like = (members[arm, seed][-1]["epochs"] for arm in ("distance-few", "evolved"))
        assert own == pytest.approx(max(1, round(like)), abs=0.5)


def test_runs_are_ordinary_and_chained(done: tuple[Path, dict]) -> None:
    folder, found = done
    legs = next(one["legs"] for one in found["members"] if one["arm"] == "evolved-trained")
    assert [leg["kind"] for leg in legs] == ["evolution", "distance"]
    first, second = (Run.open(folder / leg["run"]) for leg in legs)
    assert second.init[0]["path"].endswith(first.path.name)
    assert second.recipe.model == first.recipe.model


def test_figures_are_those_of_the_showers_that_judge(done: tuple[Path, dict], test: Path) -> None:
    folder, found = done
    assert found["judges"] == 150
    leg = found["members"][0]["legs"][0]
    judges = Showers.load(test)[:150]
    made = cf.open_sampler(folder / leg["run"])
    from caloforge.deploy.sampling import make_showers

    showers = make_showers(made, judges.incident, np.random.default_rng(1))
    assert leg["figures"]["merit"] == pytest.approx(figure_of_merit(judges, showers), rel=1e-6)
    assert found["floor"]["auc"] < 0.65 < leg["figures"]["auc"]


def test_the_page_fetches_nothing_and_says_all(done: tuple[Path, dict]) -> None:
    folder, found = done
    text = (folder / "index.html").read_text()
    for title in ("evolved, then gradients", "directions of trained runs", "Floor", "core-seconds"):
        assert title in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert json.loads((folder / "account.json").read_text())["floor"] == found["floor"]


def test_it_goes_on_with_what_is_missing(done: tuple[Path, dict], data: Path, test: Path) -> None:
    folder, found = done
    arms = ("evolved", "evolved-trained", "distance-few", "directions")
    again = account(recipe(), data, folder, test=test, minutes=0.01, seeds=2, arms=arms, resume=True)
    assert again == found


def test_the_page_keeps_arms_that_are_not_asked_for_again(
    done: tuple[Path, dict], data: Path, test: Path
) -> None:
    folder, found = done
    again = account(recipe(), data, folder, test=test, minutes=0.01, seeds=1, arms=["evolved"], resume=True)
    assert again == found
    assert "directions of trained runs" in (folder / "index.html").read_text()


def test_more_seeds_give_an_arm_what_it_lacked(data: Path, test: Path, tmp_path: Path) -> None:
    went = {}
    for seeds in (1, 2):
        told = account(
            recipe(),
            data,
            tmp_path / "out",
            test=test,
            minutes=0.01,
            seeds=seeds,
            arms=["directions"],
            resume=True,
        )
        went[seeds] = {(one["arm"], one["seed"]): one["failed"] for one in told["members"]}
    assert "more --seeds" in went[1]["directions", 1]
    assert went[2] == dict.fromkeys([(arm, n) for arm in ("distance", "directions") for n in (1, 2)])


def test_it_does_not_go_on_with_other_showers(done: tuple[Path, dict], test: Path, tmp_path: Path) -> None:
    other = image_showers(400, seed=12).save(tmp_path / "other.h5")
    with pytest.raises(SearchError, match="other showers") as refused:
        account(recipe(), other, done[0], test=test, minutes=0.01, seeds=3, resume=True)
    assert "image.h5" in refused.value.details["expected"]


def test_genes_that_cannot_evolve_are_part_of_the_account(data: Path, test: Path, tmp_path: Path) -> None:
    few = recipe(
        "model={kind: grown, latent: 16, filters: 8, stages: [{filters: 8, grow: 2}]}",
        "objective.algorithm={kind: cma-es}",
        "objective.coding={kind: separable, rank: 1}",
    )
    arms = ("evolved", "dense")
    told = account(few, data, tmp_path / "out", test=test, minutes=0.01, seeds=1, arms=arms)
    failed = {one["arm"]: one["failed"] for one in told["members"]}
    assert failed["evolved"] is None
    assert "too many genes for CMA-ES" in failed["dense"]
    assert "too many genes for CMA-ES" in (tmp_path / "out" / "index.html").read_text()


# --- core-seconds ---


def test_a_resumed_training_keeps_its_core_seconds(data: Path, tmp_path: Path) -> None:
    asked = recipe("schedule.epochs=1000", "schedule.keep=last", "objective={kind: distance}")
    spent = []
    for limit in (0.4, 0.8, 0.8):
        run = train(asked, data, tmp_path / "run", resume=True, core_seconds=limit, picture=False)
        spent.append([e for e in run.metrics() if e["kind"] == "step"][-1]["core_seconds"])
    assert 0.4 <= spent[0] < 0.8 <= spent[1] < 1.5
    assert spent[2] < spent[1] + 0.3  # it was over: one step at most


def test_processes_elsewhere_count(data: Path, tmp_path: Path) -> None:
    from caloforge.search.evolve import evolve

    run = evolve(recipe("schedule.epochs=4"), data, tmp_path / "run", jobs=2)
    last = [e for e in run.metrics() if e["kind"] == "step"][-1]
    alone = evolve(recipe("schedule.epochs=4"), data, tmp_path / "alone")
    own = [e for e in alone.metrics() if e["kind"] == "step"][-1]
    assert last["steps"] == own["steps"]
    # Without them it would be next to nothing: this process only waits.
    assert last["core_seconds"] > 0.3 * own["core_seconds"]


# --- figures ---


def test_fidelity_of_the_same_showers_is_next_to_nothing() -> None:
    showers = image_showers(300)
    found = fidelity(showers, image_showers(300, seed=9))
    worse = Showers(
        showers.detector, showers.incident, showers.cells * np.linspace(0.2, 2, 30, dtype=np.float32)
    )
    far = fidelity(showers, worse)
    assert abs(found["hits"]) < 0.03 < far["hits"]
    assert found["merit"] < 0.5 * far["merit"]
    assert found["auc"] < 0.65 < far["auc"]
    assert "depth" not in found  # one layer


# --- words ---


def test_answers_are_medians_over_seeds() -> None:
    from caloforge.search.account.record import Record

    arms = arms_of(recipe())
    figures = {"merit": 1.0, "auc": 0.9, "fpd": 5.0, "hits": 0.1}
    members = [
        *(member("evolved", n, figures | {"merit": value}) for n, value in enumerate((3.0, 0.4, 0.6))),
        *(member("distance", n, figures | {"merit": value}) for n, value in enumerate((0.1, 0.2, 9.0))),
        member("trained-hits", 0, figures, figures | {"hits": 0.05}),
        member("adversarial", 0, failed="it diverged"),
    ]
    record = Record(
        recipe={},
        detector="d",
        digest="x",
        weights=1,
        minutes=1,
        judges=10,
        floor={"merit": 0.05},
        members=members,
    )
    rows = rows_of(record, arms)
    told = answer(rows, record.floor)
    assert "3 times" in told[0]
    assert "0.6 and 0.2" in told[0]
    assert "an AUC of 0.9 and 0.9" in told[0]
    assert "numbers of hits 0.1 to 0.05" in told[1]
    hybrids = [
        *members,
        *(
            member(f"{one}-{two}", 0, figures)
            for one, two in (("evolved", "trained"), ("trained", "evolved"))
        ),
    ]
    told = answer(rows_of(record.model_copy(update={"members": tuple(hybrids)}), arms), record.floor)
    assert "0.9 (evolved, then gradients), 0.9 (gradients, then evolved)." in told[2]
    assert np.isnan(rows["adversarial"].figure("merit"))
    assert rows["evolved"].range("merit") == pytest.approx(1.3)


# --- arms, and bad input ---


def test_arms_bring_what_they_need() -> None:
    asked = recipe()
    assert list(chosen_arms(asked, ["distance-few"])) == ["evolved", "distance-few"]
    assert list(chosen_arms(asked, ["directions"])) == ["distance", "directions"]
    assert "cosine" in chosen_arms(asked, ["codings"])
    assert "cosine" not in chosen_arms(asked, [])


@pytest.mark.parametrize(
    ("algorithm", "finer"),
    [
        ({"kind": "es", "rate": 0.1}, {"sigma": 0.02, "rate": 0.005}),
        ({"kind": "snes"}, {"sigma": 0.02}),
        ({"kind": "leea", "rate": 0.1}, {"power": 0.02, "rate": 0.1}),  # a share of the genes, not a length
        ({"kind": "deep-ga"}, {"power": 0.02}),
    ],
)
def test_good_weights_are_changed_by_little(algorithm: dict, finer: dict) -> None:
    asked = load_recipe("evolve-2d", [f"objective.algorithm={json.dumps(algorithm)}"])
    told = arms_of(asked)["trained-evolved"].legs[1].recipe.model_dump(mode="json")["objective"]["algorithm"]
    own = asked.model_dump(mode="json")["objective"]["algorithm"]
    assert told == own | finer


def test_the_own_coding_is_not_compared_with_itself() -> None:
    assert "dense" not in arms_of(recipe())
    assert "cosine" not in arms_of(recipe("objective.coding={kind: cosine}"))
    assert "dense" in arms_of(recipe("objective.coding={kind: cosine}"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arms": ["distence"]}, "distance"),
        ({"arms": [""]}, "no arm"),
        ({"seeds": 0}, "--seeds"),
        ({"minutes": 0.0}, "--minutes"),
        ({"jobs": 0}, "--jobs"),
    ],
)
def test_bad_input_is_said(changes: dict, words: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(CaloforgeError, match=words):
        account(recipe(), data, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_too_few_showers_that_judge(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="too few showers judge"):
        account(recipe(), data, tmp_path / "out")  # 15 % of 400


def test_showers_that_judge_do_not_train(data: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.h5"
    link.symlink_to(data)
    with pytest.raises(SearchError, match="among those that train"):
        account(recipe(), data, tmp_path / "out", test=link)
    assert not (tmp_path / "out").exists()


def test_other_recipes_have_no_account(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="one population"):
        account("evolve-adversarial", data, tmp_path / "out")
    with pytest.raises(RecipeError, match="one population"):
        account("calogan", data, tmp_path / "out")


def test_another_account_is_not_gone_on_with(done: tuple[Path, dict], data: Path, test: Path) -> None:
    folder, _ = done
    with pytest.raises(SearchError, match="already"):
        account(recipe(), data, folder, test=test, minutes=0.01)
    with pytest.raises(SearchError, match="minutes"):
        account(recipe(), data, folder, test=test, minutes=0.02, resume=True)


def test_a_changed_account_is_noticed(
    done: tuple[Path, dict], data: Path, test: Path, tmp_path: Path
) -> None:
    folder, _ = done
    (tmp_path / "out").mkdir()
    text = (folder / "account.json").read_text().replace('"judges": 150', '"judges": 151')
    (tmp_path / "out" / "account.json").write_text(text)
    with pytest.raises(RunError, match=r"account\.json"):
        account(recipe(), data, tmp_path / "out", test=test, minutes=0.01, resume=True)


def test_options_of_reports_need_one(data: Path, tmp_path: Path) -> None:
    command = ["evolve", "evolve-2d", "--data", str(data), "--out", str(tmp_path / "x"), "--seeds", "2"]
    found = CliRunner().invoke(app, command)
    assert isinstance(found.exception, CaloforgeError)
    assert found.exception.details["expected"] == "--seeds for --report"
