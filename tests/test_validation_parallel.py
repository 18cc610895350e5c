"""Studies in a process of their own say what they say here."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from typing import Any

import pytest

from caloforge.validation.validate import validate
from cluster_toys import DaskToy
from validation_toys import single_layer, toy_showers


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["processes:2", "dask"])
def test_a_cluster_says_the_same(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    samples = [toy_showers(1000, seed, single_layer()) for seed in range(3)]
    metrics = ["auc_high", "auc_trees", "auc_cells", "auc_low", "separation", "fpd"]
    said: list[dict[str, Any]] = []
    (tmp_path / "there").mkdir()
    with ExitStack() as stack:
        if kind == "dask":
            there = stack.enter_context(closing(DaskToy(tmp_path / "there")))
            kind = there.address
        for cluster in (None, kind):
            out = tmp_path / f"report {len(said)}"
            reference, floor, *others = samples
            candidates = {"one": others[0], "two": toy_showers(1000, 4, single_layer())}
            steps: list[int] = []
            validate(
                reference,
                candidates,
                floor=floor,
                out=out,
                metrics=metrics,
                trainings=2,
                cluster=cluster,
                progress=lambda done, *_, steps=steps: steps.append(done),
            )
            assert steps == sorted(steps)
            said.append(json.loads((out / "report.json").read_text()))
    assert len(said[0]["studies"]) == 6
    assert said[0]["studies"] == said[1]["studies"]
    assert said[0]["candidates"] == said[1]["candidates"]


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
