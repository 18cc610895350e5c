"""As many standard normal numbers as a bundle wants, of as many random numbers as its host gives."""

from __future__ import annotations

__all__ = ["normals"]

import math

import numpy as np

from caloforge.deploy.native.hosts.wrapper import Wrapper

_GOLDEN = 0x9E3779B97F4A7C15
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_SEEDS, _STEPS = 4, 2.0**24


def normals(wrapper: Wrapper, given: str, count: int) -> str:
    """Return the noise of one shower, `(1, n)`.

    Where the host draws enough normal numbers, the first are taken. Else the graph draws its own, seeded by
    the first four of the host's: SplitMix64 (doi:10.1145/2660193.2660195) of a counter, and Box and Muller's
    formula. The same numbers of the host give the same shower, and no state is kept.

    Args:
        wrapper: The graph to add to.
        given: The host's random numbers, `(1, m)`.
        count: How many of these are standard normal; 0 where they are distributed otherwise.
    """
    wanted = math.prod(wrapper.bundle.manifest.inputs[0].shape)
    if count >= wanted:
        return given if count == wanted else wrapper.part(given, 0, wanted)
    half = (wanted + 1) // 2
    counter = (np.arange(1, half + 1, dtype=np.uint64) * np.uint64(_GOLDEN))[None]
    bits = _mixed(wrapper, wrapper.node("Add", wrapper.constant(counter, np.uint64), _seed(wrapper, given)))
    high = wrapper.node("BitShift", bits, wrapper.constant(32, np.uint64), direction="RIGHT")
    low = wrapper.node("BitwiseAnd", bits, wrapper.constant(2**32 - 1, np.uint64))
    both = _box_muller(wrapper, _share(wrapper, high, 1.0), _share(wrapper, low, 0.0))
    return wrapper.part(both, 0, wanted)


def _seed(wrapper: Wrapper, given: str) -> str:
    """Make 64 bits of the host's first numbers."""
    scaled = wrapper.node("Mul", wrapper.part(given, 0, _SEEDS), wrapper.constant(_STEPS))
    whole = wrapper.node("Cast", scaled, to=_type(np.int64))
    words = wrapper.node("Cast", whole, to=_type(np.uint64))
    seed = _mixed(wrapper, wrapper.part(words, 0, 1))
    for i in range(1, _SEEDS):
        seed = _mixed(wrapper, wrapper.node("Add", seed, wrapper.part(words, i, i + 1)))
    return seed


def _mixed(wrapper: Wrapper, bits: str) -> str:
    for shift, factor in _MIX:
        bits = wrapper.node("Mul", _folded(wrapper, bits, shift), wrapper.constant(factor, np.uint64))
    return _folded(wrapper, bits, 31)


def _folded(wrapper: Wrapper, bits: str, shift: int) -> str:
    moved = wrapper.node("BitShift", bits, wrapper.constant(shift, np.uint64), direction="RIGHT")
    return wrapper.node("BitwiseXor", bits, moved)


def _share(wrapper: Wrapper, word: str, above: float) -> str:
    """Map 32 bits to (0, 1], or to [0, 1) if nothing is added."""
    number = wrapper.node("Cast", word, to=_type(np.float32))
    return wrapper.node(
        "Mul", wrapper.node("Add", number, wrapper.constant(above)), wrapper.constant(2.0**-32)
    )


def _box_muller(wrapper: Wrapper, radial: str, angular: str) -> str:
    square = wrapper.node("Mul", wrapper.node("Log", radial), wrapper.constant(-2.0))
    radius = wrapper.node("Sqrt", square)
    angle = wrapper.node("Mul", angular, wrapper.constant(2.0 * math.pi))
    axes = [wrapper.node("Mul", radius, wrapper.node(axis, angle)) for axis in ("Cos", "Sin")]
    return wrapper.node("Concat", *axes, axis=1)


def _type(dtype: type[np.generic]) -> int:
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
