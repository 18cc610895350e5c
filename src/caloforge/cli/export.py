"""`caloforge export`: from a run to a bundle."""

from __future__ import annotations

__all__ = ["export"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli.completion import complete_run
from caloforge.cli.options import check_purpose, whole_numbers
from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say, table

if TYPE_CHECKING:
    from caloforge.deploy import Bundle
    from caloforge.deploy.bundle.figures import Acceptance
    from caloforge.deploy.bundle.graph import Rounding


_BUNDLE = "a bundle"
_MEANT_FOR = {
    "precision": (_BUNDLE,),
    "accept": (_BUNDLE,),
    "reference": (_BUNDLE, "--hls"),
    "floor": (_BUNDLE,),
    "report": (_BUNDLE,),
    "licence": (_BUNDLE,),
    "citation": (_BUNDLE,),
    "particle": ("--host",),
    "bits": ("--hls",),
    "reuse": ("--hls",),
    "count": ("--hls",),
}


def export(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="Run, or a pretrained one by its name; with --cpp, --host or --hls also a bundle.",
            autocompletion=complete_run,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to make; must not exist.")],
    precision: Annotated[str, typer.Option(help="fp32, and bf16 and int8 besides: fp32,int8.")] = "fp32",
    accept: Annotated[
        str | None,
        typer.Option(help="What reduced precisions must meet, as 'auc_low<+0.01,response<+0.1%'."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Geant4's showers to judge by, unknown to the training.")
    ] = None,
    floor: Annotated[Path | None, typer.Option(help="More of these, for the floor.")] = None,
    cpp: Annotated[bool, typer.Option("--cpp", help="Write a header-only sampler in C++ instead.")] = False,
    host: Annotated[
        str | None, typer.Option(help="Write it as this program loads it instead: par04, fastcalosim, ddml.")
    ] = None,
    particle: Annotated[
        str | None, typer.Option(help="With --host: which one, if the bundle knows several.")
    ] = None,
    hls: Annotated[
        bool, typer.Option("--hls", help="Write its dense network for an FPGA instead (extra hls).")
    ] = False,
    bits: Annotated[str, typer.Option(help="With --hls: widths of its numbers.")] = "8,10,12,16",
    reuse: Annotated[
        int, typer.Option(min=1, help="With --hls: multiplications that share a multiplier.")
    ] = 64,
    count: Annotated[int, typer.Option(help="With --hls: showers that are compared.")] = 2000,
    report: Annotated[
        Path | None,
        typer.Option(help="Report of `validate` about showers of this run: its numbers go into the bundle."),
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Of the weights, as CC-BY-4.0; by default 'not stated'.")
    ] = None,
    citation: Annotated[
        str | None, typer.Option(help="What to cite; by default the papers that the recipe names.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Turn a run into a bundle that a simulation loads, or a bundle into C++.

    The bundle's showers are compared with the run's; a bundle that differs is not written.

    Example: caloforge export runs/calogan --out calogan.bundle
    """
    check_purpose(context, _purpose(cpp, host, hls), _MEANT_FOR)
    if hls:
        _write_hls(source, out, bits, reuse, count, reference)
        return
    if cpp or host is not None:
        _write_native(source, out, host, particle)
        return
    from caloforge.deploy import export as write

    with progress_bar("Exporting") as progress:
        bundle = write(
            source,
            out,
            precision=[name.strip() for name in precision.split(",")],
            accept=accept,
            reference=reference,
            floor=floor,
            report=report,
            licence=licence,
            citation=citation,
            progress=progress,
        )
    show(bundle)
    for name, why in bundle.manifest.refused.items():
        say(f"  [red]{name}[/red]       not in the bundle: {raw(why)}")
    emit({"path": bundle.path, "manifest": bundle.manifest.model_dump(mode="json")})
    if bundle.manifest.refused and set(bundle.manifest.graphs) == {"fp32"}:
        raise typer.Exit(1)


def _purpose(cpp: bool, host: str | None, hls: bool) -> str:
    from caloforge.errors import CaloforgeError

    asked = {"--cpp": cpp, "--host": host is not None, "--hls": hls}
    several = [name for name, value in asked.items() if value]
    if len(several) > 1:
        raise CaloforgeError("one thing at a time", got=" and ".join(several), cure="keep one of them")
    return several[0] if several else _BUNDLE


def _write_native(source: str, out: Path, host: str | None, particle: str | None) -> None:
    from caloforge.deploy.native import export_cpp, export_host

    with progress_bar("Exporting") as progress:
        if host is not None:
            export_host(source, out, host, particle, progress)
        else:
            export_cpp(source, out, progress)
    files = sorted(str(file.relative_to(out)) for file in out.rglob("*") if file.is_file())
    say(f"[bold]{raw(out)}[/bold]: {raw(', '.join(files))}")
    say("  README.md says how to use it")
    emit({"path": out, "files": files})


def _write_hls(source: str, out: Path, bits: str, reuse: int, count: int, reference: Path | None) -> None:
    from dataclasses import asdict

    from caloforge.deploy.hls import export_hls

    with progress_bar("Building") as progress:
        result = export_hls(
            source,
            out,
            bits=whole_numbers(bits, "--bits"),
            reuse=reuse,
            count=count,
            reference=reference,
            progress=progress,
        )
    rows = [tuple(row.words().values()) for row in result.rows]
    table("Fixed point against float32", tuple(result.rows[0].words()), rows)
    say(f"[bold]{raw(out)}[/bold]: README.md says what was and what was not done")
    emit(asdict(result))


def show(bundle: Bundle) -> None:
    """Print what was exported and how near it is to the model."""
    graph = bundle.graph_entry()
    parity = graph.parity
    saved = graph.trained_parameters / graph.parameters
    folded = f", folded from {graph.trained_parameters:,} ({saved:.2f} x less to read)" if saved > 1 else ""
    batches = "/".join(map(str, parity.batches))
    name, detector = bundle.manifest.name, bundle.detector.name
    whose = "" if name.endswith(f" for {detector}") else f" for the detector {detector}"
    say(f"[bold]{raw(bundle.path)}[/bold]: {raw(name + whose)}")
    say(f"  valid for  {raw(bundle.manifest.valid)}")
    say(f"  graph      {graph.bytes / 1e6:.1f} MB, fp32, {graph.parameters:,} numbers{folded}")
    worst = f"{parity.max_abs_mev:.2g} MeV in any cell, {parity.max_relative:.1g} of the hottest one"
    say(f"  parity     {worst} ({parity.showers} showers in batches of {batches})")
    for precision, reduced in bundle.manifest.graphs.items():
        if reduced.rounding:
            about = _about(reduced.rounding, reduced.acceptance)
            say(f"  {precision:<9}  {reduced.bytes / 1e6:.1f} MB, {raw(about)}")


def _about(rounding: Rounding, acceptance: Acceptance | None) -> str:
    """What was rounded, what it did to the showers, and whether somebody judged it."""
    judged = f"accepted: {acceptance.required}" if acceptance else "not judged"
    return (
        f"{rounding.share:.0%} of the multiplications; energy {rounding.energy_bias:+.2%} +- "
        f"{rounding.energy_spread:.2%}, cells {rounding.cells:.2%} of their scatter, "
        f"hits {rounding.hits:.2%} others, typical cell {rounding.typical_cell:.2%}; {judged}"
    )
