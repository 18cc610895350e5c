"""Zoos: which member is chosen, in cases that can be done by hand; a whole measurement of toys; the page."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from browser import Browser
from caloforge.cli.main import app
from caloforge.deploy.runtimes import CACHE_VARIABLE
from caloforge.detector import load_detector, preset_names
from caloforge.errors import CaloforgeError, DetectorError, QuantityError, SearchError
from caloforge.search.zoo import measure as measuring
from caloforge.search.zoo.choice import choose, on_front
from caloforge.search.zoo.families import FAMILIES, family_of
from caloforge.search.zoo.measure import Judges
from caloforge.search.zoo.page import page
from caloforge.search.zoo.recommend import recommend
from caloforge.search.zoo.record import FILE, Member, Number, Sample, Timing, Zoo, measured_zoos, read_zoo
from caloforge.search.zoo.traits import distance, traits_of
from caloforge.search.zoo.words import costs
from caloforge.search.zoo.zoo import _fresh
from caloforge.search.zoo.zoo import zoo as measure_zoo
from caloforge.showers import Incident, Showers
from caloforge.training.pretrained import pretrained_names
from caloforge.training.recipe import load_recipe, recipe_names
from deploy_toys import DETECTOR, LATENT, make_bundle
from tiny_toys import tiny_showers, train

FLOOR = Number(value=0.5, error=0.005)


def member(name: str, ms: float, auc: float, error: float = 0.005, **more: object) -> Member:
    """A member that is ten times as quick in a batch, and twice as slow in another runtime."""
    timings = [
        Timing(batch=batch, runtime=runtime, ms=ms * much * share, median=ms * much * share)
        for batch, share in ((1, 1.0), (128, 0.1))
        for runtime, much in (("onnxruntime", 1.0), ("openvino", 2.0))
    ]
    told = {
        "family": "tuned",
        "recipe": "calogan-tuned",
        "model": load_recipe("calogan-tuned").model.model_dump(mode="json"),
        "weights_sha256": name,
        "ships": False,
        "weights": 1000,
        "weight_mb": 0.004,
        "memory_mb": 100.0,
        "train_seconds": 60.0,
        "trained_on": "",
    }
    figures = {"auc_cells": Number(value=auc, error=error)}
    return Member(name=name, figures=figures, timings=tuple(timings), **told | more)


def a_zoo(*members: Member, detector: str = "calogan") -> Zoo:
    sample = Sample(file="judge.h5", showers=5000, sha256="1")
    return Zoo(
        caloforge="0.1.0",
        created="2026-12-01T00:00:00+00:00",
        detector=traits_of(load_detector(detector)),
        particles="e+ of 1 to 100 GeV",
        reference=sample,
        floor_sample=sample.model_copy(update={"sha256": "2"}),
        compared=5000,
        machine="A processor, 2 cores",
        versions={},
        batches=(1, 128),
        floor={"auc_cells": FLOOR},
        members=members,
    )


def saved(folder: Path, *members: Member, detector: str = "calogan") -> Path:
    (folder / "zoo.json").write_text(a_zoo(*members, detector=detector).to_json())
    return folder


SLOW, MIDDLE, QUICK = member("slow", 5.0, 0.52), member("middle", 0.8, 0.56), member("quick", 0.1, 0.62)


def chosen(latency: float, *members: Member, batch: int = 1) -> tuple[str | None, ...]:
    found = choose(members, "auc_cells", FLOOR, batch, latency)
    named = (found.taken, found.quicker)
    return (*(None if one is None else one.name for one in named), *(one.name for one in found.better))


@pytest.mark.parametrize(
    ("latency", "expected"),
    [
        (10.0, ("slow", "middle")),
        (5.0, ("slow", "middle")),
        (1.0, ("middle", "quick", "slow")),
        (0.2, ("quick", None, "middle", "slow")),
    ],
)
def test_the_best_within_the_latency_is_taken(latency: float, expected: tuple[str | None, ...]) -> None:
    assert chosen(latency, MIDDLE, SLOW, QUICK) == expected


def test_batches_have_times_of_their_own() -> None:
    assert chosen(0.5, SLOW, MIDDLE, QUICK, batch=128)[0] == "slow"
    assert chosen(0.5, SLOW, MIDDLE, QUICK)[0] == "quick"


def test_nothing_is_quick_enough() -> None:
    found = choose([SLOW, QUICK, MIDDLE], "auc_cells", FLOOR, 1, 0.05)
    assert (found.taken, found.quickest.name) == (None, "quick")


@pytest.mark.parametrize(("errors", "taken"), [(0.0050, "slow"), (0.0072, "quick")])
def test_those_as_good_within_errors_give_way_to_the_quicker(errors: float, taken: str) -> None:
    """0.01 apart: both errors together are 0.0071 and 0.0102."""
    pair = member("slow", 5.0, 0.55, errors), member("quick", 0.1, 0.56, errors)
    found = choose(pair, "auc_cells", FLOOR, 1, 10.0)
    assert found.taken is not None
    assert found.taken.name == taken
    assert [one.name for one in found.as_good] == (["slow"] if taken == "quick" else [])


def test_a_dominated_member_is_never_taken_and_never_told() -> None:
    beaten = member("beaten", 2.0, 0.7)
    for latency in (0.2, 1.0, 3.0, 10.0):
        assert "beaten" not in chosen(latency, SLOW, MIDDLE, QUICK, beaten)
    members = [SLOW, beaten, MIDDLE, QUICK]
    assert on_front(members, "auc_cells", FLOOR, 1).tolist() == [True, False, True, True]


def test_below_the_floor_is_the_floor() -> None:
    """Luck makes nobody better than Geant4: of two at the floor the quicker is taken."""
    pair = member("lucky", 5.0, 0.47, 0.0), member("honest", 1.0, 0.5, 0.0)
    assert chosen(10.0, *pair)[0] == "honest"
    assert on_front(pair, "auc_cells", FLOOR, 1).tolist() == [False, True]


def test_equal_times_go_to_the_smaller() -> None:
    large, small = member("large", 1.0, 0.55, weights=9000), member("small", 1.0, 0.55)
    assert chosen(2.0, large, small)[0] == "small"


def test_all_recipes_have_a_family_that_is_known() -> None:
    found = {name: family_of(load_recipe(name).model_dump(mode="json")) for name in recipe_names()}
    assert {name for name, family in found.items() if family == "other"} == {"grown-2d"}
    assert found["calogan-fit"] == "fit"
    assert found["calogan-matching"] == "matching"
    assert found["calogan-tuned"] == found["gan3d-tuned"] == "tuned"
    assert found["calogan"] == found["gan3d"] == "GAN"
    assert found["evolve-2d"] == "evolved"
    assert family_of({}) == "other"


def test_detectors_are_near_those_of_their_kind() -> None:
    traits = {name: traits_of(load_detector(name)) for name in preset_names()}
    assert all(distance(one, one) == 0 for one in traits.values())
    assert distance(traits["clic"], traits["calogan"]) == distance(traits["calogan"], traits["clic"])
    assert distance(traits["clic"], traits["calogan"]) == pytest.approx(
        math.log10(15625 / 504) + math.log10(25 / 3) + 1
    )
    assert traits["hgcal-like"].grids == "polygons"
    assert traits["calochallenge-2"].grids == "rings"
    assert traits["jet-image"].grids == "image"
    assert traits["clic"].grids == "volume"


def test_cost_is_the_least_training_that_got_there() -> None:
    found = a_zoo(
        member("hour", 1.0, 0.53, train_seconds=3600.0),
        member("minute", 1.0, 0.57, train_seconds=60.0),
        member("fit", 0.1, 0.59, family="fit", train_seconds=6.0),
        member("unknown", 0.1, 0.52, train_seconds=None),
    )
    aucs, rows = costs(found)
    assert aucs == (0.6, 0.58, 0.56, 0.54)
    table = {row.family: [one and one.name for one in row.members] for row in rows}
    assert table == {
        "fit": ["fit", None, None, None],
        "tuned": ["minute", "minute", "hour", "hour"],
    }


def test_the_answer_says_why(tmp_path: Path) -> None:
    told = recommend("calogan", "1ms", zoo=saved(tmp_path, SLOW, MIDDLE, QUICK))
    text = " ".join(told.sentences)
    assert not told.guess
    assert "Take middle" in text
    assert "0.560 ± 0.005" in text
    assert "0.8 ms" in text
    assert "slower than 1 ms: slow (0.520 ± 0.005, 5 ms)" in text
    assert "Quicker, but worse: quick (0.620 ± 0.005, 0.1 ms)" in text
    assert "0.500 ± 0.005" in text
    assert told.commands[0] == "caloforge train calogan-tuned --data SHOWERS.h5 --out run"


def test_another_detector_gets_a_guess(tmp_path: Path) -> None:
    told = recommend("clic", "1ms", zoo=saved(tmp_path, MIDDLE, QUICK))
    assert told.guess
    assert told.sentences[0].startswith("A guess: no generator of clic was measured.")
    assert "too short" in told.sentences[1]
    assert told.commands[-1] == "caloforge recommend clic --latency 1ms --zoo zoo"


def test_models_that_cannot_make_its_showers_are_left_out(tmp_path: Path) -> None:
    """3DGAN makes CLIC's volume only; hexagons are beyond it, and not beyond the fit."""
    gan = load_recipe("gan3d").model.model_dump(mode="json")
    images = member("gan", 0.1, 0.51, family="GAN", recipe="gan3d", model=gan)
    folder = saved(tmp_path, MIDDLE, images)
    told = recommend("hgcal-like", "1ms", zoo=folder)
    assert told.choice.taken is not None
    assert told.choice.taken.name == "middle"
    assert any(text.startswith("gan cannot be taken: ") for text in told.sentences)
    assert recommend("calogan", "1ms", zoo=folder).choice.taken == images


def test_the_nearest_of_several_zoos_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    zoos = [a_zoo(QUICK), a_zoo(MIDDLE, detector="clic"), a_zoo(detector="ild-5")]
    monkeypatch.setattr("caloforge.search.zoo.recommend.measured_zoos", lambda: zoos)
    for asked, expected in (("clic", "clic"), ("clic-angle", "clic"), ("jet-image", "calogan")):
        assert recommend(asked, "1ms").zoo.detector.name == expected


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        ({"detector": "caligan"}, DetectorError, "calogan"),
        ({"latency": "1"}, QuantityError, "no unit"),
        ({"latency": "1mm"}, QuantityError, "not a unit of time"),
        ({"latency": "0ms"}, SearchError, "no time"),
        ({"batch": 10}, SearchError, "1 or 128"),
        ({"metric": "auc_cell"}, SearchError, "auc_cells"),
        ({"metric": "fpd"}, SearchError, "auc_cells"),
        ({"zoo": "nowhere"}, SearchError, "nowhere"),
    ],
)
def test_what_cannot_be_answered(
    tmp_path: Path, call: dict[str, object], error: type[CaloforgeError], said: str
) -> None:
    asked = {"detector": "calogan", "latency": "1ms", "zoo": saved(tmp_path, MIDDLE)} | call
    with pytest.raises(error, match=said):
        recommend(**asked)


@pytest.mark.parametrize(
    ("key", "value"),
    [("batches", [1, 10]), ("batches", []), ("zoo", 2), ("members", [{"name": "one"}]), ("machine", 3)],
)
def test_a_damaged_zoo_is_one_error(tmp_path: Path, key: str, value: object) -> None:
    content = json.loads(a_zoo(MIDDLE).to_json()) | {key: value}
    (tmp_path / "zoo.json").write_text(json.dumps(content))
    with pytest.raises(SearchError, match="damaged"):
        read_zoo(tmp_path)


def test_a_zoo_survives_its_file(tmp_path: Path) -> None:
    assert read_zoo(saved(tmp_path, SLOW, QUICK)) == a_zoo(SLOW, QUICK)


def test_zoos_that_ship_are_of_what_ships() -> None:
    """Each is of a preset as it is now, and names what ships by the weights that ship."""
    zoos = measured_zoos()
    assert {one.detector.name for one in zoos} >= {"calogan"}
    for one in zoos:
        assert one.detector == traits_of(load_detector(one.detector.name))
        assert one.floor.keys() == {"auc_cells", "auc_normalised", "auc_high", "auc_trees", "fpd"}
        for each in one.members:
            assert each.figures.keys() == one.floor.keys()
            assert not each.ships or each.name in pretrained_names()
    assert recommend("calogan", "1ms").choice.taken is not None


def test_the_command_answers(tmp_path: Path) -> None:
    folder = saved(tmp_path, SLOW, MIDDLE, QUICK)
    line = ["recommend", "calogan", "--zoo", str(folder), "--latency"]
    said = CliRunner().invoke(app, [*line, "1ms"])
    assert said.exit_code == 0
    assert said.output.startswith("middle\n")
    plain = CliRunner().invoke(app, [*line, "1ms", "--json"])
    assert json.loads(plain.output)["take"]["name"] == "middle"
    none = CliRunner().invoke(app, [*line, "1us"])
    assert none.exit_code == 1
    assert "None of the 3" in none.output


# A whole measurement


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fit of tiny showers, the showers that judge, and others."""
    folder = tmp_path_factory.mktemp("measured")
    for name, seed in (("judge", 1), ("floor", 2)):
        tiny_showers(400 * seed**2, seed=seed).save(folder / f"{name}.h5")
    train("calogan-fit", folder / "floor.h5", folder / "fit")
    return folder


def _zoo(measured: Path, out: Path, **members: Path) -> Zoo:
    return measure_zoo(members, measured / "judge.h5", measured / "floor.h5", out, seconds=0.02)


def test_a_zoo_of_toys(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    out = tmp_path / "zoo"
    found = _zoo(measured, out, fit=measured / "fit")
    fit = found.members[0]
    assert (fit.family, fit.recipe, fit.ships) == ("fit", "calogan-fit", False)
    assert (
        fit.figures.keys()
        == found.floor.keys()
        == {
            "auc_cells",
            "auc_normalised",
            "auc_high",
            "auc_trees",
            "fpd",
        }
    )
    report = json.loads((out / "reports" / "fit" / "report.json").read_text())
    numbers = report["candidates"]["fit"]["numbers"]
    assert all(numbers[name]["value"] == one.value for name, one in fit.figures.items())
    assert all(numbers[name]["floor"] == one.value for name, one in found.floor.items())
    assert fit.train_seconds is not None, "what a fit takes is in its diary"
    assert {one.batch for one in fit.timings} == {1, 128}
    assert fit.ms(128) < fit.ms(1)
    assert read_zoo(out) == found
    assert not list(out.glob(".*.h5")), "showers are for the while"

    def never(*_: object) -> None:
        raise AssertionError("measured again")

    # the same weights are not measured again, and others join them
    monkeypatch.setattr("caloforge.search.zoo.zoo.measure", never)
    assert _zoo(measured, out, fit=measured / "fit") == found
    # unless the model uses them in another way, as flow matching in more steps
    changed = found.with_member(fit.model_copy(update={"model": {**fit.model, "evaluations": 8}}))
    (out / FILE).write_text(changed.to_json())
    with pytest.raises(AssertionError, match="measured again"):
        _zoo(measured, out, fit=measured / "fit")
    (out / FILE).write_text(found.to_json())
    monkeypatch.setattr("caloforge.search.zoo.zoo.measure", measuring.measure)
    more = _zoo(measured, out, again=measured / "fit")
    assert [one.name for one in more.members] == ["fit", "again"]
    assert more.members[0] == fit
    assert more.members[1].figures == fit.figures, "the same showers come to the same"


def test_what_was_measured_survives_the_next(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, calls = tmp_path / "zoo", []

    def stopped(zoo: Zoo, name: str, *_: object) -> Zoo:
        calls.append(name)
        if name == "second":
            raise KeyboardInterrupt
        return zoo.with_member(member(name, 1.0, 0.55))

    monkeypatch.setattr("caloforge.search.zoo.zoo.measure", stopped)
    with pytest.raises(KeyboardInterrupt):
        _zoo(measured, out, first=measured / "fit", second=measured / "fit")
    assert calls == ["first", "second"]
    assert [one.name for one in read_zoo(out).members] == ["first"]
    assert "first" in (out / "zoo.html").read_text()


def test_a_bundle_is_a_member_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows its recipe or what its training took."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    bundle = make_bundle(tmp_path / "bundle")
    for name, seed in (("judge", 1), ("floor", 2)):
        rng = np.random.default_rng(seed)
        energy = rng.uniform(1e3, 1e5, 300)
        cells = rng.exponential(size=(300, DETECTOR.n_cells)) * energy[:, None] / 40
        showers = Showers(DETECTOR, Incident.of(energy, pdg=-11), cells.astype(np.float32), None, {})
        showers.save(tmp_path / f"{name}.h5")
    found = _zoo(tmp_path, tmp_path / "zoo", toy=bundle).members[0]
    assert (found.family, found.recipe, found.train_seconds) == ("other", "", None)
    assert found.weights == LATENT * DETECTOR.n_cells
    assert "give runs, not bundles" in (tmp_path / "zoo" / "zoo.html").read_text()


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "x" * 61])
def test_names_that_are_none(measured: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(SearchError, match="name of a member"):
        _zoo(measured, tmp_path / "zoo", **{name: measured / "fit"})
    assert not (tmp_path / "zoo").exists()


def test_what_does_not_go_together(measured: Path, tmp_path: Path) -> None:
    out = tmp_path / "zoo"
    with pytest.raises(SearchError, match="another detector"):
        _zoo(measured, out, other=make_bundle(tmp_path / "bundle"))
    with pytest.raises(SearchError, match="nothing to measure"):
        _zoo(measured, out)
    with pytest.raises(SearchError, match="floor is the file that judges"):
        measure_zoo({"fit": measured / "fit"}, measured / "judge.h5", measured / "judge.h5", out)
    assert not out.exists(), "what could not begin leaves nothing"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"machine": "another"}, "another machine"),
        ({"reference": Sample(file="x.h5", showers=1, sha256="x")}, "another file that judges"),
        ({"detector": traits_of(load_detector("clic"))}, "another detector"),
    ],
)
def test_another_zoo_is_not_gone_on_with(
    measured: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    same = _fresh(Judges(measured / "judge.h5", measured / "floor.h5"))
    (tmp_path / "zoo.json").write_text(same.model_copy(update=change).to_json())
    before = (tmp_path / "zoo.json").read_text()
    with pytest.raises(SearchError, match=said):
        _zoo(measured, tmp_path, fit=measured / "fit")
    assert (tmp_path / "zoo.json").read_text() == before


def test_the_page_shows_all_and_fetches_nothing(tmp_path: Path) -> None:
    families = [
        member(f"member-{name}", 0.1 * 2**i, 0.6 - 0.01 * i, family=name) for i, name in enumerate(FAMILIES)
    ]
    whole = a_zoo(*families, member("blank", 1.0, 0.55).model_copy(update={"figures": {}}))
    (tmp_path / "zoo.html").write_text(page(whole, tmp_path))
    browser = Browser()
    try:
        for width, phone in ((1280, False), (390, True)):
            browser.size(width, 900, phone)
            browser.open(tmp_path / "zoo.html")
            for key in browser.run("[...document.querySelectorAll('.page')].map(page => page.id)"):
                browser.run(f"location.hash = '#{key}'")
                browser.wait(f"document.getElementById('{key}').classList.contains('open')")
                assert browser.run("document.documentElement.scrollWidth") == width, key
            browser.run("location.hash = '#summary'")
            browser.run("document.querySelectorAll('.page.open .plate').forEach(p => p.scrollIntoView())")
            browser.wait("document.querySelectorAll('svg.plot').length == 2")
            rows = browser.run("document.querySelectorAll('#summary tbody tr').length")
            assert rows == len(whole.members) + 1
        titles = browser.run("[...document.querySelectorAll('svg.plot title')].map(t => t.textContent)")
        assert sum("member-" in title for title in titles) == 2 * len(families)
        assert browser.errors == []
        assert all(url.startswith(("file:", "about:", "blob:", "data:")) for url in browser.requests)
    finally:
        browser.close()


def test_an_empty_zoo_has_a_page() -> None:
    assert "0 generators of calogan" in page(a_zoo())
