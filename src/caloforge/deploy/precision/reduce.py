"""From a graph in float32 to one of reduced precision: which products are rounded is found by trying."""

from __future__ import annotations

__all__ = ["PRECISIONS", "REDUCED", "Reduced", "reduce_graph"]

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.deploy.asking import spread_incident
from caloforge.deploy.precision.bfloat16 import to_bfloat16
from caloforge.deploy.precision.effect import Effect, Feed, effect, showers_of
from caloforge.deploy.precision.int8 import to_int8
from caloforge.deploy.precision.products import Product, products
from caloforge.errors import BundleError
from caloforge.models.blocks.noise import draw_noise

if TYPE_CHECKING:
    from caloforge.deploy.sampling import Sampler

REDUCED = ("bf16", "int8")
PRECISIONS = ("fp32", *REDUCED)
"""Precisions that a graph can have."""

_SEED, _BATCH, _CALIBRATING, _JUDGING = 77, 8, 16, 16
_CELLS = 2_000_000  # of all examples of one kind


@dataclass(frozen=True)
class Reduced:
    """A graph of reduced precision.

    Attributes:
        model: The `onnx.ModelProto`.
        rounded: Names of the products that are rounded.
        share: Of all multiplications that these have.
        alone: What rounding each product alone did.
        effect: What rounding them together did, on showers that nothing was calibrated with.
    """

    model: Any
    rounded: tuple[str, ...]
    share: float
    alone: dict[str, Effect]
    effect: Effect


def reduce_graph(
    model: Any, precision: str, sampler: Sampler, told: Callable[[float, str], None] = lambda *_: None
) -> Reduced:
    """Round as many products as the showers bear.

    Each product is rounded alone. Those whose effects together, added in quadrature, stay within the limits
    of `Effect.strength` are rounded together, the cheapest for their multiplications first; if that is too
    much after all, the one with the greatest effect is given up. Nothing but products with constant weights
    is ever rounded: energies, tables and sums stay in float32.

    Args:
        model: The graph in float32, an `onnx.ModelProto`.
        precision: "bf16" or "int8".
        sampler: Says what the graph takes: columns, noise, trained range.
        told: Called with the share that is done, and words.

    Raises:
        BundleError: No product bears it.
        MissingExtraError: int8 without NNCF.
    """
    calibrating, judging = _examples(sampler, _CALIBRATING, 0), _examples(sampler, _JUDGING, 1)
    expected, threshold = showers_of(model, judging), sampler.detector.readout.threshold

    def rounded(names: Collection[str]) -> Any:
        return to_bfloat16(model, names) if precision == "bf16" else to_int8(model, names, calibrating)

    def tried(names: Collection[str]) -> tuple[Any, Effect]:
        made = rounded(names)
        return made, effect(expected, showers_of(made, judging), threshold)

    candidates = products(model)
    alone = {}
    for number, product in enumerate(candidates):
        told(number / (len(candidates) + 1), f"{precision}: {product.name} alone")
        alone[product.name] = tried({product.name})[1]
    chosen = _within(candidates, alone)
    while chosen:
        told(len(candidates) / (len(candidates) + 1), f"{precision}: {len(chosen)} products together")
        made, total = tried({product.name for product in chosen})
        if total.strength <= 1:
            share = _work(chosen) / _work(candidates)
            return Reduced(made, tuple(product.name for product in chosen), share, alone, total)
        chosen.remove(max(chosen, key=lambda product: alone[product.name].strength))
    raise _none(precision, sampler.name, alone)


def _within(candidates: Sequence[Product], alone: dict[str, Effect]) -> list[Product]:
    """Products whose effects stay within the limits together, if they are independent."""
    chosen, used = [], 0.0
    for product in sorted(candidates, key=lambda p: alone[p.name].strength ** 2 / p.multiplications):
        strength = alone[product.name].strength ** 2
        if used + strength <= 1:
            chosen.append(product)
            used += strength
    return chosen


def _work(some: Sequence[Product]) -> int:
    return sum(product.multiplications for product in some)


def _examples(sampler: Sampler, batches: int, stream: int) -> list[Feed]:
    """Noise and particles spread over the trained range: fewer where showers are large."""
    rng = np.random.default_rng([_SEED, stream])
    batch = max(2, min(_BATCH, _CELLS // (batches * sampler.detector.n_cells)))
    return [
        {
            "noise": draw_noise(rng, batch, sampler.noise_shape),
            "incident": spread_incident(sampler.valid, sampler.conditions, rng, batch),
        }
        for _ in range(batches)
    ]


def _none(precision: str, name: str, alone: dict[str, Effect]) -> BundleError:
    least = min(alone, key=lambda product: alone[product].strength) if alone else None
    return BundleError(
        f"no part of this generator bears {precision}",
        where=name,
        got=f"{least}, the one that bears most: {alone[least]}"
        if least
        else "no product with constant weights",
        cure="leave it in fp32",
    )
