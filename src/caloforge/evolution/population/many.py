"""A network that is many for a while: each of its leaves sees the rows of all individuals at once."""

from __future__ import annotations

__all__ = ["Change", "Weights", "many", "one_by_one"]

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
    leaves = [(network.get_submodule(place), values) for place, values in own.items()]
    for leaf, values in leaves:
        leaf.forward = _forward_of(leaf, values, count)
    try:
        yield
    finally:
        for leaf, _ in leaves:
            del leaf.forward


@contextmanager
def one_by_one(network: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Let a network have these weights instead of its own."""
    places = [(network.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in weights]
    before = [leaf._parameters[what] for leaf, what in places]
    for (leaf, what), value in zip(places, weights.values(), strict=True):
        leaf._parameters[what] = value  # type: ignore[assignment]  # a tensor will do where nothing learns
    try:
        yield
    finally:
        for (leaf, what), value in zip(places, before, strict=True):
            leaf._parameters[what] = value


def _forward_of(leaf: nn.Module, own: Mapping[str, Tensor | Change], count: int) -> Callable[..., Tensor]:
    if type(leaf) is nn.Linear:
        return partial(_dense, leaf, own, count)
    if any(isinstance(value, Change) for value in own.values()):
        raise TypeError(f"changes of rank one are for dense layers, not for {type(leaf).__name__}")
    return partial(_in_turn, leaf, type(leaf).forward, own, count)


def _dense(leaf: nn.Linear, own: Mapping[str, Tensor | Change], count: int, x: Tensor) -> Tensor:
    weight, bias = own.get("weight"), own.get("bias", leaf.bias)
    rows = x.reshape(count, -1, x.shape[-1])
    if isinstance(weight, Tensor):
        made = torch.bmm(rows, weight.mT)
    else:
        made = F.linear(rows, leaf.weight)
        if weight is not None:
            made.baddbmm_(rows @ weight.right.unsqueeze(2), weight.left.unsqueeze(1))
    if bias is not None:
        made += bias.reshape(-1, 1, made.shape[-1])
    return made.reshape(*x.shape[:-1], -1)


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
    return x.unflatten(0, (count, -1)).unbind()
