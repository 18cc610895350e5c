"""Grown generators changed: the same showers where that is promised, and a generator that fits, always."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from caloforge.detector import Detector
from caloforge.errors import RecipeError
from caloforge.models.grown.generator import GrownGenerator
from caloforge.models.grown.inherit import Origin, Parent, inherit, weight_count
from caloforge.models.grown.morph import Limits, crossover, deepen, mutate, random_settings, widen
from caloforge.models.settings import Activation, GrownSettings, Stage
from tiny_toys import planar

ACTIVATIONS: tuple[Activation, ...] = ("relu", "leaky-relu", "elu", "tanh", "silu")
EQUAL = Detector.from_yaml(planar(*[(7, 5, 10)] * 3))
DETECTORS = {
    "calogan's middle layer": Detector.from_yaml(planar((12, 12, 347))),
    "clic, flattened": Detector.from_yaml(planar((25, 25, 100))),
    "clic": Detector.from_yaml(planar(*[(25, 25, 5)] * 25)),
    "one cell": Detector.from_yaml(planar((1, 1, 10))),
    "a few": EQUAL,
}
LIMITS = Limits(stages=4, filters=6, weights=60_000)
SEEDS = st.integers(0, 2**32 - 1)
QUICK = settings(max_examples=12, deadline=None, derandomize=True)


def _base(detector: Detector, volume: bool = False) -> GrownSettings:
    return GrownSettings(latent=3, dimensions=3 if volume and detector.n_layers > 1 else 2)


def _random(detector: Detector, rng: np.random.Generator, volume: bool = False) -> Parent:
    chosen = random_settings(_base(detector, volume), detector, LIMITS, rng)
    return Parent(chosen, _weights(chosen, detector, rng))


def _weights(chosen: GrownSettings, detector: Detector, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """Those of an untrained one, with biases that are not zero."""
    torch.manual_seed(int(rng.integers(2**31)))
    generator = GrownGenerator(detector, chosen)
    for name, parameter in generator.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3)
    return dict(generator.state_dict())


def _logits(one: Parent, detector: Detector) -> torch.Tensor:
    """What the softmax sees of some showers; weights alone are rounded to single precision."""
    generator = GrownGenerator(detector, one.settings)
    generator.load_state_dict(one.weights)
    generator = generator.double().eval()
    found: list[torch.Tensor] = []
    generator.cells.register_forward_hook(lambda _layer, _given, made: found.append(made))
    # The same numbers first, whatever noise of stages follows.
    noise = torch.randn(1000, 3, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    noise = noise[: sum(generator.noise_shape)].T
    with torch.no_grad():
        made = generator(noise, torch.tensor([[2e3], [2e4], [9e4]], dtype=torch.float64))
    assert made.shape == (3, detector.n_cells)
    assert bool(torch.isfinite(made).all())
    return found[0]


def _same(a: Parent, b: Parent, detector: Detector) -> None:
    torch.testing.assert_close(_logits(b, detector), _logits(a, detector), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("skips", [(False, False), (True, False), (False, True)])
def test_wider_makes_the_same_showers(
    activation: Activation, dimensions: int, skips: tuple[bool, bool]
) -> None:
    rng = np.random.default_rng(1)
    stages = (
        Stage(filters=3, grow=2, activation=activation, skip=skips[0]),
        Stage(filters=5, noise=True, skip=skips[1], activation=activation),
    )
    chosen = GrownSettings(latent=3, filters=4, stages=stages, dimensions=dimensions)
    before = Parent(chosen, _weights(chosen, EQUAL, rng))
    kept = {name: value.clone() for name, value in before.weights.items()}
    for stage, filters in ((0, 7), (1, 9)):
        after = Parent(*widen(*before, stage, filters, rng))
        assert after.settings.stages[stage].filters == filters
        _same(before, after, EQUAL)
        # No filter is the same as another in all that it sees and says: each can learn something else.
        seen = after.weights[f"stages.{stage}.weight"].flatten(1)
        said = after.weights["head.weight" if stage else "stages.1.weight"][:, 0 if stage else 1 :]
        both = torch.cat([seen, said.movedim(1, 0).flatten(1)], dim=1)
        assert len(torch.unique(both, dim=0)) == len(both) == filters
    assert all(torch.equal(kept[name], before.weights[name]) for name in kept)


def test_skips_on_both_sides_cannot_be_widened() -> None:
    stages = (Stage(filters=3, skip=True), Stage(filters=5, skip=True))
    chosen = GrownSettings(latent=3, filters=4, stages=stages)
    rng = np.random.default_rng(1)
    with pytest.raises(RecipeError, match="skip"):
        widen(chosen, _weights(chosen, EQUAL, rng), 0, 4, rng)
    with pytest.raises(RecipeError, match="more filters"):
        widen(chosen, _weights(chosen, EQUAL, rng), 1, 5, rng)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_deeper_makes_the_same_showers(activation: Activation, dimensions: int) -> None:
    rng = np.random.default_rng(2)
    stages = (
        Stage(filters=3, grow=2, activation=activation),
        Stage(filters=2, noise=True, skip=True, activation=activation),
    )
    chosen = GrownSettings(latent=3, filters=4, stages=stages, dimensions=dimensions)
    before = Parent(chosen, _weights(chosen, EQUAL, rng))
    for after in (0, 1):
        deeper = Parent(*deepen(*before, after, rng))
        assert len(deeper.settings.stages) == 3
        _same(before, deeper, EQUAL)


def test_what_deepens_can_learn() -> None:
    rng = np.random.default_rng(3)
    chosen = GrownSettings(latent=3, stages=(Stage(filters=4, activation="relu"),))
    settings_, weights = deepen(chosen, _weights(chosen, EQUAL, rng), 0, rng)
    generator = GrownGenerator(EQUAL, settings_)
    generator.load_state_dict(weights)
    generator(generator.sample_noise(4), torch.full((4, 1), 1e4)).square().sum().backward()
    gradient = generator.stages[1].weight.grad
    assert isinstance(gradient, torch.Tensor)
    assert float(gradient.abs().max()) > 0


@given(SEEDS, st.booleans())
@QUICK
def test_any_generator_can_be_widened_and_deepened(seed: int, volume: bool) -> None:
    rng = np.random.default_rng(seed)
    one = _random(EQUAL, rng, volume)
    grown = Parent(*deepen(*one, int(rng.integers(len(one.settings.stages))), rng))
    _same(one, grown, EQUAL)
    for stage, now in enumerate(grown.settings.stages):
        try:
            wider = Parent(*widen(*grown, stage, now.filters + 2, rng))
        except RecipeError:
            continue
        _same(one, wider, EQUAL)


@pytest.mark.parametrize("volume", [False, True])
def test_larger_windows_and_new_noise_change_nothing_at_first(volume: bool) -> None:
    rng = np.random.default_rng(4)
    stages = (Stage(filters=3, kernel=1), Stage(filters=2, kernel=3, grow=2))
    chosen = _base(EQUAL, volume).model_copy(update={"stages": stages, "kernel": 1})
    before = Parent(chosen, _weights(chosen, EQUAL, rng))
    larger = tuple(stage.model_copy(update={"kernel": stage.kernel + 4}) for stage in stages)
    after = chosen.model_copy(update={"stages": larger, "kernel": 5})
    weights = inherit(EQUAL, after, before, [Origin(before, 0), Origin(before, 1)], before, rng)
    _same(before, Parent(after, weights), EQUAL)
    noisy = chosen.model_copy(update={"stages": (stages[0].model_copy(update={"noise": True}), stages[1])})
    weights = inherit(EQUAL, noisy, before, [Origin(before, 0), Origin(before, 1)], before, rng)
    _same(before, Parent(noisy, weights), EQUAL)


def test_a_coarse_image_is_repeated_where_it_gets_finer() -> None:
    detector = Detector.from_yaml(planar((12, 12, 10)))
    rng = np.random.default_rng(5)
    coarse = GrownSettings(latent=3, filters=2, stages=(Stage(filters=2, grow=2),))
    fine = coarse.model_copy(update={"stages": (Stage(filters=2, grow=1),)})
    before = Parent(coarse, _weights(coarse, detector, rng))
    weights = inherit(detector, fine, before, [Origin(before, 0)], before, rng)
    # One stage: an image that is repeated after the dense layer, or in it.
    _same(before, Parent(fine, weights), detector)


@given(SEEDS, st.sampled_from(sorted(DETECTORS)), st.booleans())
@QUICK
def test_whatever_is_drawn_changed_or_crossed_is_a_generator(seed: int, name: str, volume: bool) -> None:
    rng, detector = np.random.default_rng(seed), DETECTORS[name]
    one, other = (_random(detector, rng, volume) for _ in range(2))
    for _ in range(4):
        one = mutate(one, detector, LIMITS, rng)
        assert LIMITS.allow(one.settings, detector)
    for child in (one, crossover(one, other, detector, rng)):
        assert GrownSettings.model_validate(child.settings.model_dump()) == child.settings
        generator = GrownGenerator(detector, child.settings)
        generator.load_state_dict(child.weights)
        assert sum(p.numel() for p in generator.parameters()) == weight_count(child.settings, detector)
        with torch.no_grad():
            cells = generator(torch.zeros(1, *generator.noise_shape), torch.full((1, 1), 1e4))
        assert cells.shape == (1, detector.n_cells)
        assert float(cells.sum()) == pytest.approx(1e4, rel=1e-3)


def test_each_kind_of_change_happens_and_the_parent_stays() -> None:
    rng = np.random.default_rng(6)
    stages = (Stage(filters=3, grow=2), Stage(filters=4, noise=True))
    chosen = GrownSettings(latent=3, filters=4, stages=stages)
    parent = Parent(chosen, _weights(chosen, EQUAL, rng))
    kept = {name: value.clone() for name, value in parent.weights.items()}
    seen: set[str] = set()
    for _ in range(120):
        child = mutate(parent, EQUAL, Limits(), rng).settings
        lengths = len(child.stages) - 2
        seen |= {"more stages"} if lengths > 0 else {"fewer stages"} if lengths < 0 else set()
        seen |= {key for key in ("filters", "kernel") if getattr(child, key) != getattr(chosen, key)}
        if not lengths:
            for now, then in zip(child.stages, stages, strict=True):
                seen |= {
                    f"its {key}" for key in Stage.model_fields if getattr(now, key) != getattr(then, key)
                }
    own = {f"its {key}" for key in Stage.model_fields}
    assert seen == {"more stages", "fewer stages", "filters", "kernel", *own}
    assert all(torch.equal(kept[name], parent.weights[name]) for name in kept)


def test_the_same_seed_gives_the_same_child() -> None:
    parents = [_random(EQUAL, np.random.default_rng(seed)) for seed in (1, 2)]
    first, again = (crossover(*parents, EQUAL, np.random.default_rng(3)) for _ in range(2))
    assert first.settings == again.settings
    assert all(torch.equal(first.weights[name], again.weights[name]) for name in first.weights)
    mutants = [mutate(first, EQUAL, LIMITS, np.random.default_rng(4)) for _ in range(2)]
    assert mutants[0].settings == mutants[1].settings != first.settings
    assert all(torch.equal(mutants[0].weights[n], mutants[1].weights[n]) for n in mutants[0].weights)


def test_a_child_has_the_first_stages_of_one_and_the_later_ones_of_the_other() -> None:
    rng = np.random.default_rng(7)
    parents = []
    for filters in (3, 5):
        stages = tuple(Stage(filters=filters, kernel=kernel) for kernel in (1, 3, 5))
        chosen = GrownSettings(latent=3, filters=2, stages=stages)
        parents.append(Parent(chosen, _weights(chosen, EQUAL, rng)))
    a, b = parents
    for _ in range(10):
        child = crossover(a, b, EQUAL, rng)
        widths = [stage.filters for stage in child.settings.stages]
        cut = widths.count(3)
        assert widths == [3] * cut + [5] * (len(widths) - cut)
        assert 1 <= cut <= 3
        assert len(widths) <= 3
        for i in range(cut):
            assert torch.equal(child.weights[f"stages.{i}.weight"], a.weights[f"stages.{i}.weight"])
        for i in range(cut + 1, len(widths)):
            of = f"stages.{3 - len(widths) + i}.weight"
            assert torch.equal(child.weights[f"stages.{i}.weight"], b.weights[of])
        assert torch.equal(child.weights["seed.weight"], a.weights["seed.weight"])
        assert torch.equal(child.weights["cells.bias"], b.weights["cells.bias"])


def test_too_few_weights_are_refused() -> None:
    base, rng = GrownSettings(latent=100), np.random.default_rng(1)
    with pytest.raises(RecipeError, match="as few weights"):
        random_settings(base, EQUAL, Limits(weights=50), rng)
