"""`caloforge bundle check | show | sanitise | pack`: care of bundles."""

from __future__ import annotations

__all__ = ["app"]

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caloforge.cli.completion import complete_run
from caloforge.cli.terminal import JsonOption, emit, raw, say, table

if TYPE_CHECKING:
    from caloforge.deploy import Bundle, Checked
    from caloforge.deploy.bundle.manifest import Figure, Manifest, Report
    from caloforge.deploy.bundle.privacy import Removed

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Check, show, clean and pack bundles.")

_Path = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="A folder or a zip.", autocompletion=complete_run)
]
_MOST_FIGURES, _MOST_FINDINGS = 6, 8


@app.command()
def check(bundle: _Path, json: JsonOption = False) -> None:
    """Check all that a bundle holds, and make a few showers with it.

    Example: caloforge bundle check calogan.bundle
    """
    from caloforge.deploy import check_bundle

    found = check_bundle(bundle)
    manifest = found.bundle.manifest
    say(f"[bold]{raw(found.bundle.path)}[/bold]: {raw(manifest.name)}, [green]good[/green]")
    for line in _checked(found):
        say(line)
    emit(
        {
            "path": found.bundle.path,
            "name": manifest.name,
            "files": len(manifest.files),
            "differences": found.differences,
            "not_run": found.not_run,
            "unlisted": found.unlisted,
            "private": [finding.__dict__ for finding in found.private],
        }
    )


def _checked(found: Checked) -> list[str]:
    manifest = found.bundle.manifest
    lines = [
        f"  files      {len(manifest.files)} with the checksums of the manifest, and its own",
        "  agreement  detector, cells, units, trained range; the graph says the same of itself",
    ]
    for precision, difference in found.differences.items():
        probe = manifest.graphs[precision].probe
        apart = f"layers differ by {difference:.1g} of the energy at most, allowed {probe.tolerance:g}"
        lines.append(f"  showers    {precision}: {len(probe.incident)} made again; {apart}")
    lines += [f"  [yellow]not run[/yellow]    {name}: no runtime for it here" for name in found.not_run]
    if found.unlisted:
        lines.append(f"  [yellow]unlisted[/yellow]   nothing reads {raw(', '.join(found.unlisted))}")
    if found.private:
        cure = f"caloforge bundle sanitise {found.bundle.path} --out CLEAN"
        lines.append(f"  [yellow]private[/yellow]    before you share it: {raw(cure)}")
        lines += _removed(found.private)
    return lines


@app.command()
def show(bundle: _Path, json: JsonOption = False) -> None:
    """Say what a bundle makes, for which particles, and how good it is.

    Example: caloforge bundle show calogan.bundle
    """
    from caloforge.deploy import Bundle

    found = Bundle.open(bundle)
    _head(found)
    _graphs(found.manifest)
    _report(found.manifest)
    emit({"path": found.path, "manifest": found.manifest.model_dump(mode="json")})


@app.command()
def sanitise(
    bundle: _Path,
    out: Annotated[Path, typer.Option(help="The new bundle: a folder, or a zip if it ends in .zip.")],
    json: JsonOption = False,
) -> None:
    """Take out what tells where a bundle was made and by whom.

    Example: caloforge bundle sanitise calogan.bundle --out calogan.zip
    """
    from caloforge.deploy import sanitise_bundle

    made = sanitise_bundle(bundle, out)
    what = "nothing had to go" if not made.removed else f"{len(made.removed)} things are not in it any more"
    say(f"[bold]{raw(made.bundle.path)}[/bold]: {what}")
    for line in _removed(made.removed):
        say(line)
    emit({"path": made.bundle.path, "removed": [finding.__dict__ for finding in made.removed]})


@app.command()
def pack(
    bundle: _Path,
    out: Annotated[Path, typer.Option(help="The zip to make; its name ends in .zip.")],
    json: JsonOption = False,
) -> None:
    """Put a bundle into one zip, which every verb opens as it is.

    The same bundle gives the same bytes.

    Example: caloforge bundle pack calogan.bundle --out calogan.zip
    """
    from caloforge.deploy import pack_bundle
    from caloforge.deploy.bundle import file_entry

    made = pack_bundle(bundle, out)
    entry = file_entry(made.path)
    say(f"[bold]{raw(made.path)}[/bold]: {raw(made.manifest.name)}, {_size(entry.bytes)}")
    say(f"  sha256     {entry.sha256}")
    emit({"path": made.path, "bytes": entry.bytes, "sha256": entry.sha256})


def _removed(findings: tuple[Removed, ...]) -> list[str]:
    lines = [f"             {raw(_change(found))}" for found in findings[:_MOST_FINDINGS]]
    more = len(findings) - _MOST_FINDINGS
    return [*lines, f"             and {more} more; --json lists all"] if more > 0 else lines


def _change(found: Removed) -> str:
    return f"{found.where}: {found.what}" + (f" -> {found.kept}" if found.kept else "")


def _head(bundle: Bundle) -> None:
    manifest, detector = bundle.manifest, bundle.detector
    size = _size(sum(entry.bytes for entry in manifest.files.values()))
    say(f"[bold]{raw(manifest.name)}[/bold]  {raw(bundle.path)}, {size}")
    say(raw(manifest.about))
    say(f"\ndetector   {raw(detector.name)}: {detector.n_layers} layers, {detector.n_cells:,} cells, in MeV")
    _valid(manifest)
    say(f"trained    {raw(_trained(manifest.provenance))}")
    say(f"made       {manifest.created[:10]} by caloforge {raw(manifest.caloforge)}")
    say(f"licence    {raw(manifest.licence)}")
    say(f"citation   {raw(manifest.citation)}")


def _trained(provenance: dict[str, Any]) -> str:
    data = provenance["data"]
    showers = data.get("showers")
    files = ", ".join(map(str, data.get("files", [])))
    count = f"on {showers:,} showers" if isinstance(showers, int) else "on showers"
    return f"{count} of {files}" if files else count


def _valid(manifest: Manifest) -> None:
    from caloforge.particles import particle_name

    columns, spans = manifest.inputs[1].columns or (), dict(manifest.valid.spans())
    seen = [f"{name} {spans.pop(name)}" for name in columns if name in spans]
    fixed = [f"{name} {span}" for name, span in spans.items() if span.min == span.max]
    spread = [f"{name} {span}" for name, span in spans.items() if span.min < span.max]
    particles = ", ".join(map(particle_name, manifest.valid.particles))
    say(f"valid      {raw(', '.join([particles, *seen]))}")
    if fixed:
        say(f"only at    {raw(', '.join(fixed))}")
    if spread:
        say(f"averaged   {raw(', '.join(spread))}: the graph does not see these")


def _graphs(manifest: Manifest) -> None:
    rows = [
        (
            f"[bold]{precision}[/bold]",
            _size(graph.bytes),
            f"{graph.parameters:,}",
            f"{graph.parity.max_relative:.1g}",
            ", ".join(graph.runtimes),
        )
        for precision, graph in manifest.graphs.items()
    ]
    table("Graphs", ("precision", "size", "numbers", "from the model", "runs in"), rows)


def _report(manifest: Manifest) -> None:
    from caloforge.deploy.bundle.manifest import NOT_MADE

    if manifest.report == NOT_MADE:
        say("[yellow]No report was made:[/yellow] nothing here says how near its showers are to Geant4's.")
        say("[dim]caloforge validate makes one, caloforge export RUN --report takes it over.[/dim]")
        return
    report = manifest.report
    shown = list(report.figures.values())[:_MOST_FIGURES]
    table(
        "Against Geant4",
        ("", "generator", "floor"),
        [(raw(figure.label), *_beside(figure)) for figure in shown],
    )
    say(f"[bold]{raw(report.verdict)}[/bold]. {raw(report.text)}")
    say(f"[dim]{raw(_compared(report))}[/dim]")


def _beside(figure: Figure) -> tuple[str, str]:
    unit = f" {figure.unit}" if figure.unit else ""
    value, floor = _number(figure.value, figure.error), _number(figure.floor, figure.floor_error)
    return f"[yellow]{value}{unit}[/yellow]" if figure.off else value + unit, floor + unit


def _number(value: float, error: float | None) -> str:
    """Two digits of the error, and as many of the value."""
    if not error:
        return f"{value:.3g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _compared(report: Report) -> str:
    files = ", ".join(f"{role} {sample.name} ({sample.showers:,})" for role, sample in report.files.items())
    return f"{report.showers_compared:,} showers of each kind; floor: {report.floor}; {files}"


def _size(size: int) -> str:
    return f"{size / 1e6:.3g} MB" if size >= 1e6 else f"{size / 1e3:.3g} kB"
