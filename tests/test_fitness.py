"""Fitness of many generators at once, beside what numpy, scipy and the rest of caloforge say of each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from caloforge.detector import Detector
from caloforge.errors import RecipeError
from caloforge.evolution.fitness.fitness import Fitness
from caloforge.evolution.fitness.settings import FitnessSettings
from caloforge.models.blocks.energy_distance import directions, energy_distance
from caloforge.observables.figure_of_merit import energy_ranges, figure_of_merit
from caloforge.showers import Incident, Showers
from tiny_toys import TINY, planar, tiny_showers

TERMS = tuple(FitnessSettings.model_fields)
ALL = FitnessSettings(**dict.fromkeys(TERMS, 1.0))
DETECTOR = Detector.from_yaml(TINY)


def tensors(showers: Showers) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(showers.cells), torch.from_numpy(showers.incident.matrix(["energy"]))


def judged(settings: FitnessSettings = ALL) -> Fitness:
    fitness = Fitness(DETECTOR, settings, ("energy",))
    fitness.adapt(*tensors(tiny_showers(600, seed=9)))
    return fitness.eval()


def verdicts(
    made: Tensor, showers: Showers, settings: FitnessSettings = ALL
) -> dict[str, NDArray[np.float32]]:
    fitness = judged(settings)
    along = directions(fitness.width, torch.device("cpu"), torch.Generator().manual_seed(3))
    found = fitness(made, *tensors(showers), along)
    return {name: values.numpy() for name, values in found.items()}


@pytest.fixture(scope="module")
def real() -> Showers:
    return tiny_showers(300, seed=1)


@pytest.fixture(scope="module")
def made(real: Showers) -> Tensor:
    """Four generators: like Geant4, with too much energy, with half of the cells, and all alike."""
    other = tiny_showers(300, seed=2)
    scale = (real.incident.energy / other.incident.energy)[:, None]
    like = torch.from_numpy((other.cells * scale).astype(np.float32))
    energy = torch.from_numpy(real.incident.energy.copy())[:, None]
    alike = like.mean(0) / like.sum(1).mean() * energy
    half = like * (torch.rand(like.shape, generator=torch.Generator().manual_seed(4)) < 0.5)
    return torch.stack([like, 1.2 * like, half, alike])


def test_terms_are_one_number_for_each_generator_and_add_up(real: Showers, made: Tensor) -> None:
    weights = dict(zip(TERMS, (1.0, 0.5, 2.0, 0.25, 3.0, 1.5), strict=True))
    found = verdicts(made, real, FitnessSettings(**weights))
    assert set(found) == {*TERMS, "fitness"}
    assert all(values.shape == (4,) for values in found.values())
    total = sum(weight * found[name] for name, weight in weights.items())
    np.testing.assert_allclose(found["fitness"], total, rtol=1e-5)
    # What has no weight is not looked at.
    assert set(verdicts(made, real, FitnessSettings())) == {"distance", "fitness"}


def test_who_is_like_geant4_is_the_best(real: Showers, made: Tensor) -> None:
    found = verdicts(made, real)
    for name in ("distance", "fitness", "spread", "hits"):
        assert found[name].argmin() == 0, name
    assert found["response"].argmax() == 2
    assert found["spread"].argmax() == 3


def test_a_generator_is_judged_the_same_alone(real: Showers, made: Tensor) -> None:
    together = verdicts(made, real)
    for number in range(len(made)):
        alone = verdicts(made[number : number + 1], real)
        for name, values in alone.items():
            np.testing.assert_allclose(values[0], together[name][number], rtol=1e-4, atol=1e-6)


def test_response_is_that_of_the_cells(real: Showers, made: Tensor) -> None:
    energy = real.incident.energy
    ratio = (made.numpy().sum(2) / energy).mean(1) / (real.cells.sum(1) / energy).mean()
    np.testing.assert_allclose(verdicts(made, real)["response"], abs(ratio - 1), atol=1e-5)


def test_merit_is_that_of_the_report(real: Showers, made: Tensor) -> None:
    fitness = judged()
    # Its ranges of energy are those of the showers that it was shown first.
    np.testing.assert_allclose(
        fitness.ranges, energy_ranges(tiny_showers(600, seed=9).incident.energy), rtol=1e-6
    )
    fitness.ranges.copy_(torch.from_numpy(energy_ranges(real.incident.energy)))
    along = directions(fitness.width, torch.device("cpu"))
    found = fitness(made, *tensors(real), along)["merit"]
    expected = [figure_of_merit(real, Showers(DETECTOR, real.incident, cells.numpy())) for cells in made]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_spread_compares_standard_deviations(real: Showers, made: Tensor) -> None:
    fitness = judged()
    cells, incident = tensors(real)
    seen = [fitness.observe(one, incident).numpy().std(0, ddof=1) for one in (cells, *made)]
    truth, *others = (np.maximum(x, 0.05) for x in seen)
    expected = [abs(np.log(one / truth)).mean() for one in others]
    np.testing.assert_allclose(verdicts(made, real)["spread"], expected, rtol=1e-4)


def test_hits_are_cells_above_a_tenth_of_a_typical_one(real: Showers, made: Tensor) -> None:
    fitness = judged()
    layer = DETECTOR.layer_of_cell
    limit = 0.1 * fitness.features.typical.numpy()[layer]

    def counts(cells: NDArray[np.float32]) -> NDArray[np.int64]:
        by_layer = [(cells > limit)[:, layer == number].sum(1) for number in range(2)]
        return np.stack([*by_layer, sum(by_layer)], axis=1)

    np.testing.assert_array_equal(fitness.counts(torch.from_numpy(real.cells)), counts(real.cells))
    found = verdicts(made, real)["hits"]
    unit = np.maximum(counts(tiny_showers(600, seed=9).cells).std(0, ddof=1), 0.05)
    for number, cells in enumerate(made.numpy()):
        columns = zip((counts(cells) / unit).T, (counts(real.cells) / unit).T, strict=True)
        whole = np.mean([2 * stats.energy_distance(*pair) ** 2 / 2 for pair in columns])
        # Ours leaves out pairs of the same particle, and is so without bias: 300 showers tell little of that.
        assert found[number] == pytest.approx(whole, abs=0.02)


def test_depth_is_the_last_layer_that_is_hit() -> None:
    deep = Detector.from_yaml(planar(*[(2, 2, 10)] * 4))
    fitness = Fitness(deep, FitnessSettings(depth=1), ("energy",))
    cells = torch.zeros(3, 16)
    cells[0, 5] = cells[1, 15] = cells[1, 0] = 10.0
    np.testing.assert_array_equal(fitness.deepest(cells)[:, 0], [2, 4, 0])


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf, 0.0])
def test_what_is_no_shower_is_infinitely_bad(broken: float, real: Showers, made: Tensor) -> None:
    spoiled = made.clone()
    if broken:
        spoiled[1, 7, 3] = broken
    else:
        spoiled[1] = 0
    found, whole = verdicts(spoiled, real), verdicts(made, real)
    assert np.isinf(found["fitness"]).tolist() == [False, True, False, False]
    np.testing.assert_allclose(found["fitness"][[0, 2, 3]], whole["fitness"][[0, 2, 3]], rtol=1e-6)


def test_single_empty_showers_are_only_bad(real: Showers, made: Tensor) -> None:
    spoiled = made.clone()
    spoiled[0, :30] = 0
    found, whole = verdicts(spoiled, real), verdicts(made, real)
    assert whole["fitness"][0] < found["fitness"][0] < np.inf


def test_the_figure_of_merit_needs_an_axis() -> None:
    single = Detector.from_yaml(planar((1, 1, 10)))
    with pytest.raises(RecipeError, match=r"(?s)figure of merit needs an axis.*fitness.merit=0"):
        Fitness(single, FitnessSettings(merit=1), ("energy",))


def test_a_fitness_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a weight that is not 0"):
        FitnessSettings(distance=0)


def test_the_energy_distance_is_the_same_with_and_without_a_gradient() -> None:
    random = torch.Generator().manual_seed(6)
    real = torch.randn(20, 7, generator=random)
    made = torch.randn(5, 20, 7, generator=random)
    made[:, ::3] = real[::3]  # equal values too
    found = energy_distance(made, real)
    torch.testing.assert_close(energy_distance(made.clone().requires_grad_(), real).detach(), found)
    pairs = made[:, :, None] - real[None, None]
    own, truth = (x.unsqueeze(-2) - x.unsqueeze(-3) for x in (made, real))
    others = ~torch.eye(20, dtype=torch.bool)
    whole = [x.abs().mean(-1)[..., others].mean(-1) for x in (pairs, own, truth)]
    torch.testing.assert_close(found, 2 * whole[0] - whole[1] - whole[2], rtol=1e-4, atol=1e-6)


def test_incidents_may_be_of_any_number() -> None:
    few = Showers(DETECTOR, Incident.of([2e4, 3e4], pdg=-11), np.ones((2, 18), np.float32))
    found = verdicts(torch.ones(3, 2, 18), few)
    assert np.isfinite(found["fitness"]).all()
