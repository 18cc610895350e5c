"""`caloforge detector list | show | plot | materials | calibrate | import | export`: known ones and yours."""

from __future__ import annotations

__all__ = ["app"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from caloforge.cli.calibrate import calibrate
from caloforge.cli.completion import complete_detector
from caloforge.cli.terminal import JsonOption, emit, raw, say, table

if TYPE_CHECKING:
    from caloforge.detector import Detector, Fan, Row, Slab

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="List, show and draw detectors; list materials; read and write GDML.",
)

_Name = Annotated[
    str,
    typer.Argument(
        metavar="DETECTOR",
        help="A preset's name, a YAML file, or a binning file in XML.",
        autocompletion=complete_detector,
    ),
]
_Particle = Annotated[str | None, typer.Option(help="Whose binning, where the XML has several (photon, 22).")]
_Eta = Annotated[float | None, typer.Option(help="Of which slice of eta, in the units of the XML's etaMin.")]


@app.command("list")
def list_presets(json: JsonOption = False) -> None:
    """List the detectors that come with caloforge.

    Example: caloforge detector list
    """
    from caloforge.detector import load_detector, preset_names

    detectors = [load_detector(name) for name in preset_names()]
    table(
        "Detectors",
        ("name", "cells", "layers", "what it is"),
        [(f"[bold]{d.name}[/bold]", f"{d.n_cells:,}", d.n_layers, d.about) for d in detectors],
    )
    say("[dim]caloforge detector show NAME[/dim] says more; your own detector is one YAML file.")
    emit({"detectors": [_brief(detector) for detector in detectors]})


def _brief(detector: Detector) -> dict[str, object]:
    keys = ("name", "about", "source", "shape", "n_layers", "n_cells", "depth", "digest")
    return {key: getattr(detector, key) for key in keys}


@app.command()
def show(detector: _Name, particle: _Particle = None, eta: _Eta = None, json: JsonOption = False) -> None:
    """Say what a detector is made of and how it is read out.

    Example: caloforge detector show calogan

    Example: caloforge detector show binning.xml --particle photon --eta 10
    """
    from rich.markup import escape

    from caloforge.detector import load_detector
    from caloforge.detector.summary import describe, digitisation_rule, readout_rule

    found = load_detector(detector, particle, eta)
    say(f"[bold]{found.name}[/bold]  {escape(found.about)}")
    if found.source:
        say(f"[dim]{escape(found.source)}[/dim]")
    if found.binning and found.binning.eta:
        low, high = found.binning.eta
        say(f"PDG id {found.binning.pid}, eta from {low:g} to {high:g} in the binning file's own units")
    _show_stack(found)
    _show_materials(found)
    _show_layers(found)
    say(readout_rule(found))
    if found.digitisation:
        say(digitisation_rule(found))
    emit(describe(found))


def _show_stack(detector: Detector) -> None:
    from caloforge.detector.summary import stack_runs

    if not detector.slabs:
        say("\nReadout only: no material stack, so it cannot be simulated; depths are not known.\n")
        return
    rows = [
        (f"{run.start:g} to {run.end:g}", f"{run.repeat} x", " + ".join(map(_slab, run.slabs)))
        for run in stack_runs(detector)
    ]
    columns = (_depth(detector), "repeat", "slabs with their thickness in mm")
    table(f"Stack: {_size(detector)}", columns, rows)


def _slab(slab: Slab | Row | Fan) -> str:
    from math import degrees

    from caloforge.detector import Row, Slab

    if not isinstance(slab, Slab):
        plates = " + ".join(map(_slab, slab.sequence))
        if isinstance(slab, Row):
            return f"{slab.thickness:g} deep, across {slab.across}: ({plates})"
        turn = f"{slab.around} around, inclined {degrees(slab.angle):g} deg"
        return f"{slab.thickness:g} deep, {turn}: ({plates}), between them {_slab(slab.filling)}"
    text = f"{slab.material} {slab.thickness:g}"
    light = "" if slab.birks is None else f", Birks {slab.birks:g} mm/MeV"
    return f"[green]{text} (active{light})[/green]" if slab.active else text


def _depth(detector: Detector) -> str:
    return "radial depth mm" if detector.shape == "barrel" else "depth mm"


def _size(detector: Detector) -> str:
    size = detector.size or (0.0, 0.0)
    if detector.shape == "planar":
        return f"{size[0]:g} x {size[1]:g} mm, {detector.depth:g} mm deep, {len(detector.slabs)} slabs"
    radius = f"inner radius {detector.inner_radius:g} mm"
    return (
        f"barrel, {radius}, {2 * size[0]:g} mm long, {detector.depth:g} mm deep, {len(detector.slabs)} tubes"
    )


def _show_materials(detector: Detector) -> None:
    from caloforge.detector.summary import depth_axis, material_thickness

    if not detector.slabs:
        return
    rows = []
    for name, thickness in material_thickness(detector.slabs).items():
        mixture = detector.materials.get(name)
        made_of = "Geant4 NIST"
        if mixture:
            parts = ", ".join(f"{key} {part:.3g}" for key, part in mixture.composition.items())
            made_of = f"{mixture.density:g} g/cm3: {parts}"
        rows.append((name, f"{thickness:g}", f"{100 * thickness / detector.depth:.1f} %", made_of))
    table(
        f"Materials along {depth_axis(detector)}",
        ("material", "mm", "share", "made of (mass fractions)"),
        rows,
    )


def _show_layers(detector: Detector) -> None:
    from caloforge.detector.summary import cell_count, cell_size, layer_groups

    rows = []
    for group in layer_groups(detector):
        first, last = group[0], group[-1]
        name = first.name if len(group) == 1 else f"{first.name} to {last.name}"
        depth = "unknown" if detector.depth_is_nominal else f"{first.start:g} to {last.end:g}"
        total = f"{first.n_cells * len(group):,}"
        rows.append((name, depth, len(group), cell_count(first.grid), cell_size(first.grid), total))
    columns = ("layers", _depth(detector), "number", "cells per layer", "cell size", "cells")
    table(f"Readout: {detector.n_layers} layers, {detector.n_cells:,} cells", columns, rows)


@app.command()
def plot(
    detector: _Name,
    *,
    particle: _Particle = None,
    eta: _Eta = None,
    out: Annotated[Path, typer.Option("--out", help="The picture: .png, .svg or .pdf.")],
    layer: Annotated[
        list[str] | None, typer.Option("--layer", help="Layer whose face to draw; may be repeated.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Draw a detector to scale: from the side, and the cells of its layers.

    Example: caloforge detector plot calogan --out calogan.png
    """
    from caloforge.detector import load_detector
    from caloforge.detector.drawing import draw

    found = load_detector(detector, particle, eta)
    faces = draw(found, out, layer)
    say(f"[bold]{raw(out)}[/bold]: {found.name} from the side, and the cells of {', '.join(faces)}")
    emit({"picture": str(out), "detector": found.name, "layers": faces})


@app.command()
def materials(
    pattern: Annotated[
        str | None, typer.Argument(help="Part of a name (iodide), a pattern ('G4_l*') or a word (lead).")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List Geant4's materials with their density and what they are to a shower.

    Example: caloforge detector materials lead
    """
    from caloforge.detector.nist import find_materials

    found = find_materials(pattern)
    columns = ("material", "g/cm3", "radiation length mm", "Moliere radius mm", "interaction length mm")
    table("Materials", columns, [(m.name, *(f"{v:.4g}" for v in list(vars(m).values())[1:5])) for m in found])
    say("[dim]Mixtures of your own go under `materials:` in the detector's file.[/dim]")
    emit({"materials": [vars(m) for m in found]})


app.command()(calibrate)


@app.command("import")
def import_gdml(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A GDML file.")],
    out: Annotated[Path, typer.Option("--out", help="The detector file to make, .yaml.")],
    active: Annotated[
        list[str] | None,
        typer.Option(
            "--active", help="Material that is read out; may be repeated. Default: SensDet volumes."
        ),
    ] = None,
    axis: Annotated[
        Literal["x", "y", "z", "radius"] | None,
        typer.Option(help="Where depth runs in the file. Default: where most is met."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a detector file of a GDML geometry: a stack of boxes, or of tubes around each other.

    What cannot be taken over is named. The readout is one layer of 10 x 10 cells: write your own.

    Example: caloforge detector import testbeam.gdml --active G4_Si --out testbeam.yaml
    """
    from caloforge.detector.gdml import read_gdml
    from caloforge.writing import new_file

    found = read_gdml(file, active or (), axis)
    with new_file(out) as made:
        made.write(found.detector.to_yaml().encode())
    along = "radius of its tubes" if found.axis == "radius" else f"{found.axis} axis"
    say(f"[bold]{raw(out)}[/bold]: {_size(found.detector)}; depth runs along the {along}")
    for what in found.left_out:
        say(f"[yellow]left out[/yellow] {raw(what)}")
    if not any(plate.active for plate in found.detector.plates):
        say("No slab is active, so all deposits count; [bold]--active MATERIAL[/bold] says what is read out.")
    say("[dim]Its readout is one layer of 10 x 10 cells: edit `readout:` in the file.[/dim]")
    emit({"detector": out, "axis": found.axis, "left_out": found.left_out})


@app.command("export")
def export_gdml(
    detector: _Name,
    gdml: Annotated[Path, typer.Option("--gdml", help="The GDML file to make.")],
    json: JsonOption = False,
) -> None:
    """Write the geometry that Geant4 is given as GDML, for other programs. Cells are not in it.

    Example: caloforge detector export calogan --gdml calogan.gdml
    """
    from caloforge.detector import load_detector
    from caloforge.truth.gdml import write_gdml

    found = load_detector(detector)
    write_gdml(found, gdml)
    say(f"[bold]{raw(gdml)}[/bold]: {_size(found)}; volumes that are read out are marked SensDet")
    emit({"gdml": gdml, "detector": found.name, "volumes": len(found.plates)})
