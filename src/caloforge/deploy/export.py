"""From a run to a bundle: the ONNX graph, its manifest, and the proof that it does what the model does."""

from __future__ import annotations

__all__ = ["PRECISIONS", "export"]

import json
import shutil
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from caloforge import __version__, machine
from caloforge.deploy.bundle import (
    DETECTOR_FILE,
    GRAPH_FILE,
    MANIFEST_FILE,
    RECIPE_FILE,
    Bundle,
    file_entry,
    is_bundle,
)
from caloforge.deploy.manifest import SCHEMA, DetectorEntry, Graph, Layer, Manifest, Parity, Tensor
from caloforge.deploy.onnx_graph import OPSET, write_graph
from caloforge.deploy.parity import measure_parity
from caloforge.deploy.torch_sampler import RunSampler
from caloforge.detector import Detector, PolarGrid
from caloforge.errors import BundleError, nearest
from caloforge.progress import Progress
from caloforge.showers.incident import COLUMNS

PRECISIONS = ("fp32",)
"""Precisions that a bundle can have."""

_UNKNOWN_PARITY = Parity(batches=(), showers=0, max_abs_mev=0.0, max_relative=0.0, tolerance=0.0)


def export(
    run: str | Path,
    out: str | Path,
    *,
    precision: Sequence[str] = ("fp32",),
    progress: Progress | None = None,
) -> Bundle:
    """Turn a run into a bundle, and check that the bundle makes the run's showers.

    The bundle is written beside `out` and renamed when it is complete and has passed: `out` is either
    absent or whole.

    Args:
        run: Folder of the run.
        out: Folder to make; it must not exist.
        precision: Of the weights; "fp32" is the only one so far.
        progress: Told after every stage.

    Raises:
        RunError: Not a run, or a damaged one.
        BundleError: `out` exists, an unknown precision, or the graph's showers are not the model's.
    """
    _check_precision(precision)
    target = Path(out)
    _check_target(target)
    told = progress or _silent
    told(0, 4, "reading the run")
    sampler = RunSampler(run)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.resolve().parent) as temporary:
        folder = Path(temporary) / "bundle"
        folder.mkdir()
        told(1, 4, "writing the graph")
        graph = write_graph(sampler.generator, folder / GRAPH_FILE)
        _copy_texts(sampler, folder)
        told(2, 4, "comparing with torch")
        _write_manifest(sampler, folder, graph, _UNKNOWN_PARITY)
        parity = measure_parity(sampler, Bundle.open(folder))
        told(3, 4, "writing the manifest")
        _write_manifest(sampler, folder, graph, parity)
        folder.rename(target)
    told(4, 4, "done")
    return Bundle.open(target)


def _silent(_done: int, _total: int, _note: str) -> None:
    """Tell nobody."""


def _check_precision(precision: Sequence[str]) -> None:
    for name in precision:
        if name not in PRECISIONS:
            raise BundleError(
                "no such precision",
                where="--precision",
                got=name,
                expected=", ".join(PRECISIONS),
                near=nearest(name, PRECISIONS),
            )


def _check_target(out: Path) -> None:
    if out.exists() or out.is_symlink():
        what = "a bundle" if is_bundle(out) else "something else"
        raise BundleError(
            "the folder to make exists already",
            where=out,
            got=what,
            cure="choose another name, or delete it first",
        )
    if not out.resolve().parent.is_dir():
        raise BundleError("no such folder", where=out.resolve().parent, cure="make it first")


def _copy_texts(sampler: RunSampler, folder: Path) -> None:
    (folder / DETECTOR_FILE).write_text(sampler.detector.to_yaml(), encoding="utf-8")
    shutil.copyfile(sampler.opened.path / RECIPE_FILE, folder / RECIPE_FILE)


def _write_manifest(sampler: RunSampler, folder: Path, graph: Graph, parity: Parity) -> None:
    recipe = sampler.opened.recipe
    manifest = Manifest(
        schema_version=SCHEMA,
        caloforge=__version__,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        name=sampler.name,
        about=recipe.about,
        detector=_detector_entry(sampler.detector),
        valid=sampler.valid,
        inputs=_inputs(sampler),
        output=_output(sampler.detector),
        threshold_mev=sampler.detector.readout.threshold,
        graph=graph,
        parity=parity,
        provenance=_provenance(sampler),
        files={name: file_entry(folder / name) for name in (GRAPH_FILE, DETECTOR_FILE, RECIPE_FILE)},
    )
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, allow_nan=False)
    (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def _inputs(sampler: RunSampler) -> tuple[Tensor, Tensor]:
    conditions = sampler.conditions
    noise = Tensor(
        name="noise", shape=sampler.noise_shape, about="independent standard normal numbers", units=("1",)
    )
    incident = Tensor(
        name="incident",
        shape=(len(conditions),),
        about="the incident particle",
        columns=conditions,
        units=tuple(COLUMNS[name][1] for name in conditions),
    )
    return noise, incident


def _output(detector: Detector) -> Tensor:
    return Tensor(
        name="cells",
        shape=(detector.n_cells,),
        about="energy of every cell, layer after layer; within a layer the last axis runs fastest. "
        "The readout's threshold is not applied",
        units=("MeV",),
    )


def _detector_entry(detector: Detector) -> DetectorEntry:
    layers = tuple(
        Layer(
            name=layer.name,
            first_cell=int(layer.cells.start),
            shape=(layer.shape[0], layer.shape[1]),
            axes=("phi", "r") if isinstance(layer.grid, PolarGrid) else ("x", "y"),
        )
        for layer in detector.layers
    )
    return DetectorEntry(name=detector.name, digest=detector.digest, layers=layers)


def _provenance(sampler: RunSampler) -> dict[str, Any]:
    run = sampler.opened
    # Which files, but not where they lie: a bundle leaves the machine that it was made on.
    files = [Path(file).name for file in run.data["files"]]
    return {
        **run.provenance,
        "data": {**run.data, "files": files},
        "training_steps": run.summary()["steps"],
        "weights_sha256": file_entry(run.weights).sha256,
        "exported_with": {"opset": OPSET, **machine.versions("torch", "onnx", "onnxscript", "onnxruntime")},
    }
