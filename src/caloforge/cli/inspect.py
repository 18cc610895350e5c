"""`caloforge inspect`: what is in a shower file."""

from __future__ import annotations

__all__ = ["inspect"]

from pathlib import Path
from typing import Annotated, Any

import typer

from caloforge.cli.terminal import JsonOption, emit, progress_bar, raw, say, table

_BARS = " ▁▂▃▄▅▆▇█"
_MAX_LAYERS = 12


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A shower file of any known format.")],
    picture: Annotated[
        Path | None,
        typer.Option(help="Draw the average image of each layer and one shower: .png, .svg, .pdf."),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Preset, YAML or binning XML, where FILE cannot say what was hit.")
    ] = None,
    from_: Annotated[str | None, typer.Option("--from", help="Format of FILE, if not told from it.")] = None,
    json: JsonOption = False,
) -> None:
    """Say what is in a shower file, and draw it.

    Example: caloforge inspect showers.h5 --picture showers.png
    """
    from caloforge.detector import load_detector
    from caloforge.showers.formats import open_showers
    from caloforge.showers.survey import summary, survey

    given = load_detector(detector) if detector else None
    with open_showers(file, given, format=from_) as source:
        with progress_bar("Reading") as progress:
            sums = survey(source, progress)
        found = summary(source, sums)
        if picture:
            from caloforge.showers.picture import draw

            found["picture"] = str(draw(source, sums, picture))
    _print(found)
    emit(found)


def _print(found: dict[str, Any]) -> None:
    detector = found["detector"]
    state = "" if found["finished"] else "  [yellow]production not finished[/yellow]"
    say(f"[bold]{raw(found['file'])}[/bold]  {_size(found['bytes'])}, format {found['format']}{state}")
    showers = f"{found['showers']:,} showers of {_particles(found['particles'])}"
    size = f"{detector['layers']} layers, {detector['cells']:,} cells"
    say(f"{showers} in [bold]{detector['name']}[/bold], {size}")
    say(f"[dim]{raw(detector['about'])}[/dim]\n")
    for line in _facts(found):
        say(line)
    _print_response(found["response"])
    _print_layers(found["layers"])
    _print_provenance(found)


def _facts(found: dict[str, Any]) -> list[str]:
    ranges = [_range(name, *limits) for name, limits in found["incident"].items()]
    lines = [
        f"incident   {'; '.join(r for r in ranges if r)}",
        f"sparsity   {found['hits_per_shower']:,.1f} cells with energy per shower, "
        f"{100 * found['occupancy']:.2f} % of all",
    ]
    if found["cell_energy"]:
        low, high = found["cell_energy"]
        lines.append(f"cells      {low:.4g} to {high:,.4g} MeV")
    if found["overflow_fraction"]:
        lines.append(
            f"overflow   {100 * found['overflow_fraction']:.3g} % of the energy lies beside the grids"
        )
    if times := [layer["time"] for layer in found["layers"] if layer["time"]]:
        low, high = min(time["least"] for time in times), max(time["greatest"] for time in times)
        lines.append(f"times      {low:.3g} to {high:,.4g} ns after light from the front face could be there")
    bad = found["bad"]
    state = f"[red]bad: {bad['text']}[/red]" if bad["showers"] else "[green]all energies possible[/green]"
    lines.append(f"content    {state}")
    if repeated := found["repeated"]["showers"]:
        one, other = found["repeated"]["first"]
        lines.append(
            f"repeated   [red]{repeated:,} showers were there before, bit for bit[/red]: the first is number "
            f"{other:,}, the same as number {one:,} (from 0)"
        )
    return lines


def _range(name: str, low: float, high: float) -> str:
    from math import degrees

    if name == "energy":
        return f"{low / 1000:.4g} GeV" if low == high else f"{low / 1000:.4g} to {high / 1000:.4g} GeV"
    if low == high == 0:
        return ""
    low, high, unit = (degrees(low), degrees(high), "°") if name in ("theta", "phi") else (low, high, " mm")
    return f"{name} {low:.4g}{unit}" if low == high else f"{name} {low:.4g} to {high:.4g}{unit}"


def _print_response(rows: list[dict[str, Any]]) -> None:
    lines = [
        (_energy(*row["energy"]), f"{row['showers']:,}", f"{row['mean']:#.4g}", _percent(row["spread"], 2))
        for row in rows
    ]
    if not rows:
        return  # no shower has possible energies, and that has been said
    say("\n[bold]Response[/bold]: energy in the cells over incident energy")
    table(
        "",
        ("energy", "showers", "mean", "spread"),
        lines[1:] if len(lines) == 2 else [("all", *lines[0][1:]), *lines[1:]],
    )


def _energy(low: float, high: float) -> str:
    return f"{low / 1000:g} to {high / 1000:g} GeV"


def _print_layers(layers: list[dict[str, Any]]) -> None:
    top = max(layer["mean"] for layer in layers) or 1.0
    if len(layers) > _MAX_LAYERS:
        peak = max(range(len(layers)), key=lambda i: layers[i]["mean"])
        bars = "".join(_BARS[round(8 * layer["mean"] / top)] for layer in layers)
        say(f"[bold]Profile[/bold]  [cyan]{bars}[/cyan]  mean energy; most in {layers[peak]['name']}\n")
        step = -(-len(layers) // _MAX_LAYERS)
        layers = [layers[i] for i in sorted({*range(0, len(layers), step), peak, len(layers) - 1})]
    timed = any(layer["time"] for layer in layers)
    rows = [
        (
            layer["name"],
            f"{layer['mean']:,.0f}" if layer["mean"] >= 1e4 else f"{layer['mean']:.4g}",
            _percent(layer["spread"], 1),
            _percent(layer["fraction"], 2),
            _percent(layer["occupancy"], 1),
            *(_times(layer["time"]) if timed else ()),
            "[cyan]" + "█" * round((12 if timed else 24) * layer["mean"] / top) + "[/cyan]",
        )
        for layer in layers
    ]
    when = ("half by", "90 % by") if timed else ()
    table("Layers", ("layer", "mean MeV", "spread", "share", "cells hit", *when, ""), rows)


def _times(time: dict[str, float] | None) -> tuple[str, str]:
    """When half of the energy is there, and nearly all."""
    return ("", "") if time is None else (f"{time['median']:.3g} ns", f"{time['p90']:.3g} ns")


def _print_provenance(found: dict[str, Any]) -> None:
    for note in found["notes"]:
        say(f"[dim]note: {raw(note)}[/dim]")
    for key, value in found["provenance"].items():
        if key == "converted":
            value = "; ".join(f"from {step['from']} ({step['format']})" for step in value)
        if value is not None:
            say(f"[dim]{key + ':':<17}[/dim] {_plain(value)}")
    say(
        f"[dim]{'checksum:':<17}[/dim] {found['checksum']}  [dim]of the content, the same in any format[/dim]"
    )
    if "picture" in found:
        say(f"\n[bold]{raw(found['picture'])}[/bold]")


def _plain(value: Any) -> str:
    from rich.markup import escape

    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(_plain(item) for item in value)
    return escape(f"{value:.6g}" if isinstance(value, float) else str(value))


def _particles(counts: dict[str, int]) -> str:
    if list(counts) == ["unknown"]:
        return "an unknown particle"
    return ", ".join(name if len(counts) == 1 else f"{name} ({count:,})" for name, count in counts.items())


def _percent(value: float | None, digits: int) -> str:
    return "" if value is None else f"{100 * value:.{digits}f} %"


def _size(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.2f} MB"
