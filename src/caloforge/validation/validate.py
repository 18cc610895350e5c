"""`validate`: showers in, a report out."""

from __future__ import annotations

__all__ = ["validate"]

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from caloforge.cluster import open_cluster
from caloforge.detector import Detector
from caloforge.errors import ValidationError
from caloforge.progress import Progress
from caloforge.quantities import MOST_SEED, check_whole
from caloforge.showers import Showers
from caloforge.validation.bar import Bar
from caloforge.validation.compare import Given, compare, expected_seconds
from caloforge.validation.inputs.samples import Model
from caloforge.validation.inputs.source import Source, open_source
from caloforge.validation.metrics.energy_bins import fixed_energies
from caloforge.validation.registry import options, pick, suited
from caloforge.validation.report.export import export_figures
from caloforge.validation.report.page import page
from caloforge.validation.report.report import Report, charts_of, summary_of, to_json
from caloforge.validation.require import check, requirements
from caloforge.writing import locked_folder, replace_text, scratch_folder

From = Showers | str | Path
MOST_CANDIDATES = 6


def validate(
    reference: From,
    candidate: From | Mapping[str, From],
    *,
    out: str | Path,
    floor: From | None = None,
    training: From | None = None,
    model: Model | None = None,
    detector: Detector | None = None,
    metrics: str | Sequence[str] = "quick",
    recipe: str = "quick",
    trainings: int = 5,
    require: str | None = None,
    figures: bool = False,
    seed: int = 0,
    cluster: str | None = None,
    notes: Sequence[str] = (),
    speed: Sequence[Mapping[str, Any]] = (),
    progress: Progress | None = None,
) -> Report:
    """Compare showers with Geant4's and write `report.html` and `report.json`.

    Every number stands beside its floor: the same number between two independent samples of Geant4 of the
    same size. Without a floor file the reference is cut in two halves, and each comparison uses as many
    showers as a half has, or as the smallest candidate has.

    Args:
        reference: Geant4's showers, a file or in memory.
        candidate: The showers to judge, of the same detector; several by name.
        out: Folder of the report; made if it is not there.
        floor: More showers of Geant4, independent of the reference.
        training: What the candidates learned from: asks for memorisation and energies not trained.
        model: The generator of the first candidate, as `caloforge.open_sampler` gives: asks for scans.
        detector: What was hit, where a file cannot say.
        metrics: `quick`, `all`, or names of studies and numbers.
        recipe: How classifiers are trained: `quick`, or as published: `caloflow`, `calochallenge`.
        trainings: How often each classifier is trained.
        require: Conditions, as "auc_high<0.6,response<2%"; their numbers are computed in addition.
        figures: Whether to write each figure as PDF and its data as CSV and JSON, too.
        seed: Seed of the choice of showers, of resampling and of the classifiers.
        cluster: Where classifiers are trained, if not here: see `open_cluster`.
        notes: Lines that a reader must know ("training was cut to 4 minutes"), shown at the top.
        speed: Rows of a table of milliseconds per shower; the keys are the columns.
        progress: Told of each step.

    Returns:
        Paths, numbers, and what the requirements came to.

    Raises:
        ValidationError: Samples that cannot be compared: other cells, no common energies, too few showers;
            names of metrics or numbers that do not exist.
        OutputError: A folder that cannot be written to, another process writes there, or the disk is full.
        ShowersError: A file that cannot be read.

    Example:
        >>> report = validate("geant4.h5", "generated.h5", out="report")  # doctest: +SKIP
        >>> report.verdict.title  # doctest: +SKIP
        'Visibly different from Geant4'
    """
    target = Path(out)
    _refuse_folders(target)
    check_whole(seed, "--seed", 0, MOST_SEED)
    wanted = () if require is None else requirements(require)
    chosen = options(recipe, trainings)
    required = [w.name for w in wanted]
    picked = pick(metrics, required, training is not None, model is not None)
    with ExitStack() as stack:
        stack.enter_context(locked_folder(target))
        given = Given(
            stack.enter_context(open_source(reference, detector)),
            dict(_candidates(candidate, detector, stack)),
            None if floor is None else stack.enter_context(open_source(floor, detector)),
            None if training is None else stack.enter_context(open_source(training, detector)),
            model,
        )
        beams = len(fixed_energies(given.reference.incident.energy)) > 1
        entries = suited(picked, metrics, required, beams)
        folder = stack.enter_context(scratch_folder(target / ".scratch"))
        bar = Bar(progress, expected_seconds(given, entries))
        workers = stack.enter_context(open_cluster(cluster)) if cluster else None
        comparison = compare(given, entries, chosen, seed, folder, bar, workers)
        outcomes = tuple(
            outcome
            for i, name in enumerate(comparison.names)
            for outcome in check(wanted, name, comparison.numbers(i), comparison.absent(i))
        )
        charts = charts_of(comparison)
        tell = bar.rest()
        html = page(summary_of(comparison, notes, speed, outcomes), charts, tell)
        numbers = to_json(comparison, notes, speed, outcomes)
        if figures:
            export_figures(charts, target / "figures", comparison.names)
        files = target / "report.html", target / "report.json"
        replace_text(files[0], html)
        replace_text(files[1], json.dumps(numbers, indent=1, allow_nan=False) + "\n")
        tell(1.0, "report written")
    return Report(*files, comparison, outcomes)


def _candidates(
    candidate: From | Mapping[str, From], detector: Detector | None, stack: ExitStack
) -> Iterator[tuple[str, Source]]:
    """Open candidates; one alone is called after its file."""
    given = candidate if isinstance(candidate, Mapping) else {"": candidate}
    if not given:
        raise ValidationError(
            "there is nothing to compare with the reference", expected="one candidate or more"
        )
    if len(given) > MOST_CANDIDATES:
        raise ValidationError(
            "too many candidates for one report",
            got=len(given),
            expected=f"at most {MOST_CANDIDATES}, the colours that can be told apart",
            cure="make two reports against the same reference",
        )
    for name, showers in given.items():
        source = stack.enter_context(open_source(showers, detector))
        yield name or Path(source.name).stem, source


def _refuse_folders(folder: Path) -> None:
    """Refuse a folder that cannot take the report, before hours of work."""
    taken = [name for name in ("report.html", "report.json") if (folder / name).is_dir()]
    if taken:
        raise ValidationError(
            "the report cannot be written there",
            where=folder,
            got=f"{', '.join(taken)} is a folder",
            cure="give another folder with --out",
        )
