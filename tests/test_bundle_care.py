"""`caloforge bundle check | show | sanitise | pack`, the numbers of a report, and the schema that ships."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner, Result

from caloforge.cli.bundle import app
from caloforge.deploy import Bundle, Engine, check_bundle, export, sanitise_bundle
from caloforge.deploy.bundle import file_entry
from caloforge.deploy.bundle.notes import strip_notes
from caloforge.deploy.bundle.privacy import clean
from caloforge.deploy.bundle.schema import SCHEMA_FILE, schema_text
from caloforge.deploy.bundle.wire import refers_to_files, statement_in, with_statement
from caloforge.errors import BundleError
from deploy_toys import DETECTOR, make_bundle, make_graph, read_manifest, write_manifest

SECRET = "/home/jane/runs of may/showers.h5"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


def _type(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def _json(*words: object) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(_type(*words, "--json").stdout)
    return content


def _edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = read_manifest(folder)
    change(manifest)
    write_manifest(folder, manifest)


def test_check_says_what_was_checked(folder: Path) -> None:
    result = _type("check", folder)
    assert result.exit_code == 0
    assert "toy, good" in result.output
    assert "2 made again" in result.output
    assert not re.search("unlisted|private|not run", result.output)


def test_check_makes_the_showers_again(folder: Path) -> None:
    _edit(folder, lambda m: m["graphs"]["fp32"]["probe"]["layers_mev"][0].__setitem__(1, 77.0))
    with pytest.raises(BundleError, match="does not make the showers that it made"):
        check_bundle(folder)
    assert Bundle.open(folder).manifest.name == "toy", "which opening alone cannot know"


def test_check_names_what_is_not_listed(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    assert check_bundle(folder).unlisted == ("notes.txt",)
    assert "nothing reads notes.txt" in _type("check", folder).output


def test_check_refuses_with_one_message(folder: Path) -> None:
    (folder / "recipe.yaml").write_text("name: tox\n")
    assert isinstance(_type("check", folder).exception, BundleError)


def test_show(folder: Path) -> None:
    output = _type("show", folder).output
    for words in (
        "e+, energy 1 to 100 GeV",
        "x -2 to 2 mm: the graph does not see",
        "No report was made",
        "fp32",
    ):
        assert words in output
    assert _json("show", folder)["manifest"] == json.loads(Bundle.open(folder).manifest.model_dump_json())


def test_pack_says_the_checksum(folder: Path) -> None:
    said = _json("pack", folder, "--out", folder.with_suffix(".zip"))
    assert said["sha256"] == file_entry(folder.with_suffix(".zip")).sha256


def _personal(folder: Path) -> None:
    """What older bundles, or those of other hands, hold."""
    graph = onnx.load_model_from_string((folder / "generator.onnx").read_bytes())
    statement = statement_in(graph.SerializeToString())
    assert statement is not None
    graph.graph.node[0].doc_string = f'File "{SECRET}", line 3, in forward'
    graph.graph.node[1].metadata_props.add(key="stack_trace", value=SECRET)
    graph.graph.initializer[0].doc_string = "jane"
    (folder / "generator.onnx").write_bytes(graph.SerializeToString())
    (folder / "recipe.yaml").write_text(f"name: toy\ndetector: {SECRET}\n")
    manifest = read_manifest(folder)
    manifest["provenance"] |= {
        "command": f"caloforge train --data '{SECRET}' --out ~/runs/x",
        "environment": {"hostname": "lxplus123", "mail": "written by jane@lxplus.cern.ch"},
    }
    for name in ("generator.onnx", "recipe.yaml"):
        manifest["files"][name] = file_entry(folder / name).model_dump()
    manifest["graphs"]["fp32"]["bytes"] = manifest["files"]["generator.onnx"]["bytes"]
    write_manifest(folder, manifest)


@pytest.mark.parametrize("out", ["clean", "clean.zip"])
def test_sanitise_leaves_no_trace(folder: Path, tmp_path: Path, out: str) -> None:
    _personal(folder)
    before = Bundle.open(folder)
    made = sanitise_bundle(folder, tmp_path / out)
    for word in (b"jane", b"lxplus", b"/home", b"runs"):
        files = [made.bundle.path] if out.endswith("zip") else list(made.bundle.path.iterdir())
        assert not any(word in file.read_bytes() for file in files), word
    where = {found.where for found in made.removed}
    assert {"generator.onnx", "recipe.yaml.detector", "manifest.json.provenance.command"} <= where
    assert check_bundle(made.bundle.path).private == ()
    assert made.bundle.manifest.provenance["command"] == "caloforge train --data 'showers.h5' --out x"
    showers = [Engine(bundle, threads=1).generate([5e3], seed=1).cells for bundle in (before, made.bundle)]
    assert (showers[0] == showers[1]).all()


def test_check_warns_before_it_is_shared(folder: Path) -> None:
    _personal(folder)
    output = _type("check", folder).output
    assert f"caloforge bundle sanitise {folder}" in output
    assert "lxplus123" in output
    assert len(_json("check", folder)["private"]) == len(
        _json("sanitise", folder, "--out", f"{folder}2")["removed"]
    )


def test_a_detector_with_a_path_gets_another_digest(folder: Path, tmp_path: Path) -> None:
    text = DETECTOR.to_yaml().replace('about: ""', f'about: "as in {SECRET}"')
    assert text != DETECTOR.to_yaml()
    detector = type(DETECTOR).from_yaml(text)
    (folder / "detector.yaml").write_text(detector.to_yaml())
    graph = onnx.load_model_from_string((folder / "generator.onnx").read_bytes())
    graph.metadata_props[0].value = graph.metadata_props[0].value.replace(DETECTOR.digest, detector.digest)
    (folder / "generator.onnx").write_bytes(graph.SerializeToString())

    def change(manifest: dict[str, Any]) -> None:
        manifest["detector"]["digest"] = detector.digest
        for name in ("detector.yaml", "generator.onnx"):
            manifest["files"][name] = file_entry(folder / name).model_dump()

    _edit(folder, change)
    made = sanitise_bundle(folder, tmp_path / "clean").bundle
    assert "jane" not in made.detector.about
    assert made.manifest.detector.digest == made.detector.digest != detector.digest


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/jane/showers.h5", "showers.h5"),
        (SECRET, "showers.h5"),
        ("C:\\Users\\Jane Doe\\showers.h5", "showers.h5"),
        ("\\\\server\\share\\showers.h5", "showers.h5"),
        ("file:///eos/user/j/showers.h5", "showers.h5"),
        ("from ~/a/b.h5 and ../c.h5", "from b.h5 and c.h5"),
        ("--data=/eos/user/j/a.h5 --out '/tmp/a b/run'", "--data=a.h5 --out 'run'"),
        ("/home/jane", "(removed)"),
        ("ask jane.doe@cern.ch", "ask (removed)"),
        ("on lxplus42 by janedoe", "on (removed) by (removed)"),
        *(
            (text, text)
            for text in ("MeV/mm", "e+/e- at 3/4", "2-500 GeV / e-", "arXiv:1705.02355", "a ~ b", "/")
        ),
        *((text, text) for text in ("https://github.com/a/b/c", "EPJC 82:386", "janedoes")),
    ],
)
def test_what_tells_of_people_and_machines(text: str, kept: str) -> None:
    tree, found = clean({"key": [text]}, "file", ("lxplus42", "janedoe"))
    assert tree == {"key": [kept]}
    assert bool(found) == (text != kept)


def test_export_writes_no_paths(toy_export: Bundle, toy_run: Path) -> None:
    assert check_bundle(toy_export.path).private == ()
    assert str(toy_run).encode() not in toy_export.graph()
    assert b"site-packages" not in toy_export.graph()
    model = onnx.load_model_from_string(toy_export.graph())
    assert [entry.key for entry in model.metadata_props] == ["caloforge"]
    assert len(strip_notes(model)) == 1, "the statement"


def test_licence_and_citation(toy_export: Bundle) -> None:
    assert toy_export.manifest.licence == "CC-BY-4.0"
    assert toy_export.manifest.citation == "arXiv:1705.02355", "the paper of the recipe"


def test_a_report_goes_into_the_bundle(toy_export: Bundle, toy_report: Path) -> None:
    found = toy_export.manifest.report
    numbers = json.loads((toy_report / "report.json").read_text())["candidates"]["own"]["numbers"]
    assert found != "not made"
    assert found.files["candidate"].showers == 200
    assert found.files["reference"].name == "geant4.h5"
    assert (found.showers_compared, found.floor) == (200, "halves of the reference")
    assert found.figures["response"].value == numbers["response"]["value"]
    assert found.figures["response"].floor == numbers["response"]["floor"]
    output = _type("show", toy_export.path).output
    assert "Response, difference to Geant4" in output
    assert "halves of the reference" in output


def test_a_report_about_others_is_refused(toy_run: Path, toy_report: Path, tmp_path: Path) -> None:
    other = shutil.copytree(toy_report, tmp_path / "other")
    content = json.loads((other / "report.json").read_text())
    generator = content["candidates"]["own"]["provenance"]["generator"]
    for change in ({"weights_sha256": "0" * 64}, {"precision": "int8"}):
        content["candidates"]["own"]["provenance"]["generator"] = generator | change
        (other / "report.json").write_text(json.dumps(content))
        with pytest.raises(BundleError, match="not about this generator"):
            export(toy_run, tmp_path / "bundle", report=other)
    del content["candidates"]["own"]["provenance"]["generator"]
    (other / "report.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match="not about this generator") as caught:
        export(toy_run, tmp_path / "bundle", report=other)
    assert "does not say what made it" in str(caught.value)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("text", ["", "[1]", '{"schema": 1}', '{"schema": 2}'])
def test_no_report(toy_run: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(BundleError, match="report"):
        export(toy_run, tmp_path / "bundle", report=tmp_path)


def test_the_schema_that_ships_is_that_of_the_manifest() -> None:
    shipped = SCHEMA_FILE.read_text(encoding="utf-8")
    assert shipped == schema_text(), "python -m caloforge.deploy.bundle.schema"
    assert json.loads(shipped)["properties"]["sha256"]["description"].startswith("Of the manifest")


def test_a_statement_is_read_as_onnx_reads_it() -> None:
    content = with_statement(make_graph().SerializeToString(), '{"é": 1}')
    entries = onnx.load_model_from_string(content).metadata_props
    assert [(entry.key, entry.value) for entry in entries] == [("caloforge", '{"é": 1}')]
    assert statement_in(content) == '{"é": 1}'
    assert statement_in(with_statement(content, "another")) is None, "two statements are none"
    for broken in (b"", content[:-1], bytes(range(256)), make_graph().SerializeToString()):
        assert statement_in(broken) is None


def _external() -> onnx.TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="secret.bin")
    return tensor


def test_weights_in_other_files_are_found_wherever_they_hide() -> None:
    assert not refers_to_files(make_graph().SerializeToString())
    constant = helper.make_node("Constant", [], ["c"], value=_external())
    branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("c", 1, [1])])
    hidden = (
        constant,
        helper.make_node("Constant", [], ["c"], sparse_value=onnx.SparseTensorProto(values=_external())),
        helper.make_node("If", ["c"], ["d"], then_branch=branch, else_branch=branch),
    )
    for node in hidden:
        model = make_graph()
        model.graph.node.append(node)
        assert refers_to_files(model.SerializeToString())
    model = make_graph()
    model.functions.append(
        helper.make_function("here", "f", [], ["c"], [constant], [helper.make_opsetid("", 20)])
    )
    assert refers_to_files(model.SerializeToString())
