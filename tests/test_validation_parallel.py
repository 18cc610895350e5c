"""Studies in a process of their own say what they say here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from caloforge.validation.validate import validate
from validation_toys import single_layer, toy_showers


@pytest.mark.slow
def test_another_process_says_the_same(tmp_path, monkeypatch):
    reference, floor, candidate = (toy_showers(4200, seed, single_layer()) for seed in range(3))
    said: list[dict[str, Any]] = []
    for threads in ("1", "2"):  # with one thread, nothing is done beside
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        out = tmp_path / threads
        validate(reference, candidate, floor=floor, out=out, metrics=["auc_high", "auc_trees", "separation"])
        said.append(json.loads((out / "report.json").read_text()))
    assert said[0]["studies"] == said[1]["studies"]
    assert said[0]["candidates"] == said[1]["candidates"]
