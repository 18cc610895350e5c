"""Charts of the samples themselves: quality against cost, and showers that occur more than once."""

from __future__ import annotations

import numpy as np

from caloforge.validation.measure import Measure, Number
from caloforge.validation.report.overview import pareto_charts, repeats_chart


def numbers(auc: float, fpd: float) -> dict[str, Number]:
    return {
        "auc_high": Number("auc_high", "AUC", Measure(auc, 0.01, 0.5, 0.02)),
        "fpd": Number("fpd", "FPD", Measure(fpd, 1.0, 3.0, 1.0)),
        "separation": Number("separation", "Separation", Measure(0.1, 0.01, 0.01, 0.01)),
    }


def test_quality_against_cost_has_geant4_at_its_floor():
    first, second = pareto_charts(
        ("Geant4", "gan", "flow"), [numbers(0.9, 50), numbers(0.6, 5)], [900.0, 0.1, 2.0]
    )
    assert (first.key, second.key) == ("pareto.auc_high", "pareto.fpd")
    assert [(p.name, p.x, p.y) for p in first.points] == [
        ("Geant4", 900.0, 0.5),
        ("gan", 0.1, 0.9),
        ("flow", 2.0, 0.6),
    ]
    assert [p.y_error for p in first.points] == [0.02, 0.01, 0.01]


def test_what_has_no_cost_is_left_out_and_one_point_is_no_figure():
    charts = list(
        pareto_charts(("Geant4", "gan", "flow"), [numbers(0.9, 50), numbers(0.6, 5)], [None, 0.1, 2.0])
    )
    assert [[p.name for p in c.points] for c in charts] == [["gan", "flow"]] * 2
    assert not list(pareto_charts(("Geant4", "gan"), [numbers(0.9, 50)], [None, 0.1]))
    assert not list(pareto_charts(("Geant4", "gan"), [{}], [900.0, 0.1]))


def test_repeated_showers_are_shares_of_their_file():
    once = np.arange(200, dtype=np.uint64)
    thrice = np.r_[np.arange(70), np.repeat(np.arange(100, 110), 3)].astype(np.uint64)
    chart = repeats_chart(("Geant4", "gan", "empty"), (once, thrice, once[:0]))
    assert chart is not None
    assert [line.values.tolist() for line in chart.lines] == [[100, 0, 0], [70, 0, 30], [0, 0, 0]]
    assert repeats_chart(("Geant4", "gan"), (once, once[:50])) is None


def test_many_repetitions_share_the_last_bin():
    chart = repeats_chart(("Geant4", "gan"), (np.arange(9, dtype=np.uint64), np.zeros(500, np.uint64)))
    assert chart is not None
    assert chart.lines[1].values[-1] == 100
    assert len(chart.lines[1].values) == 10
    assert "or more" in chart.x
