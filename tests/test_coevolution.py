"""Two populations against each other: the memory that keeps them from forgetting, and what comes out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from caloforge.detector import Detector
from caloforge.evolution.archive import Archive
from caloforge.evolution.evolving import Evolving
from caloforge.evolution.population.readings import critic_losses, generator_losses, readings_of_each
from caloforge.evolution.settings import DenseSettings, LeeaSettings
from caloforge.models import build_critic
from caloforge.models.settings import GrownSettings, Look
from caloforge.training.objectives.evolution.coevolution import Side
from tiny_toys import planar

Genes = NDArray[np.float32]
OPPONENTS = 16


def side(room: int, seed: int) -> Side:
    """A population of pairs of numbers, which are their own weights."""
    numbers = nn.Parameter(torch.zeros(2))
    algorithm = LeeaSettings(population=32, power=0.3, rate=1, crossover=0, power_decay=1, first=0.1, decay=1)
    begin = {"pair": np.zeros(2, np.float32)}, {"pair": 1.0}
    return Side(Evolving({"pair": numbers}, begin, False, algorithm, DenseSettings(), seed), room, seed)


def wins(mine: Genes, theirs: Genes) -> NDArray[np.float64]:
    """The intransitive numbers game: two pairs are compared where they differ least."""
    difference = mine[:, None] - theirs[None]
    nearest = np.abs(difference).argmin(axis=2)[..., None]
    return np.sign(np.take_along_axis(difference, nearest, axis=2)[..., 0]).mean(axis=1)


def progress(room: int, seed: int, generations: int = 150) -> float:
    """How large the numbers of both sides are at the end, which is what the game is about."""
    sides = side(room, seed), side(room, seed + 1)
    for _ in range(generations):
        genes = [one.genes() for one in sides]
        chosen = [one.opponents(own, OPPONENTS) for one, own in zip(sides, genes, strict=True)]
        for one, own, against in zip(sides, genes, reversed(chosen), strict=True):
            one.learn(-torch.from_numpy(wins(own, against)))
    return float(np.mean([one.genes().sum(1).mean() for one in sides]))


def test_who_remembers_makes_progress_where_others_go_round_in_circles() -> None:
    """The focusing game of Watson and Pollack (GECCO 2001): those who forget undo what they have won."""
    forgetful, remembering = ([progress(room, seed) for seed in (0, 2, 4, 6)] for room in (0, 32))
    assert np.mean(remembering) > 1.25 * np.mean(forgetful)


# --- the hall of fame ---


def test_a_hall_of_fame_keeps_each_with_the_same_chance() -> None:
    kept = np.zeros(40)
    for seed in range(500):
        archive = Archive(8, 1, seed)
        for number in range(40):
            archive.put(np.array([number], np.float32))
        assert len(archive) == 8
        kept[archive.genes[:, 0].astype(int)] += 1
    # Binomial: 100 of 500 each, give or take 9.
    assert abs(kept - 100).max() < 40
    assert abs(kept[:20].sum() - kept[20:].sum()) < 250


def test_a_hall_of_fame_goes_on_from_its_state() -> None:
    one, other = Archive(4, 2, 7), Archive(4, 2, 7)
    genes = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    for row in genes[:15]:
        one.put(row)
    other.restore(one.state())
    for row in genes[15:]:
        one.put(row)
        other.put(row)
    np.testing.assert_array_equal(one.genes, other.genes)


@pytest.mark.parametrize("room", [0, 3])
def test_half_of_the_opponents_are_of_the_past_if_there_are_any(room: int) -> None:
    players = side(room, 1)
    genes = players.genes()
    assert len(players.opponents(genes, 6)) == 6  # nobody has won yet
    for number in range(5):
        players.archive.put(np.full(2, 100 + number, np.float32))
    chosen = players.opponents(genes, 6)
    assert len(chosen) == 6
    assert (chosen[:, 0] > 50).sum() == room
    present = chosen[chosen[:, 0] < 50]
    assert len(np.unique(present, axis=0)) == len(present)


# --- critics ---


def test_critics_say_what_each_says_alone() -> None:
    detector = Detector.from_yaml(planar((6, 5, 10)))
    settings = GrownSettings(critic=(Look(filters=3), Look(filters=4, stride=2)), width=5)
    critic = build_critic(settings, detector).eval()
    random = torch.Generator().manual_seed(1)
    cells, incident = 1e3 * torch.rand(200, 30, generator=random), torch.full((200, 1), 2e4)
    critic.adapt(cells, incident)
    weights = {
        name: torch.stack([value + 0.1 * torch.randn(value.shape, generator=random) for _ in range(3)])
        for name, value in critic.named_parameters()
    }
    with torch.no_grad():
        found = readings_of_each(critic, weights, 3, cells[:9], incident[:9])
        for number in range(3):
            own = {name: values[number] for name, values in weights.items()}
            alone = torch.func.functional_call(critic, own, (cells[:9], incident[:9]))["logit"]
            torch.testing.assert_close(found[number], alone, rtol=1e-4, atol=1e-5)


def cross_entropy(logit: torch.Tensor, real: bool) -> float:
    wanted = torch.full_like(logit, float(real))
    return float(nn.functional.binary_cross_entropy_with_logits(logit, wanted))


def test_losses_of_meetings_are_means_of_cross_entropies() -> None:
    random = torch.Generator().manual_seed(2)
    real, made = torch.randn(3, 7, generator=random), torch.randn(3, 4, 7, generator=random)
    of_critic: Callable[[int], float] = lambda k: cross_entropy(real[k], True) + cross_entropy(made[k], False)  # noqa: E731
    torch.testing.assert_close(critic_losses(real, made), torch.tensor([of_critic(k) for k in range(3)]))
    wanted = torch.tensor([cross_entropy(made[:, k], True) for k in range(4)])
    torch.testing.assert_close(generator_losses(made), wanted)
