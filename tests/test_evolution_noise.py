"""Normal numbers by seed: stored bits, pieces, and the distribution itself."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from scipy import stats

from caloforge.evolution.noise import _quantiles, normal, random_generator

RESOLUTION = 2.0**-11


def _digest(numbers: np.ndarray) -> str:
    return sha256(numbers.astype("<f4").tobytes()).hexdigest()


def test_the_table_is_the_same_on_every_machine() -> None:
    assert _digest(_quantiles()) == "fb29f46ae96518539ca7660d847967e2de121524e6ba3396eabf7bfa3c8350be"


def test_the_table_is_that_of_scipy() -> None:
    exact = stats.norm.ppf((np.arange(65536) + 0.5) / 65536)
    np.testing.assert_array_equal(_quantiles(), np.rint(exact / RESOLUTION) * RESOLUTION)


def test_a_piece_is_the_same_on_every_machine() -> None:
    assert normal(2**63 - 1, 5).tolist() == [
        -0.4609375,
        -0.79443359375,
        0.00537109375,
        -0.46923828125,
        -1.21142578125,
    ]
    assert (
        _digest(normal(20260101, 100_003, first=7))
        == "7f7928809308d94b0090afac4416e879c1943708da2c8f83f57948ceca451f04"
    )


@pytest.mark.parametrize(
    ("first", "count"), [(0, 1), (1, 15), (15, 2), (16, 16), (4099, 70_000), (99_999, 1)]
)
def test_a_piece_is_as_it_is_in_the_whole(first: int, count: int) -> None:
    np.testing.assert_array_equal(normal(3, count, first), normal(3, 100_000)[first : first + count])


def test_the_numbers_are_philox() -> None:
    bits = np.random.Philox(key=np.array([3, int.from_bytes(b"normal16", "little")], np.uint64))
    words = [(word >> shift) & 0xFFFF for word in bits.random_raw(25).tolist() for shift in (0, 16, 32, 48)]
    np.testing.assert_array_equal(normal(3, 100), _quantiles()[words])


def test_nothing_is_nothing() -> None:
    assert normal(3, 0).shape == normal(3, 0, first=5).shape == (0,)


def test_the_distribution_is_normal() -> None:
    numbers = normal(11, 1_000_000).astype(np.float64)
    error = 1 / np.sqrt(len(numbers))
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((numbers**power).mean() - moment) < 4 * error * np.sqrt(variance)
    # Rounding moves a number by half a step: that is what the distance from a normal may have besides chance.
    distance = stats.kstest(numbers, "norm").statistic
    assert distance < 1.63 * error + RESOLUTION / 2 * stats.norm.pdf(0)


def test_neighbours_and_other_seeds_are_independent() -> None:
    one, other = normal(1, 400_000), normal(2, 400_000)
    for left, right in ((one, other), (one[:-1], one[1:]), (one[::16], other[::16])):
        assert abs(np.corrcoef(left, right)[0, 1]) < 4 / np.sqrt(len(left))


def test_generations_share_no_random_numbers() -> None:
    drawn = [random_generator(seed, generation).integers(2**63) for seed in (0, 1) for generation in (0, 1)]
    assert len(set(drawn)) == 4
    assert random_generator(0, 1).integers(2**63) == drawn[1]
