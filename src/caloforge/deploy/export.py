"""From a run to a bundle: the ONNX graph, its manifest, and the proof that it does what the model does."""

from __future__ import annotations

__all__ = ["PRECISIONS", "export"]

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from caloforge import __version__, machine
from caloforge.deploy.bundle import (
    DETECTOR_FILE,
    GRAPH_FILE,
    MANIFEST_FILE,
    RECIPE_FILE,
    Bundle,
    file_entry,
)
from caloforge.deploy.bundle.agreement import cells_output, detector_entry, incident_input, noise_input
from caloforge.deploy.bundle.complete import manifest_text, state_graphs, with_files
from caloforge.deploy.bundle.contents import Folder
from caloforge.deploy.bundle.manifest import NOT_MADE, NOT_STATED, SCHEMA, Graph, Manifest
from caloforge.deploy.bundle.privacy import clean
from caloforge.deploy.engine import Engine
from caloforge.deploy.onnx_graph import OPSET, write_graph
from caloforge.deploy.parity import measure_parity
from caloforge.deploy.probe import take_probe
from caloforge.deploy.torch_sampler import RunSampler
from caloforge.errors import BundleError, nearest
from caloforge.progress import Progress
from caloforge.writing import new_folder

PRECISIONS = ("fp32",)
"""Precisions that a bundle can have."""


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
        BundleError: An unknown precision, or the graph's showers are not the model's.
        OutputError: `out` exists, another process writes it, or the disk is full.
    """
    _check_precision(precision)
    target = Path(out)
    told = progress or _silent
    with new_folder(target) as folder:
        told(0, 4, "reading the run")
        sampler = RunSampler(run)
        told(1, 4, "writing the graph")
        graph = write_graph(sampler.generator, folder / GRAPH_FILE)
        _write_texts(sampler, folder)
        draft = _draft(sampler, folder, graph)
        told(2, 4, "comparing with torch")
        measured = _measured(sampler, Bundle(folder, draft, sampler.detector))
        told(3, 4, "writing the manifest")
        (folder / MANIFEST_FILE).write_text(manifest_text(measured), encoding="utf-8")
        checked = Bundle.open(folder)
    told(4, 4, "done")
    return replace(checked, path=target)


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


def _write_texts(sampler: RunSampler, folder: Path) -> None:
    recipe = _unpersonal(sampler.opened.recipe.model_dump())
    (folder / DETECTOR_FILE).write_text(sampler.detector.to_yaml(), encoding="utf-8")
    text = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)
    (folder / RECIPE_FILE).write_text(text, encoding="utf-8")


def _draft(sampler: RunSampler, folder: Path, graph: Graph) -> Manifest:
    """All that is known before the graph has run; it states the same of itself."""
    manifest = Manifest(
        schema_version=SCHEMA,
        caloforge=__version__,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        name=sampler.name,
        about=sampler.opened.recipe.about,
        licence=NOT_STATED,
        citation=NOT_STATED,
        detector=detector_entry(sampler.detector),
        valid=sampler.valid,
        inputs=(noise_input(sampler.noise_shape), incident_input(sampler.conditions)),
        output=cells_output(sampler.detector),
        threshold_mev=sampler.detector.readout.threshold,
        graphs={"fp32": graph},
        report=NOT_MADE,
        provenance=_unpersonal(_provenance(sampler)),
        files={},
        sha256="0" * 64,
    )
    state_graphs(folder, manifest)
    return with_files(manifest, Folder(folder), (GRAPH_FILE, DETECTOR_FILE, RECIPE_FILE))


def _measured(sampler: RunSampler, draft: Bundle) -> Manifest:
    """The manifest with what is known once the graph has run."""
    engine = Engine(draft)
    parity, probe = measure_parity(sampler, engine), take_probe(engine)
    graph = draft.graph_entry().model_copy(update={"parity": parity, "probe": probe})
    return draft.manifest.model_copy(update={"graphs": {"fp32": graph}})


def _provenance(sampler: RunSampler) -> dict[str, Any]:
    run = sampler.opened
    return {
        **run.provenance,
        "training_steps": run.summary()["steps"],
        "weights_sha256": file_entry(run.weights).sha256,
        "exported_with": {"opset": OPSET, **machine.versions("torch", "onnx", "onnxscript", "onnxruntime")},
    }


def _unpersonal(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Which files, but not where they lie: a bundle leaves the machine that it was made on."""
    cleaned: dict[str, Any] = clean(tree, "")[0]
    return cleaned
