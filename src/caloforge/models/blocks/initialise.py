"""Keras' initialisers: the published systems were trained from these, and torch's defaults differ."""

from __future__ import annotations

__all__ = ["glorot_normal_", "glorot_uniform_", "he_uniform_"]

import math

import torch
from torch import Tensor


def glorot_uniform_(weight: Tensor, fan_in: int, fan_out: int) -> Tensor:
    """Fill with U(-a, a), a = sqrt(6 / (fan_in + fan_out)); what Keras does where nothing is said."""
    return _uniform_(weight, 6 / (fan_in + fan_out))


def he_uniform_(weight: Tensor, fan_in: int) -> Tensor:
    """Fill with U(-a, a), a = sqrt(6 / fan_in)."""
    return _uniform_(weight, 6 / fan_in)


def glorot_normal_(weight: Tensor, fan_in: int, fan_out: int) -> Tensor:
    """Fill with a normal of variance 2 / (fan_in + fan_out), cut at two standard deviations as Keras does."""
    std = math.sqrt(2 / (fan_in + fan_out))
    with torch.no_grad():
        return torch.nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


def _uniform_(weight: Tensor, square: float) -> Tensor:
    with torch.no_grad():
        return weight.uniform_(-math.sqrt(square), math.sqrt(square))
