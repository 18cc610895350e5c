"""The course of a training: learning rates, parts of a batch, figure of merit, and the picture of it all."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import test_training as this
from caloforge.detector import Detector
from caloforge.errors import RecipeError
from caloforge.models.base import Critic, Generator
from caloforge.models.fitted.response import ResponseFit
from caloforge.showers import Incident, Showers
from caloforge.training.curves import Curves, draw_curves
from caloforge.training.hardware import Hardware
from caloforge.training.metrics import read_metrics
from caloforge.training.objectives.adversarial.objective import AdversarialObjective
from caloforge.training.objectives.settings import AdversarialSettings
from caloforge.training.quicklook import QuickLook
from caloforge.training.recipe import ScheduleSettings
from caloforge.training.requests import Requests
from caloforge.training.schedule import rate_factor
from tiny_toys import TINY, planar, tiny_showers, train

CUBES = planar((3, 4, 10), (3, 4, 10), name="cubes")

# --- learning rates ---


def test_constant_rates() -> None:
    assert {rate_factor(ScheduleSettings(), step, 10) for step in range(1000)} == {1.0}


def test_exponential_rates_are_those_of_the_two_dimensional_3dgan() -> None:
    """Published: rate * exp(-0.012 (k - 80)) from the 80th of the files on, 20 an epoch."""
    schedule = ScheduleSettings(rates="exponential")
    steps = 1400  # of an epoch: 70 a file
    for k in (0, 1, 79, 80, 81, 100, 599):
        expected = math.exp(-0.012 * (k - 80)) if k > 80 else 1.0
        for step in (70 * k, 70 * k + 69):
            assert rate_factor(schedule, step, steps) == pytest.approx(expected, rel=1e-12)


def test_cosine_rates_end_at_zero() -> None:
    schedule = ScheduleSettings(rates="cosine", epochs=4)
    found = [rate_factor(schedule, step, 25) for step in range(101)]
    assert found[0] == 1
    assert found[50] == pytest.approx(0.5)
    assert found[100] == pytest.approx(0, abs=1e-15)
    assert all(a > b for a, b in pairwise(found))


def test_rates_warm_up() -> None:
    schedule = ScheduleSettings(warm_up=10)
    assert [rate_factor(schedule, step, 25) for step in (0, 4, 9, 10, 99)] == [0.1, 0.5, 1, 1, 1]
    cosine = ScheduleSettings(warm_up=10, rates="cosine", epochs=1)
    assert rate_factor(cosine, 9, 110) == 1
    assert rate_factor(cosine, 60, 110) == pytest.approx(0.5)


def test_rates_of_a_resumed_training_go_on(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    data = tiny_showers().save(tmp_path / "s.h5")
    falling = this.recipe(
        tmp_path / "tiny.yaml",
        *("schedule.rates=exponential", "schedule.decay=1", "schedule.decay_after=0", "schedule.warm_up=3"),
        *("schedule.epochs=2", *this.FREQUENT),
    )
    whole = train(falling, data, tmp_path / "whole")
    with pytest.raises(this._Stop):
        train(falling, data, tmp_path / "run", progress=this.stop_after(5))  # type: ignore[arg-type]
    run = train(falling, data, tmp_path / "run", resume=True)
    this.assert_same(whole.path, run.path)
    rates = [entry["generator_rate"] for entry in run.metrics() if entry["kind"] == "step"]
    # Written after each of four steps an epoch: the rates of the next.
    expected = [min(1, (s + 1) / 3) * math.exp(-s / 4) for s in range(1, 9)]
    assert rates == pytest.approx([2e-4 * factor for factor in expected])


# --- parts of a batch ---


class PlainGenerator(Generator):
    def __init__(self, detector: Detector) -> None:
        super().__init__(detector)
        self.noise_shape = (16,)
        self.layer = nn.Linear(16, detector.n_cells)

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        return self.layer(noise * incident / 1e5).relu() * 1e3


class PlainCritic(Critic):
    def __init__(self, detector: Detector) -> None:
        super().__init__(detector)
        self.layer = nn.Linear(detector.n_cells, 1)

    def forward(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        return {"logit": self.layer(cells / 1e3).squeeze(1)}


def _learned(accumulate: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    detector = Detector.from_yaml(TINY)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        objective = AdversarialObjective(
            PlainGenerator(detector),
            PlainCritic(detector),
            AdversarialSettings(flips=0.1, optimiser="rmsprop"),
            Requests(torch.tensor([1e3]), torch.tensor([1e5])),
            ResponseFit((1.0,)),
            Hardware(torch.device("cpu"), "fp32"),
            accumulate,
        )
        objective.begin()
        report: dict[str, Tensor] = {}
        for _ in range(3):
            report = objective.step(*this._batch(64))
    weights = {f"{n}.{k}": v for n, m in objective.modules.items() for k, v in m.state_dict().items()}
    return weights, report


def test_a_batch_in_parts_is_the_same_step() -> None:
    whole, told = _learned(1)
    for parts in (2, 4):
        weights, report = _learned(parts)
        for name, value in whole.items():
            torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-6)
        for name, value in told.items():
            torch.testing.assert_close(report[name], value, rtol=1e-4, atol=1e-6)


# --- precision ---


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ("avx512f avx512_bf16", "bf16"),
        ("amx_bf16 amx_tile", "bf16"),
        ("avx2 avx512f", "fp32"),
        (None, "fp32"),
    ],
)
def test_bf16_is_chosen_where_the_processor_has_it(
    flags: str | None, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "cpuinfo"
    if flags is not None:
        info.write_text(f"processor: 0\nflags: fpu {flags} sse\n")
    monkeypatch.setattr("caloforge.training.hardware.Path", lambda _: info)
    assert Hardware.choose(ScheduleSettings(device="cpu"), None).precision == precision
    assert Hardware.choose(ScheduleSettings(device="cpu", precision="fp32"), None).precision == "fp32"


# --- figure of merit ---


def showers(folder: Path) -> Path:
    (folder / "cubes.yaml").write_text(CUBES)
    detector, rng = Detector.from_yaml(CUBES), np.random.default_rng(0)
    energy = rng.uniform(1e3, 1e5, 100)
    cells = rng.exponential(size=(100, detector.n_cells))
    cells *= (energy / cells.sum(1))[:, None]
    return Showers(detector, Incident.of(energy, pdg=-11), cells.astype(np.float32)).save(folder / "s.h5")


def test_epochs_are_selected_by_merit(tmp_path: Path) -> None:
    data = showers(tmp_path)
    run = train(this.recipe(tmp_path / "cubes.yaml", "schedule.select=merit"), data, tmp_path / "run")
    looks = [entry for entry in run.metrics() if entry["kind"] == "epoch"]
    assert [look["kept"] for look in looks].count(True) >= 1
    kept = [look for look in looks if look["kept"]][-1]
    assert kept["merit"] == min(look["merit"] for look in looks)
    assert min(look["score"] for look in looks) > 0


def test_the_last_epoch_is_kept_where_the_recipe_says_so(tmp_path: Path) -> None:
    """Whatever it scores: what the diary, the summary and the curves call kept is what the weights are of."""
    data = showers(tmp_path)
    run = train(this.recipe(tmp_path / "cubes.yaml", "schedule.keep=last"), data, tmp_path / "run")
    looks = [entry for entry in run.metrics() if entry["kind"] == "epoch"]
    assert len(looks) > 1
    assert all(look["kept"] for look in looks)
    assert run.summary()["look"] == looks[-1]


def test_merit_is_refused_before_a_training() -> None:
    detector = Detector.from_yaml(planar((1, 1, 10)))
    cells = np.ones((3, detector.n_cells), np.float32)
    with pytest.raises(RecipeError, match="more than one cell") as caught:
        QuickLook(Showers(detector, Incident.of(np.ones(3)), cells), seed=0, select="merit")
    assert "schedule.select=score" in str(caught.value.details["cure"])


# --- curves ---

SHOWN = AdversarialObjective.shown


def _diary(epochs: int = 6) -> list[dict[str, object]]:
    steps = [
        {
            "kind": "step",
            "steps": s,
            "critic_real": 0.6,
            "critic_fake": 0.7,
            "generator": 0.8 + 1 / s,
            "response": 1 - 1 / s,
            "generator_rate": 2e-4 / s,
            "critic_rate": 2e-5,
        }
        for s in range(1, 10 * epochs)
    ]
    looks = [
        {"kind": "epoch", "steps": 10 * e, "epoch": e, "score": 1 / e + (e == epochs), "kept": e < epochs}
        for e in range(1, epochs + 1)
    ]
    return [*steps, *looks]


def test_the_picture_names_what_it_shows(tmp_path: Path) -> None:
    file = tmp_path / "curves.svg"
    draw_curves(_diary(), SHOWN, ("generator", "critic"), "score", 10, file)
    words = " ".join(e.text or "" for e in ElementTree.parse(file).iter() if e.tag.endswith("text"))
    for word in ("loss", "critic, Geant4", "generator", "learning rate", "epochs", "kept: epoch 5, 0.2"):
        assert word in words
    assert list(tmp_path.iterdir()) == [file]


_AT_THE_END = {"kind": "step", "steps": 6, "generator": 0.7, "generator_rate": 0.0, "critic_rate": 0.0}


@pytest.mark.parametrize(
    "entries", [_diary()[:1], [e for e in _diary() if e["kind"] == "step"], [_AT_THE_END]]
)
def test_a_picture_of_the_beginning(tmp_path: Path, entries: list[dict[str, object]]) -> None:
    draw_curves(entries, SHOWN, ("generator", "critic"), "merit", 10, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_pictures_are_not_drawn_all_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    monkeypatch.setattr("caloforge.training.curves.draw_curves", lambda *_: drawn.append(1))
    (tmp_path / "metrics.jsonl").write_text('{"kind": "step", "steps": 1}\n')
    curves = Curves(tmp_path, SHOWN, (), "score", 10)
    for _ in range(100):
        curves.draw()
    assert not drawn
    curves.draw(last=True)
    assert drawn == [1]


def test_a_run_has_its_picture(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    data = tiny_showers().save(tmp_path / "s.h5")
    chosen = this.recipe(tmp_path / "tiny.yaml", "schedule.epochs=1")
    run = train(chosen, data, tmp_path / "run", picture=True)
    assert "kept: epoch 1" in (run.path / "curves.svg").read_text()
    assert read_metrics(run.path / "metrics.jsonl")
