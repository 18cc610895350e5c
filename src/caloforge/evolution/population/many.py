"""A network that is many for a while: each of its leaves sees the rows of all individuals at once."""

from __future__ import annotations

__all__ = ["Change", "Weights", "many", "one_by_one"]

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.models.grown.stages import CellBias


class Change(NamedTuple):
    """By what the matrix of a dense layer differs from the one that all share: an outer product.

    Attributes:
        left: `(individuals, outputs)`.
        right: `(individuals, inputs)`.
    """

    left: Tensor
    right: Tensor


Weights: TypeAlias = Mapping[str, "Tensor | Change"]
"""Weights by their names in the network, `(individuals, *shape)`; what is not named is shared."""


@contextmanager
def many(network: nn.Module, weights: Weights, count: int) -> Iterator[None]:
    """Let a network be `count` networks, whose rows lie one network after the other.

    All that has no weights of its own works on rows and need not know. A layer that has some is called once:
    dense ones as one batched product, others once for each individual, which loads nothing.

    Args:
        network: It must do nothing across rows, and use its weights only in the `forward` of the module that
            owns them.
        weights: Of each individual.
        count: Individuals.
    """
    own: dict[str, dict[str, Tensor | Change]] = {}
    for name, values in weights.items():
        place, _, what = name.rpartition(".")
        own.setdefault(place, {})[what] = values
    leaves = {place: network.get_submodule(place) for place in own}
    for place, leaf in leaves.items():
        leaf.forward = _forward_of(leaf, own[place], count)
    try:
        yield
    finally:
        for leaf in leaves.values():
            del leaf.forward


@contextmanager
def one_by_one(network: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Let a network have these weights instead of its own."""
    places = [(network.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in weights]
    # Tensors will do in the place of parameters where nothing learns.
    tables: list[tuple[dict[str, Any], str]] = [
        (cast("Any", leaf)._parameters, what) for leaf, what in places
    ]
    before = [table[what] for table, what in tables]
    for (table, what), value in zip(tables, weights.values(), strict=True):
        table[what] = value
    try:
        yield
    finally:
        for (table, what), value in zip(tables, before, strict=True):
            table[what] = value


def _forward_of(leaf: nn.Module, own: Mapping[str, Tensor | Change], count: int) -> Callable[..., Tensor]:
    if type(leaf) is nn.Linear:
        return partial(_dense, leaf, own, count)
    if type(leaf) is CellBias:
        return partial(_biased, own, count)
    stacked = {name: value for name, value in own.items() if isinstance(value, Tensor)}
    if len(stacked) < len(own):
        raise TypeError(f"changes of rank one are for dense layers, not for {type(leaf).__name__}")
    if isinstance(leaf, nn.Conv2d | nn.Conv3d) and _is_pointwise(leaf):
        return partial(_pointwise, leaf, stacked, count)
    return partial(_in_turn, leaf, type(leaf).forward, stacked, count)


def _dense(leaf: nn.Linear, own: Mapping[str, Tensor | Change], count: int, x: Tensor) -> Tensor:
    weight, bias = own.get("weight"), own.get("bias", leaf.bias)
    rows = x.reshape(count, -1, x.shape[-1])
    if isinstance(weight, Tensor):
        made = torch.bmm(rows, weight.mT)
    else:
        made = F.linear(rows, leaf.weight)
        if weight is not None:
            made.baddbmm_(rows @ weight.right.unsqueeze(2), weight.left.unsqueeze(1))
    if isinstance(bias, Tensor):
        made += bias.reshape(-1, 1, made.shape[-1])
    return made.reshape(*x.shape[:-1], -1)


def _is_pointwise(leaf: nn.Conv2d | nn.Conv3d) -> bool:
    """Say whether a convolution looks at one cell: it then is a dense layer of its channels."""
    if type(leaf) not in (nn.Conv2d, nn.Conv3d):
        return False
    plain = leaf.groups == 1 and set(leaf.kernel_size) == {1} and set(leaf.stride) == {1}
    return plain and set(leaf.padding) <= {0, "valid"}


def _pointwise(leaf: nn.Conv2d | nn.Conv3d, own: Mapping[str, Tensor], count: int, x: Tensor) -> Tensor:
    weight, bias = own.get("weight", leaf.weight), own.get("bias", leaf.bias)
    rows = x.movedim(1, -1)  # no copy where channels lie last
    matrix = weight.reshape(weight.shape[: weight.dim() - x.dim() + 2])  # without the window of one cell
    made = torch.matmul(rows.reshape(count, -1, x.shape[1]), matrix.mT)
    if bias is not None:
        made += bias.reshape(-1, 1, made.shape[-1])
    return made.reshape(*rows.shape[:-1], -1).movedim(-1, 1)


def _biased(own: Mapping[str, Tensor | Change], count: int, x: Tensor) -> Tensor:
    bias = cast("Tensor", own["bias"])
    return (x.reshape(count, -1, x.shape[-1]) + bias.unsqueeze(1)).reshape(x.shape)


def _in_turn(
    leaf: nn.Module,
    forward: Callable[..., Tensor],
    own: Mapping[str, Tensor],
    count: int,
    x: Tensor,
    *others: object,
) -> Tensor:
    """Each individual's rows with its weights; convolutions of a batch gain nothing by being done at once."""
    made: list[Tensor] = []
    for number, rows in enumerate(_parts(x, count)):
        with one_by_one(leaf, {name: values[number] for name, values in own.items()}):
            made.append(forward(leaf, rows, *others))
    return torch.cat(made)


def _parts(x: Tensor, count: int) -> Sequence[Tensor]:
    return x.reshape(count, -1, *x.shape[1:]).unbind()
