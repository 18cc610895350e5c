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


_BUNDLE = "a bundle"
_MEANT_FOR = {
    "evaluations": (_BUNDLE,),
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
    evaluations: Annotated[
        int | None,
        typer.Option(
            min=1, help="Flow matching: how often the network is asked; by default as the recipe says."
        ),
    ] = None,
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
        return _write_hls(source, out, bits, reuse, count, reference)
    if cpp or host is not None:
        return _write_native(source, out, host, particle)
    from caloforge.deploy import export as write

    with progress_bar("Exporting") as progress:
        bundle = write(
            source,
            out,
            evaluations=evaluations,
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
    emit({"path": bundle.path, "manifest": bundle.manifest.model_dump(mode="json")})
    if bundle.manifest.all_refused:
        raise typer.Exit(1)
    return None


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

    widths = whole_numbers(bits, "--bits")
    with progress_bar("Building") as progress:
        result = export_hls(
            source, out, bits=widths, reuse=reuse, count=count, reference=reference, progress=progress
        )
    rows = [row.words() for row in result.rows]
    table("Fixed point against float32", tuple(rows[0]), [tuple(row.values()) for row in rows])
    say(f"[bold]{raw(out)}[/bold]: README.md says what was and what was not done")
    emit(asdict(result))


def show(bundle: Bundle) -> None:
    """Print what was exported, how near it is to the model, and what was refused."""
    from caloforge.deploy.bundle.summary import summary, title

    say(f"[bold]{raw(bundle.path)}[/bold]: {raw(title(bundle))}")
    for what, words in summary(bundle).items():
        say(f"  {what:<9}  {raw(words)}")
    for name, why in bundle.manifest.refused.items():
        say(f"  [red]{name:<9}[/red]  not in the bundle: {raw(why)}")
