"""Digitisation: what the file may say, each step against its analytic answer, and the order of the steps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from caloforge.detector import Detector, load_detector
from caloforge.detector.summary import describe, digitisation_rule
from caloforge.errors import DetectorError
from caloforge.simulation.digits import Digitiser, exchange
from caloforge.simulation.streams import ELECTRONICS, stream, streams
from tiny_toys import TINY

N_CELLS = 18


def _detector(block: str) -> Detector:
    return Detector.from_yaml(f"{TINY}digitisation: {block}\n", "toy.yaml")


def test_every_key_is_kept_and_shown() -> None:
    detector = _detector(
        "{noise: [300 keV, 0.5MeV], crosstalk: 0.02, light_yield: [4.5 /MeV, 2/keV],"
        " saturation: 2GeV, gains: [10, 1], bits: 12, pedestal: 100, threshold: [3 sigma, 1 MeV]}"
    )
    assert Detector.from_yaml(detector.to_yaml()) == detector
    assert Detector.from_yaml(detector.to_yaml()).to_yaml() == detector.to_yaml()
    assert digitisation_rule(detector) == (
        "Digitisation: cross-talk 2 % to each neighbour; 4.5 / 2000 photoelectrons per MeV;"
        " noise 300 keV / 500 keV; saturation at 2 GeV, ADC of"
        " 12 bits with gain 1 / 10, pedestal 100; cells below 3 sigma / 1 MeV are left out."
    )
    shown = describe(detector)["digitisation"]
    assert shown["noise"] == (0.3, 0.5)
    assert shown["saturation"] == (2000.0, 2000.0)
    assert shown["threshold"] == ("3 sigma", "1.0 MeV")


def test_electronics_do_not_change_which_detector_it_is() -> None:
    plain, noisy = Detector.from_yaml(TINY), _detector("{noise: 1 MeV}")
    assert plain.digest == noisy.digest
    assert plain != noisy
    # The number of builds before there was a digitisation.
    assert load_detector("calogan").digest.startswith("5dafc6161f4ca6b1")


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("{}", "nothing is digitised"),
        ("{noise: 0.3}", "has no unit"),
        ("{noise: -1 MeV}", "not possible"),
        ("{noise: [1 MeV, 2 MeV, 3 MeV]}", "another length"),
        ("{noise: []}", "the list is empty"),
        ("{noise: 3 mm}", "'mm' is not a unit of energy"),
        ("{crosstalk: 2 %}", "not a share"),
        ("{crosstalk: 0.3}", "not a share"),
        ("{bits: 12}", "bits without saturation"),
        ("{saturation: 2 GeV, gains: [1, 10]}", "gains without bits"),
        ("{saturation: 0 GeV}", "not possible"),
        ("{saturation: 2 GeV, bits: 12, gains: [1, 1]}", "two gains are equal"),
        ("{saturation: 2 GeV, bits: 12, gains: [0, 1]}", "out of range"),
        ("{saturation: 2 GeV, bits: 4, pedestal: 15}", "no room in the ADC"),
        ("{saturation: 2 GeV, bits: 40}", "out of range"),
        ("{light_yield: 12}", "has no unit"),
        ("{light_yield: 0 /MeV}", "not a light yield"),
        ("{light_yield: 12 MeV}", "'MeV' is not a unit of light yield"),
        ("{threshold: 3 sigma}", "needs the noise"),
        ("{noise: 1 MeV, threshold: -3 sigma}", "cannot be negative"),
        ("{noise: 1 MeV, threshold: 3}", "has no unit"),
        ("{noises: 1 MeV}", "unknown key"),
        ("3 MeV", "is not a mapping"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(block: str, words: str) -> None:
    with pytest.raises(DetectorError, match=words) as caught:
        _detector(block)
    assert "toy.yaml, line" in str(caught.value)
    assert "digitisation" in str(caught.value)


def test_no_digitisation_is_said() -> None:
    with pytest.raises(DetectorError, match="does not say how it is digitised"):
        Digitiser(Detector.from_yaml(TINY))


def test_noise_is_normal_in_every_cell_and_its_own_in_every_event() -> None:
    digitise = Digitiser(_detector("{noise: [2 MeV, 0.5 MeV]}"))
    cells = np.zeros((6000, N_CELLS))  # more than are digitised at once
    noise = digitise(cells, seed=3).energy
    for image, sigma in ((noise[:, :12], 2.0), (noise[:, 12:], 0.5)):
        assert stats.kstest(image.ravel() / sigma, "norm").pvalue > 1e-3
    # However events are cut and shared out.
    parts = [digitise(cells[a:b], seed=3, first=a).energy for a, b in ((0, 1), (1, 1700), (1700, 6000))]
    assert np.array_equal(np.concatenate(parts), noise)
    assert not np.array_equal(digitise(cells[:1], seed=4).energy, noise[:1])


def test_photoelectrons_are_counted_after_the_cross_talk() -> None:
    """Light is a Poisson number of the energy; noise and empty cells are as without it."""
    digitise = Digitiser(_detector("{crosstalk: 0.1, light_yield: [2 /MeV, 0.5/MeV]}"))
    cells = np.zeros((6000, N_CELLS))  # more than are digitised at once
    cells[:, 0], cells[:, 12:] = 100.0, 8.0  # 3 x 4 cells, then 2 x 3 alike, which exchange nothing
    seen = digitise(cells, seed=5).energy
    light = seen * np.where(np.arange(N_CELLS) < 12, 2, 0.5)
    np.testing.assert_allclose(light, np.rint(light), atol=1e-3)
    for cell, mean in ((0, 160), (1, 20), (4, 20), (12, 4), (17, 4)):
        counts = np.bincount(np.rint(light[:, cell]).astype(int), minlength=400)
        expected = 6000 * stats.poisson.pmf(np.arange(len(counts)), mean)
        enough = expected > 5
        chi2 = ((counts - expected)[enough] ** 2 / expected[enough]).sum()
        assert stats.chi2.sf(chi2, enough.sum() - 1) > 1e-3, cell
    assert not seen[:, 2].any()
    assert np.corrcoef(light[:, 12:].T)[0, 1:] == pytest.approx(0, abs=0.06)
    parts = [digitise(cells[a:b], seed=5, first=a).energy for a, b in ((0, 1), (1, 1700), (1700, 6000))]
    assert np.array_equal(np.concatenate(parts), seen)
    empty = np.zeros((3, N_CELLS))
    noise = Digitiser(_detector("{noise: 1 MeV}"))(empty, seed=7).energy
    assert np.array_equal(
        Digitiser(_detector("{light_yield: 4 /MeV, noise: 1 MeV}"))(empty, seed=7).energy, noise
    )


def test_random_numbers_of_an_event_are_the_same_alone_and_among_others() -> None:
    seed, numbers = 2**63 - 1, (5, 6, 2**32 - 1)
    for number, rng in zip(numbers, streams(seed, ELECTRONICS, numbers), strict=True):
        expected = stream(seed, ELECTRONICS, number).standard_normal(7, np.float32)
        assert np.array_equal(rng.standard_normal(7, np.float32), expected)


def test_crosstalk_keeps_the_energy_and_reaches_the_neighbours() -> None:
    image = np.zeros((2, 3, 4))
    image[0, 1, 1], image[1, 0, 3] = 100.0, 100.0
    exchange(image, 0.05, polar=False)
    expected = np.zeros((3, 4))
    expected[1, 1], expected[0, 1], expected[2, 1], expected[1, 0], expected[1, 2] = 80, 5, 5, 5, 5
    np.testing.assert_allclose(image[0], expected, atol=1e-12)
    assert image[1, 0, 3] == pytest.approx(90)  # a corner has two neighbours
    ring = np.zeros((1, 4, 1))
    ring[0, 0, 0] = 100.0
    exchange(ring, 0.1, polar=True)
    np.testing.assert_allclose(ring[0, :, 0], [80, 10, 0, 10], atol=1e-12)


def test_each_cell_is_counted_at_the_highest_gain_that_it_does_not_fill() -> None:
    digitise = Digitiser(_detector("{saturation: 1110 MeV, bits: 8, pedestal: 33, gains: [1, 10]}"))
    energy = np.zeros((1, N_CELLS))
    # One count is 1110 / (255 - 33) = 5 MeV at gain 1 and 0.5 MeV at gain 10, which 110.75 MeV fill.
    energy[0, :7] = [0.0, 3.2, 110.7, 110.8, 500.0, 1e5, -4.0]
    digits = digitise(energy, seed=1)
    assert digits.counts is not None
    assert digits.gain is not None
    assert digits.counts[0, :7].tolist() == [33, 39, 254, 55, 133, 255, 25]
    assert digits.gain[0, :7].tolist() == [1, 1, 1, 0, 0, 0, 1]
    np.testing.assert_allclose(digits.energy[0, :7], [0, 3, 110.5, 110, 500, 1110, -4], atol=1e-4)
    assert digits.saturated[0, :7].tolist() == [False] * 5 + [True, False]


def test_the_threshold_is_on_the_calibrated_energy() -> None:
    digitise = Digitiser(_detector("{noise: [1 MeV, 2 MeV], threshold: [3 sigma, 5 MeV]}"))
    digits = digitise(np.full((400, N_CELLS), 4.0), seed=1)
    kept = digits.energy != 0
    assert digits.energy[kept[:, :12].nonzero()].min() >= 3
    assert digits.energy[:, 12:][kept[:, 12:]].min() >= 5
    assert kept[:, :12].mean() == pytest.approx(stats.norm.sf(-1), abs=0.02)
    assert kept[:, 12:].mean() == pytest.approx(stats.norm.sf(0.5), abs=0.03)
    plain = Digitiser(_detector("{saturation: 3 MeV, threshold: 2 MeV}"))(np.full((1, N_CELLS), 4.0), 1)
    assert plain.energy[0, 0] == 3
    assert plain.saturated.all()
    assert plain.counts is None


def test_adding_then_digitising_is_not_digitising_then_adding() -> None:
    """Ten particles of 1 MeV in each cell, noise of 1 MeV, threshold of 3 sigma: both ways are known."""
    n, particles, mean = 4000, 10, 1.0
    digitise = Digitiser(_detector("{noise: 1 MeV, threshold: 3 sigma}"))
    together = digitise(np.full((n, N_CELLS), particles * mean), seed=1).energy.mean()
    each = sum(
        digitise(np.full((n, N_CELLS), mean), seed=1, first=n * (1 + i)).energy for i in range(particles)
    )

    def expected(energy: float) -> float:
        """Mean of a normal number around `energy` of which only what is above 3 is kept."""
        return float(energy * stats.norm.sf(3 - energy) + stats.norm.pdf(3 - energy))

    error = 5 * np.sqrt(particles / (n * N_CELLS))
    assert together == pytest.approx(expected(10.0), abs=error)
    assert np.mean(each) == pytest.approx(particles * expected(1.0), abs=error)
    # 10 MeV a cell against 0.77: the threshold takes nearly all of what is digitised one by one.
    assert expected(10.0) == pytest.approx(10.0, abs=1e-3)
    assert particles * expected(1.0) == pytest.approx(0.767, abs=0.005)
