"""A bundle's dense network for an FPGA through hls4ml: projects, and a page of bits against agreement."""

from __future__ import annotations

__all__ = ["HlsExport", "export_hls"]

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from caloforge import __version__, machine
from caloforge.deploy.bundle import Bundle
from caloforge.deploy.bundled import bundled
from caloforge.deploy.engine import Engine
from caloforge.deploy.hls.agreement import Agreement, compared
from caloforge.deploy.hls.chains import Chain, largest_chain
from caloforge.deploy.hls.firmware import CLOCK, Firmware, build, require
from caloforge.deploy.hls.fixed import formats_of
from caloforge.deploy.hls.host import HostParts, host_parts
from caloforge.deploy.hls.sample import FEWEST, SEED, Sample
from caloforge.deploy.native.literals import line
from caloforge.deploy.native.templates import rendered
from caloforge.deploy.sampling import make_showers
from caloforge.errors import CaloforgeError
from caloforge.progress import Progress
from caloforge.quantities import check_whole
from caloforge.writing import new_folder

_BITS = (4, 32)
_CALIBRATION = 1000
_MOST_REUSE = 100_000
_MOST = 1_000_000  # showers that are compared
Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class HlsExport:
    """What was written and measured.

    Attributes:
        path: The folder.
        rows: Agreement for the bundle itself (its `bits` is None), for one whose network says 0 (0), which
            tells what the network is worth, and for each width.
        runs: Of the network, for one shower.
        multiplications: Of one run.
        share: Of the bundle's numbers that are in the network.
        multipliers: That an FPGA needs at least.
        cycles: From input to output, at least, for one run of the network.
        interval: Cycles from one run to the next, at least.
    """

    path: Path
    rows: tuple[Agreement, ...]
    runs: int
    multiplications: int
    share: float
    multipliers: int
    cycles: int
    interval: int


def export_hls(
    source: str | Path | Bundle,
    out: str | Path,
    *,
    bits: Sequence[int] = (8, 10, 12, 16),
    reuse: int = 64,
    count: int = 2000,
    reference: str | Path | None = None,
    progress: Progress | None = None,
) -> HlsExport:
    """Write the dense network of a bundle as hls4ml projects, and run their emulation in C++.

    The network is the largest chain of products with constant matrices. What is before and behind it stays on
    the host, as two ONNX graphs. Nothing is synthesised: that needs Xilinx's tools.

    Args:
        source: A bundle, its folder, or a run.
        out: Folder to make; it must not exist. `README.md` in it is the page, `agreement.json` its numbers.
        bits: Widths to try; each becomes a project.
        reuse: Multiplications that share a multiplier of the FPGA.
        count: Showers that are compared.
        reference: Shower file: its particles are used, and AUCs are against its showers. Without it they are
            against showers of the bundle, over the trained range.
        progress: Told after each width.

    Raises:
        MissingExtraError: hls4ml is not installed.
        BundleError, RunError: Neither bundle nor run, or no dense network in it.
        RangeError: `reference` has particles outside the trained range.
        ShowersError: It cannot be read, has other cells, or fewer than 100 showers.
        CaloforgeError: Impossible widths, no g++, or hls4ml failed.
        OutputError: `out` exists, another process writes it, or the disk is full.
    """
    for width in bits:
        check_whole(width, "--bits", *_BITS)
    check_whole(reuse, "--reuse", 1, _MOST_REUSE)
    check_whole(count, "--count", FEWEST, _MOST)
    require()
    with bundled(source) as bundle, new_folder(Path(out)) as folder:
        return _write(Sample.of(bundle, count, reference), folder, Path(out), bits, reuse, progress)


class _Mixed:
    """The bundle with another network in the place of its own: what makes showers of it."""

    def __init__(self, engine: Engine, parts: HostParts, network: Network) -> None:
        self._engine, self._parts, self._network = engine, parts, network

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def run(self, noise: NDArray[np.float32], incident: NDArray[np.float32]) -> NDArray[np.float32]:
        cells = self._parts.run(noise, incident, self._network)
        # A network in fixed point may say -0.001 where the other said 0.
        return np.maximum(cells, 0)


def _write(
    sample: Sample, folder: Path, out: Path, bits: Sequence[int], reuse: int, progress: Progress | None
) -> HlsExport:
    model = onnx.load_model_from_string(sample.engine.bundle.graph())
    chain = largest_chain(model)
    parts = host_parts(model, chain)
    parts.write(folder)
    few = sample.noise[:_CALIBRATION], sample.columns()[:_CALIBRATION]
    seen = np.concatenate(parts.seen(*few))
    formats = formats_of(chain.layers, seen)
    rows, built = [compared(None, sample.own, sample.own, sample.other)], None
    rows.append(_row(0, sample, parts, _silent(chain)))
    for done, width in enumerate(bits):
        if progress:
            progress(done, len(bits), f"{width} bits")
        built = build(chain.layers, formats, width, reuse, folder / f"bits_{width}")
        rows.append(_row(width, sample, parts, built))
    if built is None:
        raise CaloforgeError("no width was asked for", where="--bits", expected="for example 12,16")
    if progress:
        progress(len(bits), len(bits), "done")
    result = _result(out, rows, len(seen) // len(few[0]), chain, model, built)
    _write_page(sample, folder, result, chain, built)
    return result


def _row(bits: int, sample: Sample, parts: HostParts, network: Network) -> Agreement:
    mixed: Any = _Mixed(sample.engine, parts, network)
    showers = make_showers(mixed, sample.incident, np.random.default_rng(SEED))
    return compared(bits, showers, sample.own, sample.other)


def _silent(chain: Chain) -> Network:
    width = chain.layers[-1].weight.shape[1]
    return lambda seen: np.zeros((len(seen), width), np.float32)


def _result(
    out: Path, rows: list[Agreement], runs: int, chain: Chain, model: onnx.ModelProto, built: Firmware
) -> HlsExport:
    numbers = sum(math.prod(value.dims) for value in model.graph.initializer)
    mine = sum(layer.weight.size + layer.bias.size for layer in chain.layers)
    return HlsExport(
        path=out,
        rows=tuple(rows),
        runs=runs,
        multiplications=chain.multiplications,
        share=mine / numbers,
        multipliers=sum(cost.multipliers for cost in built.costs),
        cycles=sum(cost.reuse for cost in built.costs),
        interval=max(cost.reuse for cost in built.costs),
    )


def _write_page(sample: Sample, folder: Path, result: HlsExport, chain: Chain, built: Firmware) -> None:
    facts = asdict(result) | {
        "version": __version__,
        "versions": machine.versions("hls4ml", "numpy", "onnxruntime"),
        "name": line(sample.engine.name),
        "detector": line(sample.engine.detector.name),
        "rows": [asdict(row) for row in result.rows],
        "table": [row.words() for row in result.rows],
        "costs": [asdict(cost) for cost in built.costs],
        "layers": [layer.activation or "none" for layer in chain.layers],
        "count": len(sample.incident),
        "real": sample.real,
        "clock": CLOCK,
    }
    (folder / "README.md").write_text(rendered("hls.md", facts), encoding="utf-8")
    facts["path"] = str(result.path.name)
    text = json.dumps(facts, indent=2, allow_nan=False)
    (folder / "agreement.json").write_text(text + "\n", encoding="utf-8")
