"""The benchmarks count and compare what they say."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from validation_toys import toy_showers

_BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
# A worker that needs no time: its steps "take" what its first argument says.
_WORKER = """
import json, sys
counts = {"generator": [int(sys.argv[2]), 1]}
print(json.dumps({"counts": counts, "batch": 2, "versions": "none"}), flush=True)
for line in sys.stdin:
    taken = float(sys.argv[1]) * int(line)
    print(json.dumps({"wall": taken, "cpu": 2 * taken}), flush=True)
"""


def _load(path: str) -> ModuleType:
    name = Path(path).stem
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", _BENCHMARKS / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def compare() -> ModuleType:
    return _load("keras/compare.py")


def _worker(compare: ModuleType, kind: str, seconds: float, parameters: int = 10, program: str = _WORKER):
    command = [sys.executable, "-c", program, str(seconds), str(parameters)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    worker = compare.Worker(kind, process)
    worker.facts = worker.listen()
    return worker


def _end(*workers) -> None:
    for worker in workers:
        worker.process.communicate()


def test_ratios_of_the_same_turn(compare: ModuleType) -> None:
    ours, theirs = _worker(compare, "caloforge fp32", 0.1), _worker(compare, "Keras graph", 0.3)
    for steps in (1, 5):
        ours.measure(steps)
        theirs.measure(steps)
    assert ours.wall == pytest.approx([50.0, 50.0])  # ms per shower: 0.1 s for a step of two
    assert ours.cpu == pytest.approx([100.0, 100.0])
    assert compare._ratio(theirs.cpu, ours.cpu) == "3 (3-3)"
    _end(ours, theirs)


def test_other_networks_are_not_compared(compare: ModuleType) -> None:
    workers = [_worker(compare, "caloforge fp32", 0.1), _worker(compare, "Keras graph", 0.1, 11)]
    with pytest.raises(SystemExit, match="not the same networks"):
        compare._same_networks(workers)
    _end(*workers)


def test_worker_that_ends(compare: ModuleType) -> None:
    worker = _worker(compare, "Keras graph", 0.1, program=_WORKER.replace("taken =", "sys.exit(3) #"))
    with pytest.raises(SystemExit, match="Keras graph ended with 3"):
        worker.measure(1)
    _end(worker)


def test_multiplications_are_those_counted_by_hand() -> None:
    generators = _load("generators.py")
    generator = generators.load_generator("gan3d")
    window_times_places = (
        200 * 3136,
        (6 * 6 * 8 * 8 * 64) * (7 * 7 * 8),
        (6 * 5 * 8 * 64 * 6) * (13 * 14 * 9),
        (3 * 3 * 8 * 6 * 6) * 26**3,
        (2 * 2 * 2 * 6 * 1) * 25**3,
    )
    assert generators.multiplications(generator) == sum(window_times_places)
    assert generators.parameters(generator) == 872_808


def test_turns_measure_every_case_equally_often() -> None:
    generators = _load("generators.py")
    calls: list[int] = []
    cases = [generators.Case(str(i), "none", 4, lambda i=i: calls.append(i), ()) for i in range(3)]
    generators._SECONDS = 0.0  # one call a turn
    generators.in_turns(cases, turns=4)
    assert [calls.count(i) for i in range(3)] == [6, 6, 6]  # two that do not count
    assert [len(case.cpu) for case in cases] == [4, 4, 4]


def test_a_narrow_response_keeps_its_mean() -> None:
    given = toy_showers(4000, 1)
    broken = _load("broken_samples.py").FAULTS["narrow"](given)
    before, after = (s.cells.sum(axis=1, dtype=float) / s.incident.energy for s in (given, broken))
    assert after.mean() == pytest.approx(before.mean(), rel=1e-4)
    assert after.std() / before.std() == pytest.approx(0.85, abs=1e-3)
