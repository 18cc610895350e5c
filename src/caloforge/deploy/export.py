"""From a run to a bundle: the ONNX graph, its manifest, and the proof that it does what the model does."""

from __future__ import annotations

__all__ = ["export"]

import re
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
    is_bundle,
)
from caloforge.deploy.bundle.agreement import cells_output, detector_entry, incident_input, noise_input
from caloforge.deploy.bundle.complete import manifest_text, state_graphs, with_files
from caloforge.deploy.bundle.contents import Folder
from caloforge.deploy.bundle.manifest import NOT_MADE, NOT_STATED, SCHEMA, Graph, Manifest
from caloforge.deploy.bundle.privacy import clean
from caloforge.deploy.bundle.report import read_report
from caloforge.deploy.engine import Engine
from caloforge.deploy.onnx_graph import OPSET, write_graph
from caloforge.deploy.parity import measure_parity
from caloforge.deploy.precision.adding import add_precisions, wish_for
from caloforge.deploy.probe import take_probe
from caloforge.deploy.torch_sampler import RunSampler
from caloforge.errors import BundleError
from caloforge.progress import Progress
from caloforge.training.pretrained import LICENCE, comes_with_caloforge
from caloforge.writing import new_folder

_PAPER = re.compile(r"arXiv:\d{4}\.\d{4,5}")


def export(
    run: str | Path,
    out: str | Path,
    *,
    evaluations: int | None = None,
    precision: Sequence[str] = ("fp32",),
    accept: str | None = None,
    reference: str | Path | None = None,
    floor: str | Path | None = None,
    report: str | Path | None = None,
    licence: str | None = None,
    citation: str | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Turn a run into a bundle, and check that the bundle makes the run's showers.

    The bundle is written beside `out` and renamed when it is complete and has passed: `out` is either
    absent or whole.

    Args:
        run: Folder of the run.
        out: Folder to make; it must not exist.
        evaluations: How often a network that is asked in steps, as in flow matching, is asked; by default as
            often as the recipe says.
        precision: "fp32", which every bundle has, and "bf16" or "int8" besides: graphs whose large products
            are rounded as far as the showers bear it.
        accept: What a reduced precision must meet, beside float32 and the floor, to be in the bundle:
            "auc_low<+0.01,response<+0.1%", the default with a reference, says how much more a number of
            `validate` may be than float32's.
        reference: Geant4's showers to judge by, with which nothing was trained. The report comes into the
            folder `OUT.precision`; the manifest keeps what was found, and why a precision was refused.
        floor: More of them, for the floor.
        report: What `validate` found about showers of this run: the folder, or the JSON in it. The bundle
            takes over its numbers with their floors.
        licence: Of the weights, best as an SPDX identifier ("CC-BY-4.0"). By default "not stated"; runs that
            come with caloforge are under its licence.
        citation: What to cite. By default the papers that the recipe names.
        progress: Told after every stage.

    Raises:
        RunError: Not a run, or a damaged one.
        RecipeError: Evaluations for a model that takes no steps.
        MissingExtraError: int8 without the extra `openvino`.
        ValidationError: Conditions that cannot be read, or showers that cannot judge.
        BundleError: A bundle in place of a run, an unknown precision, a report of another generator, or the
            graph's showers are not the model's.
        OutputError: `out` exists, another process writes it, or the disk is full.
    """
    _refuse_bundle(run)
    target = Path(out)
    report_folder = target.with_name(f"{target.name}.precision")
    wish = wish_for(precision, accept, reference, floor, report_folder)
    told = progress or _silent
    with new_folder(target) as folder:
        told(0, 4, "reading the run")
        sampler = RunSampler(run, evaluations=evaluations)
        story = _story(sampler, report, licence, citation)
        told(1, 4, "writing the graph")
        graph = write_graph(sampler.generator, folder / GRAPH_FILE)
        _write_texts(sampler, folder)
        draft = _draft(sampler, folder, graph, story)
        told(2, 4, "comparing with torch")
        measured = _measured(sampler, Bundle(folder, draft, sampler.detector))
        if wish.reduced:
            whole = Bundle(folder, measured, sampler.detector)
            measured = add_precisions(
                whole, sampler, wish, lambda share, words: told(200 + int(100 * share), 400, words)
            )
        told(3, 4, "writing the manifest")
        (folder / MANIFEST_FILE).write_text(manifest_text(measured), encoding="utf-8")
        checked = Bundle.open(folder)
    told(4, 4, "done")
    return replace(checked, path=target)


def _refuse_bundle(run: str | Path) -> None:
    if is_bundle(run):
        raise BundleError(
            "this is a bundle already",
            where=run,
            expected="the run that it was made of",
            cure="export that run again; a bundle itself goes to --cpp, --host and --hls, or `bundle pack`",
        )


def _silent(_done: int, _total: int, _note: str) -> None:
    """Tell nobody."""


def _story(
    sampler: RunSampler, report: str | Path | None, licence: str | None, citation: str | None
) -> dict[str, Any]:
    """What a bundle says of its worth, its licence and its sources."""
    run = sampler.opened
    default = LICENCE if comes_with_caloforge(run.path) else NOT_STATED
    papers = ", ".join(dict.fromkeys(_PAPER.findall(run.recipe.about)))
    return {
        "licence": licence or default,
        "citation": citation or papers or NOT_STATED,
        "report": NOT_MADE if report is None else read_report(report, sampler.origin["weights_sha256"]),
    }


def _write_texts(sampler: RunSampler, folder: Path) -> None:
    recipe = _unpersonal(sampler.recipe.model_dump())
    (folder / DETECTOR_FILE).write_text(sampler.detector.to_yaml(), encoding="utf-8")
    text = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)
    (folder / RECIPE_FILE).write_text(text, encoding="utf-8")


def _draft(sampler: RunSampler, folder: Path, graph: Graph, story: Mapping[str, Any]) -> Manifest:
    """All that is known before the graph has run; it states the same of itself."""
    manifest = Manifest(
        schema_version=SCHEMA,
        caloforge=__version__,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        name=sampler.name,
        about=sampler.opened.recipe.about,
        **story,
        detector=detector_entry(sampler.detector),
        valid=sampler.valid,
        inputs=(noise_input(sampler.noise_shape), incident_input(sampler.conditions)),
        output=cells_output(sampler.detector),
        threshold_mev=sampler.detector.readout.threshold,
        graphs={"fp32": graph},
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
        "recipe": sampler.recipe.model_dump(),
        "training_steps": run.summary()["steps"],
        "weights_sha256": sampler.origin["weights_sha256"],
        "exported_with": {"opset": OPSET, **machine.versions("torch", "onnx", "onnxscript", "onnxruntime")},
    }


def _unpersonal(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Which files, but not where they lie: a bundle leaves the machine that it was made on."""
    cleaned: dict[str, Any] = clean(tree, "")[0]
    return cleaned
