"""What is more than chance: dealings against analytic errors, pulls of one kind of showers, real faults."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm

from caloforge.validation.energy_faults import energy_faults
from caloforge.validation.inputs.resampling import BOOTSTRAPS, SPLITS, deals, redraws
from caloforge.validation.metrics import exchange
from caloforge.validation.metrics.exchange import FAULTS_LEVEL, clear, means_apart
from caloforge.validation.verdict import Trials

BLOCKS = 100


def test_dealings_share_all_blocks_out() -> None:
    dealt = deals(BLOCKS, 0)
    assert dealt.shape == (3, 1 + SPLITS, 3 * BLOCKS)
    assert (dealt.sum(axis=0) == 1).all()  # each block belongs to one sample
    assert (dealt.sum(axis=2) == BLOCKS).all()
    owner = dealt[:, 0].argmax(axis=0)
    assert (owner == np.repeat([0, 1, 2], BLOCKS)).all()  # first as they are


def test_redraws_stay_in_their_sample() -> None:
    drawn = redraws(BLOCKS, 0).reshape(3, BOOTSTRAPS, 3, BLOCKS)
    for i in range(3):
        assert (drawn[i, :, i].sum(axis=1) == BLOCKS).all()
        assert drawn[i].sum() == BLOCKS * BOOTSTRAPS


def test_a_difference_of_means_has_the_error_of_the_formula() -> None:
    rng = np.random.default_rng(1)
    values = rng.exponential(size=(3 * BLOCKS, 20, 2))  # two quantities, 20 showers in each block
    values[2 * BLOCKS :, :, 1] += 0.3
    found = exchange.tested(means_apart(values.sum(axis=1), np.full((3 * BLOCKS, 1), 20.0)), BLOCKS, 0)
    geant4, candidate = values[: 2 * BLOCKS], values[2 * BLOCKS :]
    expected = candidate.mean(axis=(0, 1)) - geant4.mean(axis=(0, 1))
    assert found.value == pytest.approx(expected)
    error = (1 / (BLOCKS * 20) + 1 / (2 * BLOCKS * 20)) ** 0.5  # an exponential's deviation is 1
    assert found.error == pytest.approx([error] * 2, rel=0.35)  # 50 bootstraps know it to a tenth
    assert found.sigmas[0] == pytest.approx(found.value[0] / error, abs=0.5)
    assert found.sigmas[1] > 8


def test_many_tests_ask_for_more() -> None:
    edge = norm.isf(FAULTS_LEVEL / 2)
    assert clear(edge + 0.01, 1)
    assert not clear(edge - 0.01, 1)
    assert not clear(edge + 0.01, 2)
    assert clear([-9.0, 0.0], 100).tolist() == [True, False]


def sample(rng: np.random.Generator, n: int, scale: float = 1.0, spread: float = 1.0, bend: float = 0.0):
    """Responses with a tail towards low ones, as leakage gives, at four energies."""
    energy = rng.choice([1e4, 2e4, 5e4, 1e5], n)
    response = 0.8 - 0.01 * spread * rng.standard_gamma(2.0, n)
    response *= scale * (energy / 4e4) ** bend
    blocks = min(BLOCKS, n)
    return SimpleNamespace(
        incident=SimpleNamespace(energy=energy),
        column=lambda name: response,
        block=rng.permutation(np.arange(n) % blocks),
        counts=np.zeros(blocks),
    )


def samples(rng: np.random.Generator, n: int) -> SimpleNamespace:
    return SimpleNamespace(reference=sample(rng, n), floor=sample(rng, n), blocks=min(BLOCKS, n), seed=3)


@pytest.mark.parametrize("n", [pytest.param(150, marks=pytest.mark.slow), 600])
def test_pulls_of_one_kind_of_showers_are_normal(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """Neither narrow nor wide, neither high nor low is preferred, and none is far off."""
    pulls = []

    def spy(*args):
        found = exchange.tested(*args)
        pulls.append(found.sigmas[:2] if len(found.sigmas) > 1 else found.sigmas)
        return found

    monkeypatch.setattr("caloforge.validation.energy_faults.tested", spy)
    pairs = 40
    for i in range(pairs):
        rng = np.random.default_rng([n, i])
        assert list(energy_faults(samples(rng, n), sample(rng, n), tests=20)) == []
    of = np.concatenate(pulls).reshape(pairs, 3)  # scale, bend, resolution
    assert np.abs(of.mean(axis=0)).max() < 4 / pairs**0.5
    assert (np.abs(of.std(axis=0) - 1) < 4 / (2 * pairs) ** 0.5).all()


@pytest.mark.parametrize(
    ("fault", "title"),
    [
        ({"scale": 1.02}, "Energies 2.0% too high"),
        ({"scale": 0.995}, "Energies 0.5% too low"),
        ({"spread": 0.7}, "Energy resolution too narrow"),
        ({"spread": 1.4}, "Energy resolution too wide"),
        ({"bend": 0.01}, "Response depends on the energy in a wrong way"),
    ],
)
def test_a_fault_is_named(fault: dict[str, float], title: str) -> None:
    rng = np.random.default_rng(9)
    given, candidate = samples(rng, 1500), sample(rng, 1500, **fault)
    titles = [finding.title for finding in energy_faults(given, candidate, tests=20)]
    # a longer tail towards low responses lowers their mean, too
    assert (title in titles) if "spread" in fault else (titles == [title])


def test_a_report_says_how_often_chance_blames() -> None:
    trials = Trials(distributions=88, faults=40, numbers=30)
    assert trials.chance == pytest.approx(0.01)
    assert str(trials).startswith("158 differences were looked for")
    assert "in 1 report of 100" in str(trials)


def test_where_nothing_is_looked_for_chance_finds_nothing() -> None:
    assert (Trials(0, 0, 0).chance, str(Trials(0, 0, 0))) == (0, "No differences were looked for.")
    assert Trials(distributions=0, faults=3, numbers=2).chance == pytest.approx(0.005)
