"""Requirements of a CI: read, checked, refused with a cure."""

from __future__ import annotations

import math

import pytest

from caloforge.errors import ValidationError
from caloforge.validation.measure import Measure, Number
from caloforge.validation.registry import ENTRIES, pick
from caloforge.validation.require import check, requirements
from caloforge.validation.study import Absent

NUMBERS = {
    number.name: number
    for number in (
        Number("auc_high", "AUC", Measure(0.7, 0.01, 0.5, 0.01)),
        Number("response", "Response", Measure(-2.5, 0.1, 0.0, 0.1), "%", "floor"),
        Number("coverage", "Coverage", Measure(0.9, 0.01, 0.95, 0.01), better="high"),
        Number("nothing", "Nothing", Measure(math.nan)),
        Number("separation.hits", "Hits, separation", Measure(0.02, 0.001, 0.01, 0.001)),
        Number("shift", "Shift", Measure(0.1), "σ"),
    )
}


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("auc_high<0.8", True),
        ("auc_high<0.6", False),
        ("auc_high<=0.7", True),
        ("auc_high < 70%", False),
        ("auc_high<71%", True),
        ("response<2%", False),  # its size counts, not its sign
        ("response<3%", True),
        ("coverage>0.8", True),
        ("coverage>=0.95", False),
        ("nothing<1", False),
        ("nothing>1", False),
        ("separation.hits<3e-2", True),
    ],
)
def test_a_requirement_holds_or_not(text, met):
    (outcome,) = check(requirements(text), "gan", NUMBERS)
    assert outcome.met is met
    assert text.replace(" ", "") in str(outcome).replace(" ", "")
    assert ("failed" in str(outcome)) is not met


def test_failure_says_by_how_much():
    (outcome,) = check(requirements("auc_high<0.6"), "gan", NUMBERS)
    assert "failed by 0.1, it is 0.7" in str(outcome)


@pytest.mark.parametrize(
    "text", ["auc_high", "auc_high=0.5", "<0.5", "auc_high<", "auc_high<1.2.3", "", " , "]
)
def test_what_is_no_requirement_is_refused(text):
    with pytest.raises(ValidationError):
        requirements(text)


def test_unknown_number_names_the_nearest():
    with pytest.raises(ValidationError) as error:
        check(requirements("auc_hihg<0.6"), "gan", NUMBERS)
    assert "auc_high" in str(error.value)


def test_what_too_few_showers_do_not_tell_is_said_with_how_many_would():
    absent = {"auc_low": Absent(25, 50), "bias": Absent(25, 0, "no shower has energy")}
    with pytest.raises(ValidationError) as error:
        check(requirements("auc_low<0.6"), "gan", NUMBERS, absent)
    for words in ("25 showers of each kind are too few, 50 are needed", "100 of a reference"):
        assert words in str(error.value)
    assert "--metrics" not in str(error.value), "what was tried is no cure"
    with pytest.raises(ValidationError, match="no shower has energy") as error:
        check(requirements("bias<1"), "gan", NUMBERS, absent)
    assert error.value.details["cure"] is None


def test_a_study_is_no_number():
    with pytest.raises(ValidationError, match=r"power is a study(.|\n)*equivalent_showers"):
        pick("quick", ["power"], False, False)


@pytest.mark.parametrize("text", ["response<2", "response<-1%", "response>-1%"])
def test_a_limit_without_its_unit_or_below_zero_is_refused(text):
    with pytest.raises(ValidationError):
        check(requirements(text), "gan", NUMBERS)


@pytest.mark.parametrize("metrics", ["", " , ", []])
def test_no_metric_at_all_is_refused(metrics):
    with pytest.raises(ValidationError, match="no metric"):
        pick(metrics, [], False, False)


def test_a_percentage_of_something_else_is_refused():
    with pytest.raises(ValidationError):
        check(requirements("shift<2%"), "gan", NUMBERS)


def test_quick_is_what_needs_nothing():
    names = [entry.name for entry in pick("quick", [], False, False)]
    assert names == [entry.name for entry in ENTRIES if not entry.slow and entry.needs is None]
    assert "memory" in {entry.name for entry in pick("quick", [], True, False)}
    assert {entry.name for entry in pick("all", [], True, True)} == {entry.name for entry in ENTRIES}


def test_studies_are_picked_by_name_and_by_number():
    assert [e.name for e in pick("fpd, auc_low", ["separation.hits"], False, False)] == [
        "distributions",
        "frechet",
        "low",
    ]


@pytest.mark.parametrize(("metrics", "required"), [("fdp", []), ("quick", ["auc_hihg"])])
def test_unknown_metrics_name_the_nearest(metrics, required):
    with pytest.raises(ValidationError) as error:
        pick(metrics, required, False, False)
    assert "did you mean" in str(error.value)


@pytest.mark.parametrize("name", ["memorised", "scans", "regions"])
def test_what_is_missing_is_named(name):
    with pytest.raises(ValidationError, match="needs more") as error:
        pick(name, [], False, False)
    assert "--" in str(error.value)


def test_names_of_numbers_are_unique():
    numbers = [number for entry in ENTRIES for number in entry.numbers]
    assert len(set(numbers)) == len(numbers)
