"""Codings: what all of them promise, and each against numpy or scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from scipy.fft import idctn

from caloforge.errors import EvolutionError
from caloforge.evolution.codings import CODINGS, make_coding
from caloforge.evolution.codings.base import Coding
from caloforge.evolution.settings import (
    CodingSettings,
    CosineSettings,
    DenseSettings,
    DirectionsSettings,
    HypernetworkSettings,
    SeparableSettings,
)

SHAPES = {
    "volume": (8, 6, 3, 5, 4),
    "image": (7, 5, 5, 5),
    "matrix": (24, 30),
    "point": (40, 30, 1, 1),
    "bias": (24,),
}
SPREAD = {"volume": 0.05, "image": 0.1, "matrix": 0.2, "point": 0.3, "bias": 0.4}
SETTINGS = {
    "dense": DenseSettings(),
    "separable": SeparableSettings(rank=3),
    "cosine": CosineSettings(share=0.3),
    "hypernetwork": HypernetworkSettings(units=16),
    "directions": DirectionsSettings(runs=("a", "b", "c", "d", "e", "f")),
}
ZEROS = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
each = pytest.mark.parametrize("name", SETTINGS)


def random_weights(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        name: (SPREAD[name] * random.standard_normal(shape)).astype(np.float32)
        for name, shape in SHAPES.items()
    }


RUNS = [random_weights(seed) for seed in range(6)]


def make(name: str, start: dict[str, np.ndarray] = ZEROS, **changes: Any) -> Coding:
    return make_coding(SETTINGS[name], SHAPES, start, {**SPREAD, **changes}, RUNS)


def drawn(coding: Coding, individuals: int, seed: int = 1) -> torch.Tensor:
    noise = np.random.default_rng(seed).standard_normal((individuals, coding.size), dtype=np.float32)
    return torch.from_numpy(coding.start + coding.spread * noise)


def test_every_coding_is_tried() -> None:
    assert set(SETTINGS) == set(CODINGS)


@each
def test_weights_have_the_shapes_of_the_network(name: str) -> None:
    coding = make(name)
    weights = coding.decode(drawn(coding, 4))
    assert {key: value.shape for key, value in weights.items()} == {k: (4, *v) for k, v in SHAPES.items()}
    assert coding.start.shape == coding.spread.shape == (coding.size,)
    assert coding.start.dtype == coding.spread.dtype == np.float32


@each
def test_genes_to_begin_with_give_the_weights_to_begin_with(name: str) -> None:
    for start in (ZEROS, RUNS[0]):
        coding = make(name, start)
        weights = coding.decode(torch.from_numpy(coding.start)[None])
        for key, value in weights.items():
            np.testing.assert_array_equal(value[0].numpy(), start[key])


@each
def test_random_genes_have_the_spread_of_an_initialisation(name: str) -> None:
    """Over many individuals; directions have that of the runs, which here is the same over all weights."""
    coding = make(name)
    weights = coding.decode(drawn(coding, 2000))
    for key, value in weights.items():
        assert value.std().item() == pytest.approx(SPREAD[key], rel=0.15), key
        assert abs(value.mean().item()) < 0.1 * SPREAD[key]


@each
def test_individuals_do_not_depend_on_each_other(name: str) -> None:
    coding = make(name, RUNS[1])
    genes = drawn(coding, 5)
    whole = coding.decode(genes)
    for i in range(5):
        for key, value in coding.decode(genes[i : i + 1]).items():
            np.testing.assert_allclose(value[0], whole[key][i], rtol=1e-5, atol=1e-6)


@each
def test_a_small_step_from_trained_weights_is_a_small_change(name: str) -> None:
    """Neither nothing, as at a saddle, nor a jump: a tenth of the step is about a tenth of the change."""
    coding = make(name, RUNS[2])
    step = torch.from_numpy(coding.spread) * torch.randn(
        1, coding.size, generator=torch.Generator().manual_seed(3)
    )

    def change(power: float) -> float:
        weights = coding.decode(torch.from_numpy(coding.start) + power * step)
        return (
            float(sum(((weights[key][0] - torch.from_numpy(RUNS[2][key])) ** 2).sum() for key in SHAPES))
            ** 0.5
        )

    assert change(0.01) == pytest.approx(10 * change(0.001), rel=0.1)
    assert change(0.01) > 1e-3 * sum(float((RUNS[2][key] ** 2).sum()) for key in SHAPES) ** 0.5


@each
def test_a_tensor_without_spread_has_no_genes(name: str) -> None:
    coding, whole = make(name, RUNS[0], image=0.0), make(name, RUNS[0])
    weights = coding.decode(drawn(coding, 3))
    np.testing.assert_array_equal(
        weights["image"].numpy(), np.broadcast_to(RUNS[0]["image"], (3, 7, 5, 5, 5))
    )
    assert not torch.equal(weights["matrix"][0], weights["matrix"][1])
    if name != "directions":
        assert coding.size < whole.size


@pytest.mark.parametrize("name", ["separable", "cosine", "hypernetwork", "directions"])
def test_a_compact_coding_has_fewer_genes_than_weights(name: str) -> None:
    assert (
        make(name).size < 0.5 * make("dense").size == 0.5 * sum(np.prod(shape) for shape in SHAPES.values())
    )


def test_dense_genes_are_the_weights_and_no_copy() -> None:
    coding = make("dense", RUNS[0])
    genes = drawn(coding, 2)
    weights = coding.decode(genes)
    np.testing.assert_array_equal(
        np.concatenate([value[1].numpy().ravel() for value in weights.values()]), genes[1]
    )
    assert all(
        value.untyped_storage().data_ptr() == genes.untyped_storage().data_ptr() for value in weights.values()
    )


def test_separable_tensors_are_sums_of_outer_products() -> None:
    coding = make("separable")
    genes = drawn(coding, 1)
    weights = coding.decode(genes)
    for key in ("volume", "image", "matrix", "point"):
        tensor = weights[key][0].numpy().astype(np.float64)
        for axis, length in enumerate(tensor.shape):
            unfolded = np.moveaxis(tensor, axis, 0).reshape(length, -1)
            assert np.linalg.matrix_rank(unfolded, tol=1e-5 * np.linalg.norm(unfolded)) == min(3, length), key
    a, b, c, d, e = np.split(genes[0, : 3 * 26].double().numpy(), np.cumsum([24, 18, 9, 15]))
    factors = [vector.reshape(3, -1) for vector in (a, b, c, d, e)]
    expected = 0.05 / np.sqrt(3) * np.einsum("ra,rb,rc,rd,re->abcde", *factors)
    np.testing.assert_allclose(weights["volume"][0], expected, rtol=1e-4, atol=1e-7)


def test_cosine_tensors_are_the_inverse_transform_of_scipy() -> None:
    coding = make("cosine")
    genes = drawn(coding, 1)
    weights = coding.decode(genes)
    count = 8 * 6 * 3 * 4 * 3  # 0.3^(1/3) = 0.67 of 3, 5 and 4, rounded up
    block = np.zeros((8, 6, 3, 5, 4))
    block[..., :3, :4, :3] = genes[0, :count].numpy().reshape(8, 6, 3, 4, 3)
    expected = 0.05 * np.sqrt(block.size / count) * idctn(block, axes=(2, 3, 4), norm="ortho")
    np.testing.assert_allclose(weights["volume"][0], expected, rtol=1e-4, atol=1e-6)
    first = count + 7 * 5 * 3 * 3
    matrix = np.zeros((24, 30))
    matrix[:14, :17] = genes[0, first : first + 14 * 17].numpy().reshape(14, 17)
    expected = 0.2 * np.sqrt(matrix.size / (14 * 17)) * idctn(matrix, norm="ortho")
    np.testing.assert_allclose(weights["matrix"][0], expected, rtol=1e-4, atol=1e-6)


def test_a_hypernetwork_is_a_layer_of_sines_at_each_coordinate() -> None:
    coding = make("hypernetwork")
    genes = drawn(coding, 1)
    weights = coding.decode(genes)
    *frequencies, phases, amplitudes = genes[0, : 16 * 7].double().numpy().reshape(7, 16)
    expected = np.zeros((8, 6, 3, 5, 4))
    for place in np.ndindex(expected.shape):
        x = [2 * at / (length - 1) - 1 for at, length in zip(place, expected.shape, strict=True)]
        fastest = [min(np.pi, np.pi * (length - 1) / 2) for length in expected.shape]
        angle = sum(f * w * at for f, w, at in zip(fastest, frequencies, x, strict=True)) + np.pi * phases
        expected[place] = 0.05 * np.sqrt(2 / 16) * (amplitudes * np.sin(angle)).sum()
    np.testing.assert_allclose(weights["volume"][0], expected, rtol=1e-3, atol=1e-6)


def test_the_smallest_share_of_frequencies_is_the_mean() -> None:
    coding = make_coding(CosineSettings(share=1e-9), SHAPES, ZEROS, SPREAD, RUNS)
    matrix = coding.decode(drawn(coding, 3))["matrix"]
    assert torch.allclose(matrix, matrix[:, :1, :1].expand_as(matrix), atol=1e-6)
    assert matrix.abs().max() > 0


def test_directions_are_those_of_numpy() -> None:
    coding = make("directions", RUNS[0])
    flat = np.stack([np.concatenate([run[key].ravel() for key in SHAPES]) for run in RUNS]).astype(np.float64)
    _, values, directions = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    assert coding.size == 5
    for i in range(5):
        genes = torch.zeros(1, 5)
        genes[0, i] = 2.0
        change = (
            np.concatenate([value[0].numpy().ravel() for value in coding.decode(genes).values()]) - flat[0]
        )
        assert np.linalg.norm(change) == pytest.approx(2 * values[i] / np.sqrt(5), rel=1e-4)
        assert abs(change @ directions[i]) == pytest.approx(np.linalg.norm(change), rel=1e-4)


def test_all_directions_reach_every_run() -> None:
    coding = make("directions", RUNS[0])
    flat = np.stack([np.concatenate([run[key].ravel() for key in SHAPES]) for run in RUNS])
    genes = np.linalg.lstsq(coding.directions.numpy().T, (flat - flat[0]).T, rcond=None)[0].T  # type: ignore[union-attr]
    weights = coding.decode(torch.from_numpy(genes))
    np.testing.assert_allclose(weights["volume"], np.stack([run["volume"] for run in RUNS]), atol=1e-5)


def test_runs_that_are_alike_have_no_directions() -> None:
    with pytest.raises(EvolutionError, match="too few directions"):
        make_coding(SETTINGS["directions"], SHAPES, ZEROS, SPREAD, [RUNS[0], RUNS[0]])
    with pytest.raises(EvolutionError, match="too few directions"):
        make_coding(DirectionsSettings(runs=("a", "b"), count=2), SHAPES, ZEROS, SPREAD, RUNS[:2])


@each
def test_other_tensors_are_refused(name: str) -> None:
    for start, spread in (
        ({**ZEROS, "bias": np.zeros(3, np.float32)}, SPREAD),
        ({key: ZEROS[key] for key in ("volume", "image")}, SPREAD),
        (ZEROS, {"volume": 1.0}),
        (ZEROS, {**SPREAD, "bias": float("nan")}),
    ):
        with pytest.raises(EvolutionError, match="each tensor needs"):
            make_coding(SETTINGS[name], SHAPES, start, spread, RUNS)


def test_settings_are_told_apart_by_their_kind() -> None:
    read = TypeAdapter(CodingSettings).validate_python
    assert [read(settings.model_dump()) for settings in SETTINGS.values()] == list(SETTINGS.values())
    for bad in (
        {"kind": "cosine", "share": 0},
        {"kind": "separable", "rank": 0},
        {"kind": "directions", "runs": ["a"]},
    ):
        with pytest.raises(ValidationError):
            read(bad)
