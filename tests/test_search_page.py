"""The results of a search: numbers against Optuna's own and brute force, a page that takes every study."""

from __future__ import annotations

import io
import json
import math
import re
from html.parser import HTMLParser
from wsgiref.util import setup_testing_defaults

import numpy as np
import pytest

from browser import Browser
from caloforge.errors import OutputError
from caloforge.search.keeping import best_trials
from caloforge.search.report import page, study_record, summary_lines, write_results
from caloforge.search.report.fronts import front
from caloforge.search.report.groups import groups

optuna = pytest.importorskip("optuna")
optuna.logging.set_verbosity(optuna.logging.WARNING)
Float, Int, Choice = (
    optuna.distributions.FloatDistribution,
    optuna.distributions.IntDistribution,
    optuna.distributions.CategoricalDistribution,
)
RATE = Float(1e-5, 1e-3, log=True)
SPACE = """\
search:
  objective.generator_rate: {float: [1.0e-5, 1.0e-3], log: true}
  model.network: {choice: [dense, planes]}
  model.latent: {int: [8, 128], log: true, when: {model.network: dense}}
"""
RECIPE = {
    "name": "calogan",
    "objective": {"generator_rate": 2e-4},
    "model": {"network": "planes", "latent": 32},
}
DISTRIBUTIONS = {
    "objective.generator_rate": RATE,
    "model.network": Choice(["dense", "planes"]),
    "model.latent": Int(8, 128, log=True),
}


def settings(objectives=("merit",), **changes):
    told = {
        "recipe": RECIPE,
        "space": SPACE,
        "objectives": list(objectives),
        "constraints": [],
        "data": ["showers.h5"],
        "sampler": "tpe",
        "seed": 1,
        "folds": 1,
        "halving": False,
        "groups": 2,
        "workers": 1,
        "version": "1",
        "detector": "calogan",
        "created": "2026-11-30",
    }
    return told | changes


def empty(objectives=("merit",), name="study", storage=None, **changes):
    study = optuna.create_study(study_name=name, directions=["minimize"] * len(objectives), storage=storage)
    study.set_user_attr("caloforge", settings(objectives, **changes))
    return study


def add(
    study,
    objectives,
    params=None,
    distributions=None,
    state="COMPLETE",
    constraints=None,
    reported=None,
    **told,
):
    """A trial as `caloforge tune` leaves it; `told` are its user attributes."""
    params = params or {}
    told = {"values": params} | told
    trial = optuna.trial.create_trial(
        state=optuna.trial.TrialState[state],
        values=None if state != "COMPLETE" else objectives,
        params=params,
        distributions=distributions or {name: DISTRIBUTIONS[name] for name in params},
        user_attrs=told,
        intermediate_values=reported,
        constraints=constraints,
    )
    study.add_trial(trial)


def drawn(rng):
    """Values of a space with a condition."""
    params = {
        "objective.generator_rate": float(10 ** rng.uniform(-5, -3)),
        "model.network": str(rng.choice(["dense", "planes"])),
    }
    return params | (
        {"model.latent": int(rng.integers(8, 129))} if params["model.network"] == "dense" else {}
    )


def job(group, begin, end, **told):
    return {"group": group, "begin": begin, "end": end, "fold": None, "epochs": 3, "startup": 0.0} | told


def searched(n, objectives=("merit", "ms"), seed=3, folds=3, storage=None, **changes):
    """A study of every kind of trial: finished, failed, stopped, lost, running, beyond a constraint."""
    rng = np.random.default_rng(seed)
    study = empty(objectives, folds=folds, constraints=["ms<0.5"], storage=storage, **changes)
    for i in range(n):
        params = drawn(rng)
        merit = 0.1 + (math.log10(params["objective.generator_rate"]) + 4) ** 2
        ms = 0.2 + 0.4 * rng.random()
        single = [{"merit": merit * rng.normal(1, 0.1), "ms": ms * rng.normal(1, 0.01)} for _ in range(folds)]
        figures = {name: float(np.mean([fold[name] for fold in single])) for name in ("merit", "ms")}
        spread = (
            {name: float(np.std([fold[name] for fold in single])) for name in figures} if folds > 1 else {}
        )
        told = {
            "figures": figures | {"weights": 1e5},
            "spread": spread,
            "folds": single if folds > 1 else [],
            "jobs": [job(f"node:{i % 2}", 100.0 * i, 100.0 * i + 60)],
            "run": f"trials/{i}",
        }
        values = [figures[name] for name in objectives]
        bound = {"ms<0.5": figures["ms"] - 0.5}
        kind = {7: "failed", 11: "PRUNED", 13: "FAIL", 17: "RUNNING", 19: "WAITING"}.get(i % 20, "COMPLETE")
        if kind == "failed":
            add(
                study,
                [math.inf] * len(objectives),
                params,
                failed="the loss is not finite",
                jobs=told["jobs"],
            )
        elif kind == "PRUNED" and len(objectives) == 1:
            add(study, None, params, state=kind, reported={0: merit, 1: merit}, jobs=told["jobs"])
        elif kind in ("FAIL", "RUNNING", "WAITING"):
            add(study, None, params, state=kind)
        else:
            reported = {k: fold["merit"] for k, fold in enumerate(single)} if len(objectives) == 1 else None
            add(study, values, params, constraints=bound, reported=reported, **told)
    return study


# Numbers


@pytest.mark.parametrize("objectives", [("merit",), ("merit", "ms")])
def test_best_trials_are_optunas(objectives):
    study = searched(80, objectives)
    record = study_record(study)
    assert any(t["state"] == "finished" and not t["feasible"] for t in record["trials"])
    assert record["front"] == [trial.number for trial in study.best_trials]
    if len(objectives) == 1:
        assert record["best"] == {"merit": study.best_trial.number}
        best = record["trials"][study.best_trial.number]
        assert best["objectives"]["merit"] == study.best_value


def test_between_equals_the_best_is_the_one_whose_run_is_kept():
    study = empty(("merit", "ms"))
    for merit in (3.0, 1.0, 2.0):
        add(study, [merit, 0.5], {"model.network": "dense"})
    record = study_record(study)
    kept = [best_trials(study.trials, i)[0].number for i in range(2)]
    assert list(record["best"].values()) == kept == [1, 1]
    assert set(kept) <= set(record["front"])


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_the_front_is_what_nothing_beats(objectives):
    rng = np.random.default_rng(objectives)
    for size, levels in ((0, 4), (1, 4), (60, 3), (60, 1000)):  # with few levels many points are equal
        values = rng.integers(0, levels, (size, objectives)).astype(float)
        beaten = [any((other <= one).all() and (other < one).any() for other in values) for one in values]
        assert front(values).tolist() == [not b for b in beaten]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_importances_are_optunas_and_conditional_ones_among_them():
    study = searched(120)
    record = study_record(study)
    for k, name in enumerate(record["objectives"]):
        theirs = optuna.importance.get_param_importances(study, target=lambda trial, k=k: trial.values[k])
        assert record["importances"][name] == pytest.approx(theirs)
        assert list(record["importances"][name]) == list(theirs)
        assert "model.latent" in theirs
    assert (
        record["importances"]["merit"]["objective.generator_rate"]
        > record["chance"]["merit"]["objective.generator_rate"]
    )


def test_chance_is_as_high_as_what_decides_nothing():
    rng = np.random.default_rng(5)
    study, names = empty(), [f"x{i}" for i in range(12)]
    for _ in range(150):
        params = {name: float(rng.random()) for name in names}
        add(study, [(params["x0"] - 0.3) ** 2], params, dict.fromkeys(names, Float(0, 1)))
    record = study_record(study)
    shares, chance = record["importances"]["merit"], record["chance"]["merit"]
    assert shares["x0"] > 5 * chance["x0"]
    assert sum(shares[name] > chance[name] for name in names[1:]) <= 3


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_parameters_that_were_drawn_but_not_in_use_have_no_importance():
    """A sampler that knows no conditions draws all of them; only the record says which counted."""
    rng = np.random.default_rng(2)
    flat, known = empty(), empty()
    for _ in range(60):
        params = drawn(rng)
        value = params.get("model.latent", 200) + rng.random()
        used = params | {"model.latent": params.get("model.latent", int(rng.integers(8, 129)))}
        add(flat, [value], used, values=params)
        add(known, [value], params)
    assert study_record(flat)["importances"] == study_record(known)["importances"]


def test_idle_share_by_hand():
    jobs = [
        job("a", 0, 10, startup=1.0),
        job("a", 12, 20),
        job("b", 1, 5),
        job("b", 4, 8),  # overlaps: 7 s together
        job("c", 3, 4),
    ]
    found = groups([{"jobs": jobs[:3]}, {"jobs": []}, {"jobs": jobs[3:]}])
    assert [group["name"] for group in found["groups"]] == ["a", "b", "c"]
    assert [group["idle_share"] for group in found["groups"]] == pytest.approx([2 / 20, 0, 0])
    assert found["idle_share"] == pytest.approx(1 - (18 + 7 + 1) / (20 + 7 + 1))
    assert found["startup_share"] == pytest.approx(1 / 26)
    assert found["pauses"] == []


def test_a_pause_of_the_master_is_nobodys_idleness():
    day = 86400.0
    jobs = [
        job("a", 0, 10),
        job("b", 0, 8),
        job("b", day + 2, day + 9),
        job("a", day, day + 4),
        job("a", day + 5, day + 10),
    ]
    found = groups([{"jobs": jobs}])
    assert found["pauses"] == [(10, day)]
    assert {g["name"]: g["idle_share"] for g in found["groups"]} == pytest.approx({"a": 1 / 20, "b": 0})
    study = empty()
    add(study, [1.0], jobs=jobs)
    assert study_record(study)["seconds"] == pytest.approx({"wall": 20, "worked": 34})


def test_folds_of_a_trial_under_way_are_work_and_those_of_a_lost_one_are_not_counted_twice():
    study = empty(folds=2)
    done = [[0, job("a", 0, 10) | {"figures": {"merit": 1.0}, "failed": None}]]
    add(study, None, state="FAIL", done=done)
    add(study, None, state="RUNNING", done=done)
    record = study_record(study)
    assert [len(trial["jobs"]) for trial in record["trials"]] == [0, 1]
    assert record["trials"][1]["jobs"][0] == job("a", 0, 10, fold=0)
    assert record["groups"]["groups"][0]["jobs"] == 1
    assert head(study) == "No trial has finished"


def test_states_are_told_apart():
    record = study_record(searched(40, ("merit",)))
    beyond = sum(t["state"] == "finished" and not t["feasible"] for t in record["trials"])
    assert record["counts"] == {
        "finished": 30, "pruned": 2, "failed": 2, "lost": 2, "running": 2, "waiting": 2, "infeasible": beyond
    }  # fmt: skip
    failed = record["trials"][7]
    assert failed["state"] == "failed"
    assert failed["objectives"] == {}
    assert failed["failed"] == "the loss is not finite"


def test_a_trial_that_is_not_finite_has_failed_whoever_told_it():
    study = empty(("merit", "ms"))
    add(study, [0.5, math.inf], {"model.network": "dense"})
    add(study, [0.6, 0.1], {"model.network": "planes"}, figures={"auc": math.nan})
    record = study_record(study)
    assert [trial["state"] for trial in record["trials"]] == ["failed", "finished"]
    assert record["trials"][1]["figures"] == {"auc": None}
    assert record["front"] == [1]


def test_the_recipes_own_values_are_known_again():
    study = empty()
    add(study, [2.0], {"objective.generator_rate": 1e-4, "model.network": "planes"})
    add(study, [1.0], {"objective.generator_rate": 2e-4, "model.network": "planes"})
    add(study, [0.5], {"objective.generator_rate": 3e-4, "model.network": "planes"})
    record = study_record(study)
    assert record["own"] == 1
    told = "That is 50 % less than the recipe with its own values, trial 1 (1)."
    assert told in " ".join(summary_lines(record))


def test_the_best_is_held_against_the_recipe_fold_by_fold():
    study = empty(folds=3)
    own = {"objective.generator_rate": 2e-4, "model.network": "planes"}
    for values, folds in ((own, [2.0, 4.0, 6.0]), (own | {"model.network": "dense"}, [1.0, 3.5, 4.5])):
        mean, spread = float(np.mean(folds)), float(np.std(folds, ddof=1))
        add(study, [mean], values, folds=[{"merit": v} for v in folds], spread={"merit": spread})
    told = " ".join(summary_lines(study_record(study)))
    sure = 1.0 / (0.5 / math.sqrt(3))  # differences 1, 0.5 and 1.5
    assert (
        f"That is 25 % less than the recipe with its own values, trial 0 (4.0 ± 2.0): {sure:.1f} standard"
        in told
    )


def test_a_choice_of_several_settings_is_told_as_in_the_recipe():
    study = empty()
    value = {"network": "planes", "latent": 32}
    add(
        study,
        [1.0],
        {"model": json.dumps(value)},
        {"model": Choice([json.dumps(value), '{"network": "dense"}'])},
        values={"model": value},
    )
    record = study_record(study)
    assert record["parameters"][0]["choices"] == [value, {"network": "dense"}]
    assert record["own"] == 0
    text = page(record)
    # The recipe has just these: it is not printed bold, as what differs is.
    assert re.search(r'<td class="long">network: planes, latent: 32</td>' * 2, text)


# The folder


def test_study_json_is_json_and_the_record(tmp_path):
    record = write_results(searched(40, ("merit",)), tmp_path)

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    text = (tmp_path / "study.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=refuse) == record
    assert page(record) == (tmp_path / "index.html").read_text(encoding="utf-8")
    assert record["schema"] == 1
    write_results(searched(20), tmp_path)  # once more while it goes on
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "study.json"]


def test_a_folder_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(OutputError):
        write_results(empty(), tmp_path / "none")


# The page


class Page(HTMLParser):
    """Collects what a page fetches, its links, identifiers and texts."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.fetched, self.heads, self._open = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self._open.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        for key in ("src", "href", "xlink:href", "srcset", "action"):
            value = given.get(key) or ""
            (self.links if value.startswith("#") else self.fetched).extend([value] if value else [])

    def handle_data(self, data):
        if self._open and self._open[-1] == "h1":
            self.heads.append(data)


def head(study):
    """The headline of a study's page, which is sound otherwise."""
    text = page(study_record(study))
    found = Page(text)
    assert found.fetched == []
    assert "://" not in re.sub(r"http://www\.w3\.org/\d+/svg", "", text)
    assert len(found.ids) == len(set(found.ids))
    assert {link[1:] for link in found.links} <= set(found.ids)
    assert not re.search(
        r"\b(nan|inf|None|undefined)\b",
        re.sub(r"<script.*?</script>|<style.*?</style>", "", text, flags=re.S),
    )
    return found.heads[0].strip()


def test_a_study_without_trials():
    assert head(empty()) == "No trial has finished"
    assert head(empty(("merit", "ms"))) == "No trial has finished"


def test_studies_of_few_trials_and_none_of_what_is_not_needed():
    one, two = empty(), empty(("merit", "ms"))
    add(one, [0.0], {"model.network": "dense", "model.latent": 8})
    assert head(one) == "merit 0 in trial 0"
    add(two, [1.0, -2.0])  # neither parameters nor anything else
    add(two, [1.0, -2.0])
    assert head(two) == "2 trials on the front of merit and ms"


def test_studies_in_which_nothing_finished():
    failed, going = empty(), empty()
    for _ in range(3):
        add(failed, [math.inf], {"model.network": "dense"}, failed="it diverged")
        add(going, None, {"model.network": "dense"}, state="RUNNING")
    assert head(failed) == "All 3 trials failed"
    assert head(going) == "No trial has finished"
    assert "3 trials, the first of them 0." in page(study_record(failed))


def test_a_study_in_which_all_break_a_constraint():
    study = empty(constraints=["ms<0.1"])
    for i in range(12):
        add(study, [1.0 + i], {"model.network": "dense"}, constraints={"ms<0.1": 0.5 - 0.01 * i})
    assert head(study) == "No trial is within the constraints"
    assert "Trial 11 breaks the constraints least: ms&lt;0.1 by 39 %." in page(study_record(study))


def test_a_study_of_one_parameter_with_one_value():
    study = empty()
    for i in range(30):
        add(study, [1.0], {"x": 1.0}, {"x": Float(1.0, 1.0)}, reported={1: 1.0, 2: math.inf})
        add(study, [1e300 if i == 3 else 2.0], {"x": 1.0}, {"x": Float(1.0, 1.0)})
    assert head(study).startswith("merit 1 in trial 0")


@pytest.mark.parametrize("folds", [1, 3])
@pytest.mark.parametrize("objectives", [("merit",), ("merit", "ms"), ("merit", "ms", "weights")])
def test_sections_are_those_of_the_search(objectives, folds):
    study = searched(60, objectives[:2], folds=folds) if len(objectives) < 3 else empty(objectives)
    if len(objectives) == 3:
        for i in range(30):
            add(study, [i, 30 - i, (i - 15) ** 2], {"model.network": "dense"})
    head(study)
    ids = Page(page(study_record(study))).ids
    assert ("front" in ids) == (len(objectives) > 1)
    assert ("folds" in ids) == (folds > 1 and len(objectives) < 3)
    assert ("curves" in ids) == (len(objectives) == 1)
    assert "history" in ids
    assert "parameters" in ids


def test_each_trial_is_under_the_mouse():
    study = searched(60)
    record, text = study_record(study), page(study_record(study))
    history = text[text.index('id="history"') : text.index('id="front"')]
    told = set(re.findall(r"<title>trial (\d+): ", history))
    expected = {str(t["number"]) for t in record["trials"] if t["state"] in ("finished", "failed", "lost")}
    assert told == expected
    beyond = next(t for t in record["trials"] if not t["feasible"])
    assert re.search(rf"<title>trial {beyond['number']}: [^<]*beyond a constraint</title>", history)


def test_what_anybody_names_is_text():
    evil = '</title></noscript></script><b>x</b>&"'
    study = empty(
        ("merit", evil), name=evil, recipe={"name": evil}, data=[evil], detector=evil, space="search: {}"
    )
    for i in range(12):
        add(
            study, [i, 12 - i], {evil: evil}, {evil: Choice([evil, "other"])},
            run=evil, constraints={evil: -1.0}, jobs=[job(evil, i, i + 1)],
        )  # fmt: skip
    add(study, [math.inf] * 2, failed=evil)
    head(study)
    text = page(study_record(study))
    assert "<b>x</b>" not in text
    assert "&lt;b&gt;x&lt;/b&gt;" in text


def many(n):
    """A study of many trials, quickly made."""
    rng = np.random.default_rng(1)
    study = empty(("merit", "ms"))
    trials = []
    for i in range(n):
        params = drawn(rng)
        spaces = {name: DISTRIBUTIONS[name] for name in params}
        told = {
            "values": params,
            "jobs": [job(f"node:{i % 100}", 10.0 * (i // 100), 10.0 * (i // 100) + 9.9)],
        }
        values = [float(rng.normal(1, 0.1)) if i % 20 else math.inf, float(rng.random())]
        trials.append(
            optuna.trial.create_trial(values=values, params=params, distributions=spaces, user_attrs=told)
        )
    study.add_trials(trials)
    return study


def test_a_page_of_many_trials_shows_some_and_says_so():
    record = study_record(many(1700))
    text = page(record)
    assert len(text.encode()) < 3_000_000
    assert "Of 1,615 finished trials 1,500 are drawn, the best among them." in text
    assert "Of 100 groups 34 are drawn." in text
    history = text[text.index('id="history"') : text.index('id="front"')]
    told = set(map(int, re.findall(r"<title>trial (\d+): ", history)))
    assert told >= set(record["front"])


@pytest.mark.slow
def test_a_page_of_ten_thousand_trials_stays_small():
    assert len(page(study_record(many(10_000))).encode()) < 3_000_000


def test_in_a_browser_it_shows_its_figures_and_fits_a_phone(tmp_path):
    write_results(searched(60, ("merit",)), tmp_path)
    browser = Browser()
    try:
        for width, phone in ((1280, False), (390, True)):
            browser.size(width, 900, phone)
            browser.open(tmp_path / "index.html")
            for key in browser.run("[...document.querySelectorAll('.page')].map(page => page.id)"):
                browser.run(f"location.hash = '#{key}'")
                browser.wait(f"document.getElementById('{key}').classList.contains('open')")
                browser.run("document.querySelectorAll('.page.open .plate').forEach(p => p.scrollIntoView())")
                browser.wait("!document.querySelector('.page.open noscript')")
                assert browser.run("document.documentElement.scrollWidth") == width, key
            browser.wait("document.querySelectorAll('svg.plot').length > 5")
        assert browser.errors == []
        assert all(url.startswith(("file:", "about:", "blob:", "data:")) for url in browser.requests)
    finally:
        browser.close()


# optuna-dashboard


def test_the_study_opens_in_optunas_dashboard(tmp_path):
    dashboard = pytest.importorskip("optuna_dashboard")
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")
    study = searched(16, ("merit", "ms"), storage=storage)
    app = dashboard.wsgi(storage)

    def get(path):
        environ, answer = {"PATH_INFO": path, "REQUEST_METHOD": "GET", "wsgi.errors": io.StringIO()}, []
        setup_testing_defaults(environ)
        body = b"".join(app(environ, lambda status, *_: answer.append(status)))
        assert answer == ["200 OK"]
        return json.loads(body)

    (listed,) = get("/api/studies")["study_summaries"]
    assert listed["study_name"] == study.study_name
    shown = get(f"/api/studies/{listed['study_id']}")
    record = study_record(study)
    assert len(shown["trials"]) == len(record["trials"])
    finished = [t for t in shown["trials"] if t["state"] == "Complete"]
    for trial in finished:
        ours = record["trials"][trial["number"]]
        if ours["state"] == "finished":
            assert [float(v) for v in trial["values"]] == list(ours["objectives"].values())
    known = [t for t in record["trials"] if t["state"] == "finished"]
    unbeaten = front(np.array([list(t["objectives"].values()) for t in known]))  # it knows no constraints
    best = {t["number"] for t, on in zip(known, unbeaten, strict=True) if on}
    assert {t["number"] for t in shown["best_trials"]} == best
    storage.engine.dispose()
