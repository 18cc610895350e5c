"""The building blocks against independent numpy, and the generator's contract."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from caloforge.detector import Detector, load_detector
from caloforge.errors import DetectorError
from caloforge.models import build_critic, build_generator
from caloforge.models.base import Generator
from caloforge.models.blocks.grid import BatchNorm, LocallyConnected, SharedConv, resize, windows
from caloforge.models.blocks.initialise import glorot_normal_, glorot_uniform_, he_uniform_
from caloforge.models.blocks.minibatch import MinibatchFeatures
from caloforge.models.blocks.noise import draw_noise
from caloforge.models.published.calogan import InPainting, Stream
from caloforge.models.published.calogan_critic import CaloganCritic
from caloforge.models.settings import CaloganSettings
from tiny_toys import planar

Array = NDArray[np.float64]
TINY = planar((3, 8, 10), (6, 4, 20), (2, 4, 10))


@pytest.fixture(scope="module")
def tiny() -> Detector:
    return Detector.from_yaml(TINY)


@pytest.fixture(scope="module")
def small(tiny: Detector) -> Generator:
    torch.manual_seed(0)
    return build_generator(CaloganSettings(latent=16), tiny).eval()


def _double(module: torch.nn.Module) -> dict[str, Array]:
    return {name: value.detach().double().numpy() for name, value in module.state_dict().items()}


def _leaky(x: Array) -> Array:
    return np.where(x > 0, x, 0.3 * x)


def _local(
    x: Array, weight: Array, bias: Array | None, kernel: tuple[int, int], stride: tuple[int, int]
) -> Array:
    """Locally connected layer, position by position, for one image `(rows, columns, channels)`."""
    rows = (x.shape[0] - kernel[0]) // stride[0] + 1
    columns = (x.shape[1] - kernel[1]) // stride[1] + 1
    out = np.zeros((rows, columns, weight.shape[2]))
    for r, c in product(range(rows), range(columns)):
        top, left = r * stride[0], c * stride[1]
        seen = x[top : top + kernel[0], left : left + kernel[1]].reshape(-1)
        out[r, c] = seen @ weight[r * columns + c]
        if bias is not None:
            out[r, c] += bias[r * columns + c, 0]
    return out


def _conv_same(x: Array, weight: Array, bias: Array) -> Array:
    """Keras' 'same' for 2 x 2: the extra zeros come after the image."""
    padded = np.pad(x, ((0, 1), (0, 1), (0, 0)))
    out = np.zeros((*x.shape[:2], len(weight)))
    for r, c, o in product(range(x.shape[0]), range(x.shape[1]), range(len(weight))):
        out[r, c, o] = (padded[r : r + 2, c : c + 2] * weight[o].transpose(1, 2, 0)).sum() + bias[o]
    return out


@pytest.mark.parametrize("stride", [(1, 1), (1, 2), (2, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_locally_connected_agrees_with_numpy(stride: tuple[int, int], bias: bool) -> None:
    torch.manual_seed(1)
    layer = LocallyConnected((5, 7), (3, 4), (3, 2), stride, bias=bias)
    if layer.bias is not None:
        torch.nn.init.normal_(layer.bias)
    x = torch.randn(5, 7, 2, 3)
    values = _double(layer)
    y = layer(x).detach().numpy()
    for shower in range(2):
        expected = _local(
            x[:, :, shower].double().numpy(), values["weight"], values.get("bias"), (3, 2), stride
        )
        np.testing.assert_allclose(y[:, :, shower], expected, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        np.testing.assert_allclose(layer(x).numpy(), y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("stride", [(1, 1), (1, 2)])
def test_locally_connected_has_the_gradients_of_its_formula(stride: tuple[int, int]) -> None:
    torch.manual_seed(2)
    layer = LocallyConnected((4, 6), (2, 3), (3, 2), stride).double()
    x = torch.randn(4, 6, 2, 2, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    weight = torch.randn_like(y)
    got = torch.autograd.grad((y * weight).sum(), [x, *layer.parameters()])
    formula = torch.bmm(windows(x, (3, 2), stride).flatten(0, 1), layer.weight) + layer.bias
    expected = torch.autograd.grad((formula.view_as(y) * weight).sum(), [x, *layer.parameters()])
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("channels", [1, 3])
def test_shared_convolution_pads_after_the_image(channels: int) -> None:
    torch.manual_seed(3)
    layer = SharedConv((channels, 4), (2, 2))
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 4, 5, channels)
    values = _double(layer)
    y = layer(x).detach().numpy()
    for shower in range(2):
        expected = _conv_same(x[shower].double().numpy(), values["weight"], values["bias"])
        np.testing.assert_allclose(y[:, :, shower], expected, rtol=1e-5, atol=1e-5)


def test_minibatch_discrimination_agrees_with_numpy() -> None:
    torch.manual_seed(4)
    layer = MinibatchFeatures(6, features=3, dimensions=4)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(5, 6)
    x[3] = x[1]  # two showers alike
    values = _double(layer)
    points = np.einsum("if,kfd->kid", x.double().numpy(), values["weight"]) + values["bias"]
    expected = np.zeros((5, 3))
    for i, j, k in product(range(5), range(5), range(3)):
        expected[i, k] += np.exp(-np.abs(points[k, i] - points[k, j]).sum())
    np.testing.assert_allclose(layer(x).detach().numpy(), np.tanh(expected), rtol=1e-5)


def test_in_painting_agrees_with_numpy_and_starts_from_its_own_stream() -> None:
    torch.manual_seed(6)
    blend = InPainting((3, 4))
    assert blend.local.bias is not None
    bias = blend.local.bias.detach()
    assert torch.equal(bias[..., 0], torch.zeros_like(bias[..., 0]))
    assert torch.equal(bias[..., 1], torch.full_like(bias[..., 1], -10))
    primary, carry = torch.rand(3, 4, 2, 1), torch.rand(3, 4, 2, 1)
    torch.testing.assert_close(blend(primary, carry), primary, rtol=0, atol=2e-3)
    torch.nn.init.normal_(blend.local.bias)
    values = _double(blend.local)
    y = blend(primary, carry).detach().numpy()
    for shower in range(2):
        both = np.concatenate([primary[:, :, shower].double(), carry[:, :, shower].double()], axis=-1)
        raw = _local(np.pad(both, ((1, 1), (1, 1), (0, 0))), values["weight"], values["bias"], (3, 3), (1, 1))
        share = np.exp(raw) / np.exp(raw).sum(-1, keepdims=True)
        np.testing.assert_allclose(y[:, :, shower, 0], (both * share).sum(-1), rtol=1e-5)


def test_a_stream_agrees_with_numpy() -> None:
    torch.manual_seed(7)
    stream = Stream(5, (3, 4))
    stream.norm.running_mean.normal_()
    stream.norm.running_var.uniform_(0.5, 2)
    stream.eval()
    h = torch.randn(2, 5)
    v = _double(stream)
    y = stream(h).detach().numpy()
    for shower in range(2):
        x = (v["dense.weight"] @ h[shower].double().numpy() + v["dense.bias"]).reshape(5, 6, 36)
        x = _leaky(_conv_same(x, v["shared.weight"], v["shared.bias"]))
        x = (x - v["norm.running_mean"]) / np.sqrt(v["norm.running_var"] + 1e-3)
        x = x * v["norm.weight"] + v["norm.bias"]
        x = _leaky(_local(x, v["local.weight"], v["local.bias"], (2, 2), (1, 1)))
        x = _local(x, v["out.weight"], None, (2, 2), (1, 1))
        np.testing.assert_allclose(y[:, :, shower], x, rtol=1e-4, atol=1e-6)


def test_resize_is_keras_upsampling_then_average_pooling() -> None:
    x = np.random.default_rng(0).random((3, 96, 2, 1)).astype(np.float32)
    expected = np.repeat(x, 4, axis=0).reshape(12, 12, 8, 2, 1).mean(2)
    np.testing.assert_allclose(resize(torch.from_numpy(x), (12, 12)).numpy(), expected, rtol=1e-6)
    expected = x.reshape(3, 48, 2, 2, 1).mean(2)
    np.testing.assert_allclose(resize(torch.from_numpy(x), (3, 48)).numpy(), expected, rtol=1e-6)


def test_batch_norm_is_keras() -> None:
    norm = BatchNorm(3)
    norm(torch.full((2, 2, 4, 3), 5.0) + torch.randn(2, 2, 4, 3) * 1e-3)
    assert norm.running_mean is not None
    torch.testing.assert_close(norm.running_mean, torch.full((3,), 0.05), rtol=1e-2, atol=0)
    assert norm.eps == 1e-3


@pytest.mark.parametrize(
    ("fill", "std", "bound"),
    [
        (lambda w: glorot_uniform_(w, 30, 70), np.sqrt(2 / 100), np.sqrt(6 / 100)),
        (lambda w: he_uniform_(w, 50), np.sqrt(2 / 50), np.sqrt(6 / 50)),
        (lambda w: glorot_normal_(w, 30, 70), np.sqrt(2 / 100) * 0.8796, 2 * np.sqrt(2 / 100)),
    ],
)
def test_initialisers_have_keras_spread(
    fill: Callable[[torch.Tensor], torch.Tensor], std: float, bound: float
) -> None:
    torch.manual_seed(8)
    weight = fill(torch.empty(200_000))
    assert float(weight.std()) == pytest.approx(std, rel=0.01)
    assert float(weight.abs().max()) <= bound * 1.0001


def test_locally_connected_fans_count_positions() -> None:
    layer = LocallyConnected((4, 5), (6, 2), (2, 2))
    assert layer.fans == (12 * 24, 12 * 2)


def test_calogan_has_the_published_size() -> None:
    detector = load_detector("calogan")
    generator = build_generator(CaloganSettings(), detector)
    critic = build_critic(CaloganSettings(), detector)
    # Dense layers of the three streams alone: 1025 (5*98 + 14*14 + 14*8) 36 = 29 446 200.
    assert sum(p.numel() for p in generator.parameters()) == 29_726_280
    assert sum(p.numel() for p in critic.parameters()) == 2_744_332


def test_a_generator_keeps_its_contract(small: Generator, tiny: Detector) -> None:
    noise = small.sample_noise(7, torch.Generator().manual_seed(1))
    incident = torch.linspace(1e3, 1e5, 7)[:, None]
    assert noise.shape == (7, *small.noise_shape)
    assert torch.equal(noise, small.sample_noise(7, torch.Generator().manual_seed(1)))
    with torch.no_grad():
        cells = small(noise, incident)
        assert cells.shape == (7, tiny.n_cells)
        assert cells.dtype == torch.float32
        assert bool((cells >= 0).all())
        assert bool((cells == 0).any())
        # One by one as all together.
        alone = torch.cat([small(noise[i : i + 1], incident[i : i + 1]) for i in range(7)])
        torch.testing.assert_close(alone, cells)
        # Energy and noise come in as a product: twice the one is twice the other.
        torch.testing.assert_close(small(noise * 2, incident), small(noise, incident * 2))


def test_gradients_reach_every_weight(small: Generator, tiny: Detector) -> None:
    critic = build_critic(CaloganSettings(latent=16), tiny)
    noise, incident = small.sample_noise(8), torch.full((8, 1), 5e4)
    small.train()
    cells = small(noise, incident)
    (critic(cells, incident)["logit"].mean() + cells.sum(1).mean()).backward()
    small.eval()
    for name, parameter in [*small.named_parameters(), *critic.named_parameters()]:
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
    silent = [n for n, p in small.named_parameters() if p.grad is not None and not p.grad.any()]
    # A convolution's bias before a norm has no effect only in exact arithmetic; all else must learn.
    assert not silent
    small.zero_grad()


def test_the_critic_sees_energies_and_sparsity(tiny: Detector) -> None:
    torch.manual_seed(9)
    critic = CaloganCritic(tiny, CaloganSettings()).eval()
    seen: list[torch.Tensor] = []
    critic.decide.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    cells = torch.rand(6, tiny.n_cells) * 1e3 * (torch.rand(6, tiny.n_cells) > 0.5)
    incident = torch.full((6, 1), 2e4)
    logit = critic(cells, incident)["logit"]
    energies = np.stack([layer.sum((1, 2)) for layer in tiny.split(cells.numpy())], axis=1) / 1e3
    total = energies.sum(1)
    assert logit.shape == (6,)
    features = seen[0].detach().numpy()[:, -16:]
    np.testing.assert_allclose(features[:, :3], energies / 10, rtol=1e-5)
    np.testing.assert_allclose(features[:, 3], total / 100, rtol=1e-5)
    np.testing.assert_allclose(features[:, 4], np.abs(total - 20), rtol=1e-5)
    np.testing.assert_array_equal(features[:, 5], 10 * (np.abs(total - 20) > 5))
    first = critic.layers[0](tiny.split(cells)[0] / 1e3).detach().numpy()
    occupancy = (tiny.split(cells.numpy())[0] > 0).mean((1, 2))
    np.testing.assert_allclose(first[:, -11], occupancy, rtol=1e-6)


def test_polar_layers_are_refused() -> None:
    with pytest.raises(DetectorError, match="cartesian"):
        build_generator(CaloganSettings(latent=4), load_detector("calochallenge-2"))


def test_grids_that_do_not_divide_are_refused_unless_attention_is_off() -> None:
    odd = Detector.from_yaml(planar((3, 8, 10), (5, 4, 20), (2, 4, 10)))
    with pytest.raises(DetectorError, match="whole factors") as caught:
        build_generator(CaloganSettings(latent=4), odd)
    assert "layer b" in str(caught.value.details["where"])
    free = build_generator(CaloganSettings(latent=4, attention=False), odd)
    assert free(free.sample_noise(2), torch.full((2, 1), 1e4)).shape == (2, odd.n_cells)


def test_noise_does_not_depend_on_the_batch() -> None:
    together = draw_noise(np.random.default_rng(3), 10, (4, 5))
    rng = np.random.default_rng(3)
    np.testing.assert_array_equal(together, np.concatenate([draw_noise(rng, 1, (4, 5)) for _ in range(10)]))
    assert together.dtype == np.float32


def test_bfloat16_stays_close_to_float32(small: Generator) -> None:
    noise, incident = small.sample_noise(16, torch.Generator().manual_seed(2)), torch.full((16, 1), 5e4)
    with torch.no_grad():
        exact = small(noise, incident)
        with torch.autocast("cpu", torch.bfloat16):
            rough = small(noise, incident)
    assert rough.dtype == torch.float32
    assert float((rough - exact).abs().mean() / exact.mean()) < 0.03
