"""A bundle is untrusted input: whatever is wrong with it gives one clear error."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caloforge.deploy import Bundle
from caloforge.deploy.bundle import file_entry
from caloforge.errors import BundleError
from deploy_toys import DETECTOR, make_bundle, make_graph, read_manifest, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


def test_a_good_bundle_opens(folder: Path) -> None:
    bundle = Bundle.open(folder)
    assert bundle.detector == DETECTOR
    assert bundle.manifest.valid.energy.max == 1e5
    assert bundle.graph() == (folder / "generator.onnx").read_bytes()


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        manifest = read_manifest(folder)
        change(manifest)
        write_manifest(folder, manifest)

    return damage


def _text(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "manifest.json").write_text(text) and None


def _flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / "generator.onnx").read_bytes())
    content[-1] ^= 1
    (folder / "generator.onnx").write_bytes(content)


def _link_out(folder: Path) -> None:
    outside = folder.parent / "recipe.yaml"
    (folder / "recipe.yaml").rename(outside)
    (folder / "recipe.yaml").symlink_to(outside)


def _pipe(folder: Path) -> None:
    (folder / "recipe.yaml").unlink()
    os.mkfifo(folder / "recipe.yaml")


def _other_detector(folder: Path) -> None:
    text = DETECTOR.to_yaml().replace("5 MeV", "6 MeV").replace("5.0 MeV", "6.0 MeV")
    assert text != DETECTOR.to_yaml()
    _rewrite(folder, "detector.yaml", text)


def _broken_detector(folder: Path) -> None:
    _rewrite(folder, "detector.yaml", "name: [")


def _rewrite(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    _edit(lambda m: m["files"].update({name: file_entry(folder / name).model_dump()}))(folder)


def _promise_more(manifest: dict[str, Any]) -> None:
    """As a forger would: the range is the same in both places of the manifest."""
    manifest["valid"]["energy"]["max"] = manifest["provenance"]["data"]["energy"][1] = 1e6


def _other_graph(folder: Path) -> None:
    (folder / "generator.onnx").write_bytes(make_graph().SerializeToString())
    entry = file_entry(folder / "generator.onnx").model_dump()
    _edit(
        lambda m: (
            m["files"].update({"generator.onnx": entry}),
            m["graphs"]["fp32"].update(bytes=entry["bytes"]),
        )
    )(folder)


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "no manifest"),
    "manifest is a folder": (
        lambda f: ((f / "manifest.json").unlink(), (f / "manifest.json").mkdir()),
        "not a regular file",
    ),
    "manifest empty": (_text(""), "not JSON"),
    "manifest cut": (lambda f: _text((f / "manifest.json").read_text()[:200])(f), "not JSON"),
    "manifest binary": (lambda f: (f / "manifest.json").write_bytes(bytes(range(256))), "not a text file"),
    "manifest nested": (_text("[" * 200_000), "not JSON"),
    "manifest huge": (_text(" " * (17 * 2**20)), "too long"),
    "manifest a list": (_text("[1, 2]"), "not a JSON object"),
    "manifest of something else": (_text('{"name": "x"}'), "not the manifest of a caloforge bundle"),
    "newer": (_edit(lambda m: m.update(schema_version=99)), "newer caloforge"),
    "older": (_edit(lambda m: m.update(schema_version=0)), "older caloforge"),
    "version a text": (_edit(lambda m: m.update(schema_version="1")), "not the manifest"),
    "unknown key": (_edit(lambda m: m.update(colour="red")), "colour"),
    "key gone": (_edit(lambda m: m.pop("valid")), "valid"),
    "wrong type": (_edit(lambda m: m["valid"]["energy"].update(min="low")), "valid.energy.min"),
    "range upside down": (_edit(lambda m: m["valid"]["energy"].update(min=1e9)), "above max"),
    "NaN range": (_edit(lambda m: m["valid"]["energy"].update(min=float("nan"))), "NaN is not a number"),
    "bad checksum text": (
        _edit(lambda m: m["files"]["recipe.yaml"].update(sha256="../../etc/passwd")),
        "sha256",
    ),
    "unknown precision": (_edit(lambda m: m["graphs"].update(fp1=m["graphs"]["fp32"])), "graphs.fp1"),
    "no full precision": (_edit(lambda m: m.update(graphs={"int8": m["graphs"]["fp32"]})), "fp32"),
    "path out of the folder": (_edit(lambda m: m["files"].update({"../x": _entry()})), "plain name"),
    "absolute path": (_edit(lambda m: m["files"].update({"/etc/passwd": _entry()})), "plain name"),
    "dots": (_edit(lambda m: m["files"].update({"..": _entry()})), "plain name"),
    "graph elsewhere": (_edit(lambda m: m["graphs"]["fp32"].update(file="../g.onnx")), "leaves out files"),
    "graph not listed": (_edit(lambda m: m["files"].pop("generator.onnx")), "leaves out files"),
    "graph missing": (lambda f: (f / "generator.onnx").unlink(), "is missing"),
    "detector missing": (lambda f: (f / "detector.yaml").unlink(), "is missing"),
    "graph cut": (lambda f: os.truncate(f / "generator.onnx", 100), "wrong size"),
    "graph changed": (_flip_a_byte, "checksum is wrong"),
    "link that leaves": (_link_out, "link that leaves"),
    "a pipe": (_pipe, "not a regular file"),
    "manifest changed": (
        lambda f: _text((f / "manifest.json").read_text().replace("100000.0", "900000.0"))(f),
        "its checksum is wrong",
    ),
    "no checksum": (
        lambda f: _text((f / "manifest.json").read_text().replace('"sha256"', '"sha257"'))(f),
        "its checksum is wrong",
    ),
    "other detector": (_other_detector, "detector.digest"),
    "broken detector": (_broken_detector, "detector cannot be read"),
    "other number of cells": (_edit(lambda m: m["output"].update(shape=[21])), "output.shape"),
    "other name of the detector": (_edit(lambda m: m["detector"].update(name="toy2")), "detector.name"),
    "a layer less": (_edit(lambda m: m["detector"]["layers"].pop()), "detector.layers"),
    "other first cell": (
        _edit(lambda m: m["detector"]["layers"][1].update(first_cell=4)),
        "detector.layers",
    ),
    "other axes": (_edit(lambda m: m["detector"]["layers"][0].update(axes=["y", "x"])), "detector.layers"),
    "other shape": (_edit(lambda m: m["detector"]["layers"][0].update(shape=[2, 8])), "detector.layers"),
    "other threshold": (_edit(lambda m: m.update(threshold_mev=0.5)), "threshold_mev"),
    "no threshold": (_edit(lambda m: m.update(threshold_mev=None)), "threshold_mev"),
    "other unit of the energy": (_edit(lambda m: m["inputs"][1].update(units=["GeV"])), "inputs.1.units"),
    "other column": (_edit(lambda m: m["inputs"][1].update(columns=["theta"])), "inputs.1.units"),
    "unknown column": (_edit(lambda m: m["inputs"][1].update(columns=["eta"])), "inputs.1"),
    "columns out of order": (
        _edit(lambda m: m["inputs"][1].update(columns=["x", "energy"], units=["mm", "MeV"], shape=[2])),
        "inputs.1.columns",
    ),
    "a column twice": (
        _edit(lambda m: m["inputs"][1].update(columns=["x", "x"], units=["mm", "mm"], shape=[2])),
        "inputs.1",
    ),
    "other unit of the noise": (_edit(lambda m: m["inputs"][0].update(units=["MeV"])), "inputs.0.units"),
    "other unit of the cells": (_edit(lambda m: m["output"].update(units=["GeV"])), "output.units"),
    "wider range": (_edit(lambda m: m["valid"]["energy"].update(max=1e6)), "valid.energy"),
    "other unit of the range": (_edit(lambda m: m["valid"]["energy"].update(unit="rad")), "valid.energy"),
    "another particle": (_edit(lambda m: m["valid"].update(particles=[22])), "valid.particles"),
    "no data": (_edit(lambda m: m.update(provenance={})), "valid.particles"),
    "data of another kind": (_edit(lambda m: m["provenance"].update(data=[3])), "valid.particles"),
    "other size of the graph": (_edit(lambda m: m["graphs"]["fp32"].update(bytes=3)), "graphs.fp32.bytes"),
    "a range forged in both places": (_edit(_promise_more), "contradicts what the graph says of itself"),
    "a graph that says nothing": (_other_graph, "does not say what it is for"),
    "parity never measured": (_edit(lambda m: m["graphs"]["fp32"]["parity"].update(showers=0)), "parity"),
    "probe of other layers": (
        _edit(lambda m: m["graphs"]["fp32"]["probe"].update(layers_mev=[[1.0], [2.0]])),
        "graphs.fp32.probe",
    ),
    "probe of nothing": (
        _edit(lambda m: m["graphs"]["fp32"]["probe"].update(layers_mev=[], incident=[])),
        "graphs.fp32.probe",
    ),
    "parity that failed": (_edit(lambda m: m["graphs"]["fp32"]["parity"].update(max_relative=0.5)), "parity"),
}


def _entry() -> dict[str, Any]:
    return {"bytes": 1, "sha256": "0" * 64}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(folder: Path, name: str) -> None:
    damage, words = DAMAGE[name]
    damage(folder)
    with pytest.raises(BundleError) as caught:
        Bundle.open(folder)
    assert words in str(caught.value)
    assert str(folder) in str(caught.value), "the error must say where"


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such bundle"):
        Bundle.open(tmp_path / "nothing")


def test_manifest_says_units_and_ranges(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["output"]["units"] == ["MeV"]
    assert Bundle.open(folder).manifest.inputs[1].columns == ("energy",)


def test_graph_of_another_shape_is_refused(tmp_path: Path) -> None:
    from caloforge.deploy import Engine

    folder = make_bundle(tmp_path / "bundle", make_graph(output="energies"))
    with pytest.raises(BundleError, match="not what its manifest says"):
        Engine(folder)
