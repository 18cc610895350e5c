"""The card counts what is in the graph; the table holds every engine, its memory and its energy."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from caloforge.cli.main import app
from caloforge.deploy.bench import bench, bench_table
from caloforge.deploy.bench.card import Card
from caloforge.deploy.bench.energy import EnergyMeter
from caloforge.deploy.operations import Operations, count_operations
from caloforge.deploy.runtimes import CACHE_VARIABLE, installed_runtimes
from caloforge.errors import CaloforgeError, OutputError
from deploy_toys import LATENT, make_bundle, make_graph

_table = partial(bench_table, batches=(1, 16), seconds=0.02)
_RNG = np.random.default_rng(1)


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return make_bundle(tmp_path / "bundle")


def _graph(kind: str, image: list[int], kernel: list[int], **attributes: object) -> bytes:
    """One operator with a weight, for any batch."""
    weight = numpy_helper.from_array(_RNG.normal(size=kernel).astype(np.float32), "weight")
    node = helper.make_node(kind, ["noise", "weight"], ["cells"], **attributes)
    ports = [
        helper.make_tensor_value_info("noise", TensorProto.FLOAT, ["batch", *image]),
        helper.make_tensor_value_info("cells", TensorProto.FLOAT, ["batch", *[None] * len(image)]),
    ]
    graph = helper.make_graph([node], "one", ports[:1], ports[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("graph", "macs"),
    [
        (_graph("MatMul", [7], [7, 5]), 7 * 5),
        (_graph("MatMul", [3, 7], [7, 5]), 3 * 7 * 5),
        (_graph("Gemm", [7], [5, 7], transB=1), 7 * 5),
        (_graph("Conv", [4, 9, 9], [6, 4, 3, 3]), 6 * 7 * 7 * 4 * 3 * 3),
        (_graph("Conv", [4, 9, 9], [4, 1, 3, 3], group=4, pads=[1, 1, 1, 1]), 4 * 9 * 9 * 3 * 3),
        (_graph("Conv", [2, 5, 5, 5], [3, 2, 2, 2, 2]), 3 * 4**3 * 2 * 2**3),
        (_graph("ConvTranspose", [4, 5, 5], [4, 6, 3, 3], strides=[2, 2]), 4 * 5 * 5 * 6 * 3 * 3),
        (_graph("Einsum", [3, 7], [3, 7, 5], equation="bij, ijk -> bik"), 3 * 7 * 5),
    ],
)
def test_multiplications_are_those_counted_by_hand(graph: bytes, macs: int) -> None:
    counted = count_operations(graph)
    assert (counted.macs, counted.uncounted, counted.nodes) == (macs, (), 1)


def test_weights_of_the_toy() -> None:
    counted = count_operations(make_graph().SerializeToString())
    assert counted.macs == counted.weights == LATENT * 20
    assert counted.weight_bytes == 4 * LATENT * 20
    assert counted.nodes == 3


def test_what_has_no_shape_is_said() -> None:
    model = onnx.load_model_from_string(make_graph().SerializeToString())
    model.graph.node[0].op_type, model.graph.node[0].domain = "Riddle", "somebody"
    model.opset_import.append(helper.make_opsetid("somebody", 1))
    model.graph.node.append(helper.make_node("MatMul", ["linear", "weight"], ["more"]))
    assert count_operations(model.SerializeToString()).uncounted == ("MatMul",)


def test_the_limit_is_products_or_bytes() -> None:
    def card(macs: int, weight_bytes: int) -> Card:
        operations = Operations(macs, 0, weight_bytes, 1, ())
        return Card("toy", "onnxruntime", "fp32", 1, operations, weight_bytes, 1000, 1e9, 1e6)

    assert card(1_000_000, 0).best_ms(1) == pytest.approx(2.0), "2 operations each, a billion a second"
    assert card(0, 9000).best_ms(1) == pytest.approx(10.0), "10 kB at 1 kB per ms"
    assert card(0, 9000).best_ms(9) == pytest.approx(2.0)
    assert card(1_000_000, 0).share_of_best(1, 4.0) == pytest.approx(0.5)


def _powercap(root: Path, **counters: tuple[int, int]) -> None:
    for name, (energy, wrap) in counters.items():
        zone = root / name.replace("_", ":")
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "energy_uj").write_text(f"{energy}\n")
        (zone / "max_energy_range_uj").write_text(f"{wrap}\n")


def test_energy_of_all_packages_once(tmp_path: Path) -> None:
    _powercap(tmp_path, **{"intel-rapl:0": (10, 100), "intel-rapl:1": (95_000_000, 100_000_000)})
    _powercap(tmp_path, **{"intel-rapl:0:0": (1, 100)})  # a part of package 0
    meter = EnergyMeter(tmp_path)
    _powercap(tmp_path, **{"intel-rapl:0": (60, 100), "intel-rapl:1": (5_000_000, 100_000_000)})
    assert meter.joules() == pytest.approx(10.00005), "the second counter began again"


def test_a_machine_that_does_not_tell(tmp_path: Path) -> None:
    assert EnergyMeter(tmp_path).joules() is None
    _powercap(tmp_path, **{"intel-rapl:0": (10, 100)})
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("secret")
    assert EnergyMeter(tmp_path).joules() is None


def test_a_card_comes_before_the_timing(bundle: Path) -> None:
    cards: list[Card] = []
    order: list[str] = []
    result = bench(
        bundle,
        batches=(4,),
        seconds=0.02,
        show_card=lambda card: (cards.append(card), order.append("card"))[0],
        progress=lambda *_: order.append("timing"),
    )
    assert order == ["card", "timing"]
    assert result.card == cards[0]
    assert cards[0].flops > 1e8
    assert cards[0].bytes_per_s > 1e7
    assert 0 < result.rows[0]["share_of_best"] < 1
    assert any("160" in line and "weights" in line for line in cards[0].lines())


def test_a_table_of_every_engine(bundle: Path, tmp_path: Path) -> None:
    seen: list[str] = []
    out = tmp_path / "page.md"
    table = _table(
        [bundle], out=out, command="caloforge bench ...", progress=lambda *told: seen.append(told[2])
    )
    runtimes = [name for name in installed_runtimes() if f"toy fp32 {name}" not in table.failed]
    assert [(row["runtime"], row["batch"]) for row in table.rows] == [
        (name, batch) for name in runtimes for batch in (1, 16)
    ]
    for row in table.rows:
        assert 20 < row["peak_memory_mb"] < 2000
        assert 0 < row["cpu_use"] < 3
        assert 0 < row["share_of_best"] < 1
    assert len(seen) == len(runtimes) + len(table.failed)
    page = out.read_text()
    assert page.startswith("# What a shower costs (20")
    assert "caloforge bench ..." in page
    assert page.count("| toy |") == len(table.rows)
    assert all(runtime in page for runtime in runtimes)
    with pytest.raises(OutputError):
        _table([bundle], out=out)


def test_tables_as_json_and_as_a_verb(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "table.json"
    asked = [
        "bench",
        str(bundle),
        "--table",
        "--batch",
        "1",
        "--seconds",
        "0.02",
        "--out",
        str(out),
        "--json",
    ]
    result = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads(out.read_text())
    assert json.loads(result.stdout)["rows"][0]["name"] == "toy"


def test_calibrate_as_a_verb(bundle: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["bench", str(bundle), "--calibrate", "--json"], catch_exceptions=False)
    content = json.loads(result.stdout)
    assert content["timings"]
    assert content["choice"]["precision"] == "fp32"
    assert Path(content["path"]).parent == tmp_path / "cache"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--out", "page.md"], "--out has no meaning for one engine"),
        (["--table", "--runtime", "openvino"], "--runtime has no meaning for --table"),
        (["--calibrate", "--seconds", "2"], "--seconds has no meaning for --calibrate"),
        (["--table", "--calibrate"], "two things"),
        (["--runtime", "opnvino"], "no such runtime"),
        (["--precision", "int8"], "no graph of this precision"),
        (["--table", "--out", "page.pdf"], "Markdown or JSON"),
    ],
)
def test_requests_that_make_no_sense(bundle: Path, options: list[str], words: str) -> None:
    with pytest.raises(CaloforgeError, match=words):
        CliRunner().invoke(app, ["bench", str(bundle), *options], catch_exceptions=False)
    with pytest.raises(CaloforgeError, match="several bundles"):
        CliRunner().invoke(app, ["bench", str(bundle), str(bundle)], catch_exceptions=False)
