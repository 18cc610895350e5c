"""Graphs of reduced precision for a bundle that is being written: made, compared, and kept or left out."""

from __future__ import annotations

__all__ = ["Wish", "add_precisions", "wish_for"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge import machine
from caloforge.deploy.bundle import Bundle
from caloforge.deploy.bundle.complete import state_graphs, with_files
from caloforge.deploy.bundle.contents import Folder
from caloforge.deploy.bundle.graph import UNMEASURED, Graph, Rounding
from caloforge.deploy.bundle.manifest import Manifest
from caloforge.deploy.engine import Engine
from caloforge.deploy.parity import measure_parity
from caloforge.deploy.precision.reduce import PRECISIONS, Reduced, reduce_graph
from caloforge.deploy.probe import take_probe
from caloforge.errors import BundleError, ValidationError, nearest

if TYPE_CHECKING:
    from caloforge.deploy.precision.acceptance import Judged, Trial
    from caloforge.deploy.sampling import Sampler

_DEFAULT = "auc_low<+0.01,response<+0.1%"
_TOLERANCE = 0.5  # of the hottest cell: a wrong graph, not a rounding
_ELSEWHERE = 0.02  # processors sum integers and bfloat16 in other orders
_MADE_WITH = {"bf16": ("onnx",), "int8": ("onnx", "nncf")}

Told = Callable[[float, str], None]


@dataclass(frozen=True)
class Wish:
    """Which precisions a bundle is to have besides float32, and what decides whether it gets them.

    Attributes:
        reduced: Their names, each once.
        trial: How they are judged; None: not at all, and no engine takes them unless it is told to.
    """

    reduced: tuple[str, ...] = ()
    trial: Trial | None = None


def wish_for(
    precisions: Sequence[str],
    accept: str | None,
    reference: str | Path | None,
    floor: str | Path | None,
    report: Path,
) -> Wish:
    """Read what a user wants.

    Args:
        precisions: Names; "fp32" is always there.
        accept: Conditions; None asks for the usual ones if there is a reference.
        reference: Geant4's showers, which nothing was trained with.
        floor: More of them.
        report: Folder for the report of the comparison.

    Raises:
        BundleError: No such precision.
        ValidationError: Conditions that cannot be read, or nothing to judge, or to judge by.
    """
    for name in precisions:
        _check_precision(name)
    reduced = tuple(dict.fromkeys(name for name in precisions if name != "fp32"))
    if reference is None:
        for option, value in (("--accept", accept), ("--floor", floor)):
            if value is not None:
                raise ValidationError(
                    "precisions are judged by Geant4's showers",
                    where=option,
                    got="no reference",
                    cure="give them: --reference F.h5",
                )
        return Wish(reduced)
    if not reduced:
        raise ValidationError(
            "there is no reduced precision to judge",
            where="--reference",
            got=f"--precision {','.join(precisions)}",
            cure="--precision fp32,int8",
        )
    # Not before: with it comes all of the validation, which an engine does not need.
    from caloforge.deploy.precision.acceptance import Trial, conditions

    wanted = conditions(_DEFAULT if accept is None else accept)
    return Wish(reduced, Trial(wanted, Path(reference), None if floor is None else Path(floor), report))


def _check_precision(name: str) -> None:
    if name not in PRECISIONS:
        raise BundleError(
            "no such precision",
            where="--precision",
            got=name,
            expected=", ".join(PRECISIONS),
            near=nearest(name, PRECISIONS),
        )


def add_precisions(draft: Bundle, trained: Sampler, wish: Wish, told: Told) -> Manifest:
    """Add graphs of reduced precision to a bundle that lies in a folder and has its graph in float32.

    Args:
        draft: The bundle, not yet complete.
        trained: What it was exported from.
        wish: Which, and what decides.
        told: Called with the share that is done, and words.

    Raises:
        RangeError: The reference has particles outside the trained range.

    Returns:
        The manifest with those that were made and not refused; `refused` says why others are missing.
    """
    folder, manifest = draft.path, draft.manifest
    if wish.trial is not None:
        wish.trial.particles(trained)  # what cannot be judged shows before minutes of work
    for number, name in enumerate(wish.reduced):
        told_part = _part(told, number, len(wish.reduced) + 1)
        manifest = _with_graph(Bundle(folder, manifest, draft.detector), trained, name, told_part)
    if wish.trial is None or set(manifest.graphs) == {"fp32"}:
        return manifest
    told_last = _part(told, len(wish.reduced), len(wish.reduced) + 1)
    return _decided(
        folder, manifest, _judged(Bundle(folder, manifest, draft.detector), wish.trial, told_last)
    )


def _part(told: Told, number: int, parts: int) -> Told:
    """Tell of one part of several."""
    return lambda share, words: told((number + share) / parts, words)


def _with_graph(draft: Bundle, trained: Sampler, name: str, told: Told) -> Manifest:
    import onnx

    manifest, folder = draft.manifest, draft.path
    full = onnx.load_model_from_string(draft.graph())
    del full.metadata_props[:]  # said anew of the new graph
    try:
        reduced = reduce_graph(full, name, trained, told)
    except BundleError as error:
        refused = f"{error.problem}: {error.details['got']}"
        return manifest.model_copy(update={"refused": {**manifest.refused, name: refused}})
    entry = _write(reduced, name, folder, manifest.graphs["fp32"])
    alone = manifest.model_copy(update={"graphs": {name: entry}})
    state_graphs(folder, alone)
    added = manifest.model_copy(update={"graphs": {**manifest.graphs, name: entry}})
    return _measured(with_files(added, Folder(folder), (*manifest.files, entry.file)), draft, trained, name)


def _write(reduced: Reduced, name: str, folder: Path, full: Graph) -> Graph:
    import onnx

    onnx.checker.check_model(reduced.model, full_check=True)
    file = folder / f"generator.{name}.onnx"
    file.write_bytes(reduced.model.SerializeToString())
    effect = reduced.effect
    return Graph(
        file=file.name,
        opset=reduced.model.opset_import[0].version,
        bytes=file.stat().st_size,
        parameters=full.parameters,
        trained_parameters=full.trained_parameters,
        made_with=machine.versions(*_MADE_WITH[name]),
        rounding=Rounding(
            products=reduced.rounded,
            share=reduced.share,
            energy_bias=effect.bias,
            energy_spread=effect.spread,
            cells=effect.cells,
            values=effect.values,
            hottest_cell=effect.hottest,
            hits=effect.hits,
            typical_cell=effect.typical,
        ),
        **UNMEASURED,
    )


def _measured(manifest: Manifest, draft: Bundle, trained: Sampler, name: str) -> Manifest:
    engine = Engine(
        Bundle(draft.path, manifest, draft.detector), threads=1, runtime="onnxruntime", precision=name
    )
    update = {
        "parity": measure_parity(trained, engine, tolerance=_TOLERANCE),
        "probe": take_probe(engine, _ELSEWHERE),
    }
    graph = manifest.graphs[name].model_copy(update=update)
    return manifest.model_copy(update={"graphs": {**manifest.graphs, name: graph}})


def _judged(bundle: Bundle, trial: Trial, told: Told) -> dict[str, Judged]:
    from caloforge.deploy.precision.acceptance import judge

    engines = {
        name: Engine(bundle, threads=1, runtime="onnxruntime", precision=name)
        for name in bundle.manifest.graphs
    }
    return judge(engines, trial, lambda done, total, words: told(done / max(total, 1), words))


def _decided(folder: Path, manifest: Manifest, judged: dict[str, Judged]) -> Manifest:
    graphs, refused = dict(manifest.graphs), dict(manifest.refused)
    for name, answer in judged.items():
        if answer.accepted:
            graphs[name] = graphs[name].model_copy(update={"acceptance": answer.acceptance})
        else:
            (folder / graphs.pop(name).file).unlink()
            refused[name] = "; ".join(answer.said)
    kept = [file for file in manifest.files if (folder / file).exists()]
    left = manifest.model_copy(update={"graphs": graphs, "refused": refused})
    return with_files(left, Folder(folder), kept)
