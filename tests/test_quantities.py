"""Quantities: what users write becomes MeV, mm, rad; what has no unit or no sense is refused."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caloforge import quantities
from caloforge.errors import CaloforgeError, DetectorError, QuantityError, nearest
from caloforge.quantities import Interval, Spectrum


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("energy", "25GeV", 25_000.0),
        ("energy", " 1e3 MeV ", 1000.0),
        ("energy", "15.15 keV", 0.01515),
        ("length", "2 mm", 2.0),
        ("length", ".5cm", 5.0),
        ("length", "-1 m", -1000.0),
        ("angle", "180deg", math.pi),
        ("density", "17.8 g/cm3", 17.8),
        ("density", "1390 kg/m3", 1.390),
    ],
)
def test_quantity(kind: str, text: str, value: float) -> None:
    assert getattr(quantities, kind)(text) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    "text", ["25", "GeV", "25 GV", "1 mm", "", "nan GeV", "1e999 GeV", "1;2GeV", None, 3.0]
)
def test_what_is_no_energy_is_refused_with_the_units_to_use(text: object) -> None:
    with pytest.raises(QuantityError) as caught:
        quantities.energy(text, "file.yaml: key")  # type: ignore[arg-type]
    assert "GeV" in str(caught.value)
    assert "file.yaml: key" in str(caught.value)


def test_mistyped_unit_gets_the_nearest_one() -> None:
    with pytest.raises(QuantityError, match="did you mean: GeV"):
        quantities.energy("25 gev")


@given(st.floats(1e-3, 1e6), st.sampled_from(["keV", "MeV", "GeV"]))
def test_numbers_keep_their_precision(number: float, unit: str) -> None:
    scale = {"keV": 1e-3, "MeV": 1.0, "GeV": 1e3}[unit]
    assert quantities.energy(f"{number!r}{unit}") == pytest.approx(number * scale, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("25GeV", "listed", (25e3,)),
        ("1:100GeV", "uniform", (1e3, 100e3)),
        ("500MeV:2GeV", "uniform", (500.0, 2e3)),
        ("log:1:1000GeV", "log-uniform", (1e3, 1e6)),
        ("50,10,20GeV", "listed", (50e3, 10e3, 20e3)),
    ],
)
def test_spectrum(text: str, kind: str, values: tuple[float, ...]) -> None:
    spectrum = Spectrum.parse(text)
    assert (spectrum.kind, spectrum.values) == (kind, values)
    sample = spectrum.sample(np.random.default_rng(1), 1000)
    assert sample.shape == (1000,)
    assert sample.min() >= spectrum.minimum
    assert sample.max() <= spectrum.maximum


def test_log_uniform_has_the_same_number_in_each_decade() -> None:
    sample = Spectrum.parse("log:1:1000GeV").sample(np.random.default_rng(2), 30_000)
    counts = np.histogram(sample, [1e3, 1e4, 1e5, 1e6])[0]
    # Binomial standard deviation is 82; five of them.
    assert np.abs(counts - 10_000).max() < 410


@pytest.mark.parametrize(
    "text", ["100:1GeV", "1:1GeV", "-1GeV", "0:5GeV", "log:5GeV", "1:2:3GeV", "log:1,5GeV"]
)
def test_what_is_no_spectrum_is_refused(text: str) -> None:
    with pytest.raises(QuantityError, match="expected"):
        Spectrum.parse(text)


@pytest.mark.parametrize("value", [25, 2.5, None, [1, 2], b"1GeV"])
def test_what_python_gives_without_a_unit_is_refused(value: object) -> None:
    for read in (Spectrum.of, lambda given: Interval.of(given, "length")):
        with pytest.raises(QuantityError) as error:
            read(value)
        number = isinstance(value, int | float)
        assert ("has no unit" in str(error.value)) is number
        assert ("cure" in str(error.value)) is number
    assert not number or f"write {value} mm" in str(error.value)


def test_interval() -> None:
    assert Interval.parse("-2:2mm", "length") == Interval(-2.0, 2.0)
    assert Interval.parse("30deg", "angle").low == Interval.parse("30deg", "angle").high
    with pytest.raises(QuantityError):
        Interval.parse("2:-2mm", "length")


def test_error_says_problem_place_and_cure_and_survives_a_worker_process() -> None:
    error = DetectorError("bad thickness", where="x.yaml: stack", got="-1 mm", expected="> 0", cure="fix it")
    block = str(error)
    assert block.splitlines()[0] == "bad thickness"
    for part in ("x.yaml: stack", "-1 mm", "> 0", "fix it"):
        assert part in block
    restored = pickle.loads(pickle.dumps(error))  # as a worker sends it
    assert str(restored) == block
    assert isinstance(restored, CaloforgeError)


def test_nearest_ignores_case_and_gives_up_on_nonsense() -> None:
    assert nearest("g4_pb", ["G4_Pb", "G4_W"]) == "G4_Pb"
    assert nearest("zzz", ["G4_Pb", "G4_W"]) is None
