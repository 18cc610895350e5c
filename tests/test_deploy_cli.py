"""The verbs `generate` and `bench` (and `export`'s refusals) as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from inspect import Parameter, signature
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

import caloforge as cf
from caloforge.cli.bench import bench
from caloforge.cli.export import export, show
from caloforge.cli.generate import generate
from caloforge.deploy import Bundle, pack_bundle
from caloforge.deploy.bench import bench_table
from caloforge.errors import BundleError, CaloforgeError, OutputError, QuantityError, RangeError
from caloforge.showers import Showers
from deploy_toys import make_bundle

APP = typer.Typer()
for verb in (bench, export, generate):
    APP.command()(verb)


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    return str(make_bundle(tmp_path / "bundle"))


def _type(*words: object) -> Result:
    return CliRunner().invoke(APP, [str(word) for word in words])


def _error(*words: object) -> BaseException | None:
    return _type(*words).exception


@pytest.mark.parametrize(
    ("typed", "called"),
    [
        (bench, cf.bench),
        (bench, bench_table),
        (export, cf.export),
        (export, cf.export_hls),
        (export, cf.export_host),
        (generate, cf.generate),
    ],
)
def test_command_and_python_do_the_same_when_told_nothing(
    typed: Callable[..., object], called: Callable[..., object]
) -> None:
    """Lists are typed with commas, and what Python wants may be an option here."""
    ours, theirs = (signature(function).parameters for function in (typed, called))
    both = [name for name in theirs if name in ours and theirs[name].default is not Parameter.empty]
    assert both
    for name in both:
        wanted = theirs[name].default
        text = ",".join(map(str, wanted)) if isinstance(wanted, tuple) else wanted
        assert ours[name].default == text, name


def test_generate(bundle: str, tmp_path: Path) -> None:
    out = tmp_path / "a.h5"
    result = _type("generate", bundle, "--energy", "1:100GeV", "--count", 30, "--seed", 3, "--out", out)
    assert "30 showers of toy" in result.output
    assert len(Showers.load(out)) == 30


def test_generate_json(bundle: str, tmp_path: Path) -> None:
    words = ("--energy", "200GeV", "--count", 3, "--outside", "warn", "--json", "--out", tmp_path / "a.h5")
    content = json.loads(_type("generate", bundle, *words).stdout)
    assert content["showers"] == 3
    assert "200 GeV" in content["outside"][0]


def test_generate_refuses(bundle: str, tmp_path: Path) -> None:
    words = ("--count", 3, "--out", tmp_path / "a.h5")
    assert isinstance(_error("generate", bundle, "--energy", "200GeV", *words), RangeError)
    assert isinstance(_error("generate", bundle, "--energy", "200", *words), QuantityError)
    assert isinstance(_error("generate", bundle, *words), CaloforgeError)


def test_bench(bundle: str) -> None:
    output = _type("bench", bundle, "--seconds", 0.02, "--batch", "1,4").output
    assert "Time per shower: toy" in output
    assert "--geant4 measures it now" in output
    content = json.loads(_type("bench", bundle, "--seconds", 0.02, "--batch", "2", "--json").stdout)
    assert [row["batch"] for row in content["rows"]] == [2]


def test_bench_wants_numbers(bundle: str) -> None:
    error = _error("bench", bundle, "--batch", "1,many")
    assert isinstance(error, CaloforgeError)
    assert "1,many" in str(error)


def test_export_wants_the_run_and_not_its_bundle(bundle: str, tmp_path: Path) -> None:
    for source in (bundle, pack_bundle(bundle, tmp_path / "toy.zip").path):
        error = _error("export", source, "--out", tmp_path / "b", "--precision", "fp32,bf16")
        assert isinstance(error, BundleError)
        assert "a bundle already" in str(error)
        assert not (tmp_path / "b").exists()


def test_export_refuses(bundle: str, tmp_path: Path) -> None:
    error = _error("export", tmp_path, "--out", tmp_path / "b", "--precision", "fp31")
    assert isinstance(error, BundleError)
    assert isinstance(_error("export", tmp_path, "--out", bundle), OutputError)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cpp", "--precision", "fp32,int8"], "--precision has no meaning for --cpp"),
        (["--host", "par04", "--accept", "auc_low<+0.01"], "--accept has no meaning for --host"),
        (["--host", "par04", "--reference", "f.h5"], "--reference has no meaning for --host"),
        (["--hls", "--floor", "f.h5"], "--floor has no meaning for --hls"),
        (["--cpp", "--licence", "MIT"], "--licence has no meaning for --cpp"),
        (["--particle", "e-"], "--particle has no meaning for a bundle"),
        (["--bits", "8,10,12,16"], "--bits has no meaning for a bundle"),
        (["--cpp", "--hls"], "one thing at a time"),
        (["--host", ""], "no such host"),
        (["--hls", "--bits", "8,many"], "8,many"),
    ],
)
def test_export_refuses_what_has_no_meaning(
    bundle: str, tmp_path: Path, options: list[str], words: str
) -> None:
    error = _error("export", bundle, "--out", tmp_path / "b", *options)
    assert isinstance(error, CaloforgeError)
    assert words in str(error)
    assert not (tmp_path / "b").exists()


def test_export_says_range_and_parity(bundle: str, capsys: pytest.CaptureFixture[str]) -> None:
    _type("bench", bundle, "--seconds", 0.02, "--batch", "1")  # leaves --json off
    show(Bundle.open(bundle))
    output = capsys.readouterr().out
    assert "1 to 100 GeV" in output
    assert "parity" in output
