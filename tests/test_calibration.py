"""What an engine runs with: as told, as measured and kept, or sound by default."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import caloforge as cf
from caloforge import machine
from caloforge.deploy import Bundle, Engine
from caloforge.deploy.bundle import GRAPH_FILE, file_entry
from caloforge.deploy.runtimes import CACHE_VARIABLE, calibrate, installed_runtimes, kept
from caloforge.deploy.runtimes.calibration import Calibration, Timing, choose
from caloforge.errors import BundleError
from deploy_toys import make_bundle, make_graph, read_manifest, write_manifest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


def _timing(runtime: str, batch: int, ms: float, precision: str = "fp32", threads: int = 1) -> Timing:
    return Timing(runtime=runtime, precision=precision, threads=threads, batch=batch, ms_per_shower=ms)


def _keep(bundle: Path, *timings: Timing) -> None:
    """Measure for real, then put these in place of what was measured."""
    measured, path = calibrate(bundle, threads=[1])
    assert path is not None
    path.write_text(measured.model_copy(update={"timings": timings}).model_dump_json())


def _reduced(bundle: Path, accepted: bool) -> Path:
    """Give the toy a second graph, the same one, that it says is in bf16."""
    manifest = read_manifest(bundle)
    graph = manifest["graphs"]["fp32"] | {"file": "bf16.onnx"}
    graph["acceptance"] = {"required": "auc<0.6", "figures": {}} if accepted else None
    (bundle / "bf16.onnx").write_bytes((bundle / GRAPH_FILE).read_bytes())
    manifest["graphs"]["bf16"] = graph
    manifest["files"]["bf16.onnx"] = file_entry(bundle / "bf16.onnx").model_dump()
    write_manifest(bundle, manifest)
    return bundle


def test_it_measures_every_choice_and_engines_find_it(bundle: Path, cache: Path) -> None:
    seen: list[int] = []
    measured, path = calibrate(bundle, threads=[1, 2], progress=lambda done, _total, _note: seen.append(done))
    found = {(timing.runtime, timing.threads) for timing in measured.timings}
    runtimes = [name for name in installed_runtimes() if f"{name} fp32" not in measured.failed]
    assert found == {(name, threads) for name in runtimes for threads in (1, 2)}
    assert {timing.batch for timing in measured.timings} >= {1, 4, 16, 64}
    assert seen == list(range(1, len(seen) + 1))
    assert path is not None
    assert path.parent == cache
    content = json.loads(path.read_text())
    assert content["processor"] == machine.processor()
    assert content["bundle"] == "toy"
    assert kept(Bundle.open(bundle)) == measured
    best = choose(measured.timings, ["fp32"], None, None)
    assert best is not None
    engine = Engine(bundle)
    assert (engine.runtime, engine.threads, engine.batch) == (best.runtime, best.threads, best.batch)


def test_without_a_measurement_what_is_sound(bundle: Path, cache: Path) -> None:
    engine = Engine(bundle)
    assert (engine.runtime, engine.precision) == ("onnxruntime", "fp32")
    assert (engine.threads, engine.batch) == (machine.usable_cores(), None)
    assert not cache.exists(), "an engine never measures by itself"


def test_the_choice_is_the_least_product_of_single_and_many() -> None:
    timings = [
        *(
            _timing("onnxruntime", 1, 1.0),
            _timing("onnxruntime", 64, 0.50),
            _timing("onnxruntime", 256, 0.49),
        ),
        *(_timing("openvino", 1, 0.4), _timing("openvino", 64, 1.0)),
        _timing("onnxruntime", 1, 0.1, threads=2),
        _timing("openvino", 1, 0.01, precision="int8"),
    ]
    best = choose(timings, ["fp32"], 1, None)
    assert best is not None
    assert (best.runtime, best.batch) == ("openvino", 1), "0.4 x 0.4 < 1 x 0.49"
    named = choose(timings, ["fp32"], 1, "onnxruntime")
    assert named is not None
    assert named.batch == 64, "as fast as 256, with less memory"
    assert choose(timings, ["fp32"], None, None) == timings[5]
    assert choose(timings, ["fp32", "int8"], 1, None) == timings[6]
    assert choose(timings, ["fp32"], 7, None) is None


def test_what_is_told_is_kept_to(bundle: Path) -> None:
    _keep(bundle, _timing("openvino", 16, 0.1), _timing("onnxruntime", 64, 0.2))
    assert Engine(bundle).runtime == "openvino"
    told = Engine(bundle, threads=1, runtime="onnxruntime")
    assert (told.runtime, told.batch) == ("onnxruntime", 64)
    assert Engine(bundle, threads=2).runtime == "onnxruntime", "two threads were not measured"


def test_a_measured_batch_cuts_the_calls_and_not_the_showers(bundle: Path) -> None:
    energies = np.linspace(2e3, 9e4, 40)
    whole = Engine(bundle, threads=1).generate(energies, seed=3).cells
    _keep(bundle, _timing("onnxruntime", 7, 0.1))
    engine = Engine(bundle, threads=1)
    sizes: list[int] = []
    run = engine._runtime.run
    engine._runtime.run = lambda noise, incident: [sizes.append(len(noise)), run(noise, incident)][1]  # type: ignore[method-assign]
    np.testing.assert_allclose(engine.generate(energies, seed=3).cells, whole, rtol=1e-5)
    assert sizes == [7, 7, 7, 7, 7, 5]


def test_reduced_precision_only_if_asked_and_accepted(bundle: Path) -> None:
    timings = _timing("onnxruntime", 1, 1.0), _timing("onnxruntime", 1, 0.1, precision="bf16")
    _keep(_reduced(bundle, accepted=False), *timings)
    assert Engine(bundle, precision="auto").precision == "fp32"
    _keep(_reduced(bundle, accepted=True), *timings)
    assert Engine(bundle).precision == "fp32", "the same seed gives the same showers by default"
    engine = Engine(bundle, precision="auto")
    assert engine.precision == "bf16"
    manifest = read_manifest(bundle)
    assert engine.origin["graph_sha256"] == manifest["files"]["bf16.onnx"]["sha256"]


def test_names_near_by(bundle: Path) -> None:
    with pytest.raises(BundleError) as caught:
        Engine(bundle, precision="fp23")
    assert caught.value.details["did you mean"] == "fp32"


_DAMAGED = {
    "empty": "",
    "no JSON": "{",
    "a list": "[]",
    "cut": None,
    "of another shape": '{"timings": []}',
    "impossible": "threads",
}


@pytest.mark.parametrize("damage", _DAMAGED)
def test_a_damaged_file_is_as_none(bundle: Path, damage: str) -> None:
    _, path = calibrate(bundle, threads=[1])
    assert path is not None
    content = path.read_text()
    changed = {
        "cut": content[: len(content) // 2],
        "impossible": content.replace('"threads": 1', '"threads": 0'),
    }
    path.write_text(changed.get(damage) or _DAMAGED[damage] or "")
    assert kept(Bundle.open(bundle)) is None
    assert Engine(bundle).batch is None
    again, _ = calibrate(bundle, threads=[1])
    assert kept(Bundle.open(bundle)) == again


def test_a_runtime_that_nobody_knows_is_not_taken_from_a_file(bundle: Path) -> None:
    _keep(bundle, _timing("tensorflow", 1, 0.001))
    assert Engine(bundle).runtime == "onnxruntime"


def test_a_folder_that_cannot_be_written(bundle: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    measured, path = calibrate(bundle, threads=[1])
    assert path is None
    assert measured.timings
    assert Engine(bundle).runtime == "onnxruntime"


def test_another_bundle_or_machine_is_measured_for_itself(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, _ = calibrate(bundle, threads=[1])
    other = make_bundle(tmp_path / "other", particles=[11])
    assert kept(Bundle.open(other)) is None
    assert kept(Bundle.open(bundle)) == measured
    monkeypatch.setattr(machine, "processor", lambda: "another processor, 64 cores")
    assert kept(Bundle.open(bundle)) is None


def test_it_is_one_call_in_python(bundle: Path) -> None:
    measured, path = cf.calibrate(bundle, threads=[1])
    assert isinstance(measured, Calibration)
    assert path


def test_a_graph_that_nothing_can_run_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    other = make_bundle(tmp_path / "other", make_graph(output="energies"))
    with pytest.raises(BundleError, match="not what its manifest says"):
        calibrate(other)
    assert not cache.exists()
