"""One event, full and fast side by side: the calorimeter from the side, its busiest layer, its depth."""

from __future__ import annotations

__all__ = ["Pair", "check_picture", "draw"]

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import CartesianGrid, Detector, Layer, Slab
from caloforge.errors import ShowersError
from caloforge.particles import particle_name
from caloforge.writing import Output, replace_bytes

if TYPE_CHECKING:
    from caloforge.simulation.fastsim.primaries import Portion
    from caloforge.simulation.fastsim.simulation import Outcome

Real = NDArray[np.float64]
_FORMATS = ".png", ".svg", ".pdf"
_INK, _SOFT, _RULE, _PAPER = "#1d2329", "#5d6772", "#d9dde2", "#fbfbfa"
_FULL, _FAST = "#0b5394", "#c2410c"
_BLUES = ("#e3eefb", "#7fb2e5", "#1f6fbf", "#08306b")
_WARM = ("#fff0df", "#fdb366", "#e8590c", "#7a1f02")
_LEFT = 0.065  # where texts begin
_DECADES = 4.5  # of energy below the greatest that the colours resolve
_INSIDE = 0.999  # of the energy that the drawn part of the face holds
_ARROWS = 24  # primaries that are drawn


@dataclass(frozen=True, eq=False)
class Pair:
    """One event of a portion, once full and once fast.

    Attributes:
        portion: The event's primaries.
        full: Energies of all cells in full simulation, MeV, shape `(n_cells,)`.
        geant4: In the fast one, what Geant4 did.
        generated: In the fast one, what bundles did.
    """

    portion: Portion
    full: Real
    geant4: Real
    generated: Real

    @classmethod
    def of(cls, portion: Portion, full: Outcome, fast: Outcome, threshold: float | None) -> Pair:
        """Take the first event of a portion."""
        kept = fast.cells(threshold)[0] > 0
        geant4, generated = (np.where(kept, part[0], 0.0) for part in (fast.geant4, fast.generated))
        return cls(portion.head(), full.cells(threshold)[0].astype(float), geant4, generated)


def draw(pair: Pair, detector: Detector, before: tuple[Slab, ...], out: Path) -> None:
    """Draw an event.

    Args:
        pair: The event.
        detector: A planar one with cartesian cells.
        before: What stands before it.
        out: The picture: .png, .svg or .pdf.

    Raises:
        ShowersError: Another kind of picture.
        OutputError: It cannot be written.
    """
    _check_kind(out)
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(11.5, 7.9), facecolor="white")
    figure.text(_LEFT, 0.948, _title(pair, detector), fontsize=15, color=_INK, weight="bold")
    figure.text(_LEFT, 0.913, _subtitle(pair, detector, before), fontsize=10, color=_SOFT)
    upper = figure.add_gridspec(1, 2, left=_LEFT, right=0.87, top=0.845, bottom=0.46, wspace=0.08)
    lower = figure.add_gridspec(
        1, 3, width_ratios=(1, 1, 1.5), left=_LEFT, right=0.985, top=0.345, bottom=0.065, wspace=0.14
    )
    norm, reach, layer = _norm(pair, detector), _reach(pair, detector), _busiest(pair, detector)
    for column, (name, colour, parts) in enumerate(_views(pair)):
        side, face = figure.add_subplot(upper[0, column]), figure.add_subplot(lower[0, column])
        _side(side, detector, before, pair, parts, norm, reach)
        _face(face, layer, parts, norm, reach)
        _named(side, f"{name} simulation", colour, _told(*parts))
        face.set_title(f"{name}: face of {_plain(layer)}", fontsize=10, color=colour, loc="left", pad=5)
        for ax in (side, face) if column else ():
            ax.tick_params(labelleft=False)
            ax.set_ylabel("")
    _bars(figure, norm)
    _depth(figure.add_subplot(lower[0, 2]), pair, detector)
    drawn = io.BytesIO()
    figure.savefig(drawn, format=out.suffix[1:].lower(), dpi=150)
    replace_bytes(out, drawn.getvalue())


def _views(pair: Pair) -> list[tuple[str, str, tuple[Real, Real | None]]]:
    """Both simulations: name, colour, what Geant4 did and what bundles did."""
    return [("Full", _FULL, (pair.full, None)), ("Fast", _FAST, (pair.geant4, pair.generated))]


def check_picture(out: Path) -> None:
    """See that a picture can be written, before the work that ends with it.

    Raises:
        ShowersError: A name of which no picture can be made.
        OutputError: No such folder, no permission, or another process writes it.
    """
    _check_kind(out)
    Output(out, replace=True).abandon()


def _check_kind(out: Path) -> None:
    if out.suffix.lower() not in _FORMATS:
        raise ShowersError("no such kind of picture", where=out, got=out.suffix, expected=", ".join(_FORMATS))


def _title(pair: Pair, detector: Detector) -> str:
    incident = pair.portion.incident
    energy = float(incident.energy.sum(dtype=np.float64)) / 1e3
    kinds = ", ".join(particle_name(int(pdg)) for pdg in np.unique(incident.pdg))
    many = f"{len(incident)} particles ({kinds})" if len(incident) > 1 else kinds
    return f"{many} with {energy:.3g} GeV in {detector.name}"


def _subtitle(pair: Pair, detector: Detector, before: tuple[Slab, ...]) -> str:
    total = float(pair.geant4.sum() + pair.generated.sum())
    share = 100 * float(pair.generated.sum()) / total if total else 0.0
    material = "".join(f" behind {slab.thickness:.3g} mm of {slab.material}" for slab in before)
    seen = (
        ""
        if detector.readout.deposits == "all"
        else f" Energies are those in the {detector.readout.deposits} layers."
    )
    return f"The same event twice{material}. In the fast one {share:.3g} % of the energy was generated.{seen}"


def _plain(layer: Layer) -> str:
    return layer.name.replace("_", " ")


def _told(geant4: Real, generated: Real | None) -> str:
    total = geant4 if generated is None else geant4 + generated
    return f"{float(total.sum()) / 1e3:.4g} GeV in {int((total > 0).sum()):,} cells"


def _norm(pair: Pair, detector: Detector) -> Any:
    """Colours for single cells and for what is seen from the side, which are sums of cells."""
    from matplotlib.colors import LogNorm

    shown = (pair.full, pair.geant4 + pair.generated)
    top = max(float(_pieces(layer, cells, True)[2].max()) for layer in detector.layers for cells in shown)
    return LogNorm(max(top, 1e-6) / 10**_DECADES, max(top, 1e-6))


def _colours(name: str, stops: tuple[str, ...]) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, stops)


def _reach(pair: Pair, detector: Detector) -> tuple[float, float]:
    """Half the width in x and y that holds nearly all energy, and all places where primaries enter."""
    energy, found = pair.full + pair.geant4 + pair.generated, []
    for axis, places in enumerate((pair.portion.incident.x, pair.portion.incident.y)):
        away = np.abs(detector.positions[:, axis]) + detector.sizes[:, axis] / 2
        order = np.argsort(away)
        held = np.cumsum(energy[order])
        row = min(int(np.searchsorted(held, _INSIDE * held[-1])), len(order) - 1)
        most = max(layer.grid.reach[axis] for layer in detector.layers)
        found.append(min(most, max(float(away[order[row]]), float(np.abs(places).max()) * 1.2)))
    return found[0], found[1]


def _busiest(pair: Pair, detector: Detector) -> Layer:
    energy = pair.full + pair.geant4 + pair.generated
    # Of two layers that differ little, the one with more cells shows more.
    return max(
        detector.layers, key=lambda layer: float(energy[layer.cells].sum()) * np.log(layer.n_cells + 1)
    )


def _pieces(layer: Layer, cells: Real, side: bool) -> tuple[Real, Real, Real]:
    grid = layer.grid
    assert isinstance(grid, CartesianGrid)
    energy = cells[layer.cells].reshape(layer.shape)
    if side:
        return np.array([layer.start, layer.end]), grid.y_edges, energy.sum(axis=0)[:, None]
    return grid.x_edges, grid.y_edges, energy.T


def _mesh(ax: Any, layer: Layer, parts: tuple[Real, Real | None], norm: Any, side: bool) -> None:
    """Cells in the colour of whoever gave them more energy."""
    geant4, generated = parts
    across, up, blue = _pieces(layer, geant4, side)
    warm = np.zeros_like(blue) if generated is None else _pieces(layer, generated, side)[2]
    total = blue + warm
    for mine, others, colours in ((blue, warm, _colours("b", _BLUES)), (warm, blue, _colours("w", _WARM))):
        shown = np.ma.masked_where((total <= norm.vmin) | (mine <= others), total)
        ax.pcolormesh(across, up, shown, cmap=colours, norm=norm, linewidth=0, rasterized=True)


def _side(
    ax: Any,
    detector: Detector,
    before: tuple[Slab, ...],
    pair: Pair,
    parts: tuple[Real, Real | None],
    norm: Any,
    reach: tuple[float, float],
) -> None:
    from matplotlib.patches import Rectangle

    half = reach[1]
    ax.add_patch(Rectangle((0, -half), detector.depth, 2 * half, facecolor=_PAPER, edgecolor="none"))
    for layer in detector.layers:
        _mesh(ax, layer, parts, norm, side=True)
        for depth in (layer.start, layer.end) if detector.n_layers <= 8 else ():
            ax.axvline(depth, color=_RULE, linewidth=0.8, zorder=0.5)
    for slab in before:
        ax.add_patch(
            Rectangle(
                (slab.start, -half),
                slab.thickness,
                2 * half,
                facecolor="#e9ecef",
                edgecolor="#aab2bb",
                hatch="////",
                linewidth=0.6,
            )
        )
    start = min([0.0, *(slab.start for slab in before)])
    margin = 0.13 * (detector.depth - start)
    _arrows(ax, pair, start - margin, start)
    ax.set_xlim(start - 1.25 * margin, detector.depth * 1.01)
    _axes(ax, "depth [mm]", "y [mm]", half)


def _arrows(ax: Any, pair: Pair, tail: float, head: float) -> None:
    incident = pair.portion.incident
    slope = np.tan(incident.theta.astype(float)) * np.sin(incident.phi.astype(float))
    for y, rise in list(zip(incident.y.astype(float), slope, strict=True))[:_ARROWS]:
        ends = (head, y + rise * head), (tail, y + rise * tail)
        ax.annotate(
            "", *ends, arrowprops={"arrowstyle": "-|>", "color": _INK, "lw": 1.1, "shrinkA": 0, "shrinkB": 0}
        )


def _face(
    ax: Any, layer: Layer, parts: tuple[Real, Real | None], norm: Any, reach: tuple[float, float]
) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((-reach[0], -reach[1]), 2 * reach[0], 2 * reach[1], facecolor=_PAPER))
    _mesh(ax, layer, parts, norm, side=False)
    box = ax.get_window_extent()
    wide = max(reach[0], reach[1] * box.width / box.height)  # a millimetre is as long in both directions
    ax.set_xlim(-wide, wide)
    _axes(ax, "x [mm]", "y [mm]", wide * box.height / box.width)


def _axes(ax: Any, across: str, up: str, half: float) -> None:
    ax.set_ylim(-half, half)
    ax.set_xlabel(across, fontsize=9, color=_SOFT)
    ax.set_ylabel(up, fontsize=9, color=_SOFT)
    ax.tick_params(labelsize=8, colors=_SOFT, length=3)
    for side in ax.spines.values():
        side.set_color(_RULE)


def _named(ax: Any, name: str, colour: str, told: str) -> None:
    ax.text(0.0, 1.035, name, transform=ax.transAxes, fontsize=12, color=colour, weight="bold")
    ax.text(1.0, 1.035, told, transform=ax.transAxes, fontsize=9, color=_SOFT, ha="right")


def _bars(figure: Any, norm: Any) -> None:
    from matplotlib.cm import ScalarMappable

    for number, (name, stops) in enumerate((("Geant4", _BLUES), ("generated", _WARM))):
        ax = figure.add_axes((0.893 + 0.022 * number, 0.46, 0.013, 0.345))
        bar = figure.colorbar(ScalarMappable(norm, _colours("c", stops)), cax=ax)
        bar.outline.set_visible(False)
        bar.minorticks_off()
        ax.tick_params(labelsize=8, colors=_SOFT, length=2 * number, labelright=number == 1)
        ax.text(
            0.5, 1.015, name, transform=ax.transAxes, fontsize=8.5, rotation=55, color=(_FULL, _FAST)[number]
        )
    figure.text(0.972, 0.632, "energy [MeV]", fontsize=9, color=_SOFT, rotation=90, va="center")
    told = "the colour of\nwho gave a cell\nmore energy"
    figure.text(0.883, 0.44, told, fontsize=8, color=_SOFT, va="top", linespacing=1.35)


def _depth(ax: Any, pair: Pair, detector: Detector) -> None:
    full, geant4, generated = (
        np.array([part[layer.cells].sum() for layer in detector.layers]) / 1e3
        for part in (pair.full, pair.geant4, pair.generated)
    )
    few = detector.n_layers <= 8
    if few:
        edges = np.arange(detector.n_layers + 1) - 0.5
        ax.set_xticks(range(detector.n_layers), [_plain(layer) for layer in detector.layers])
    else:
        edges = np.array([*(layer.start for layer in detector.layers), detector.layers[-1].end])
    ax.stairs(geant4 + generated, edges, baseline=geant4, fill=True, color="#f7b27a", label="fast: generated")
    if geant4.any():
        ax.stairs(geant4, edges, fill=True, color="#a9cbea", label="fast: Geant4")
    ax.stairs(full, edges, color=_FULL, linewidth=1.8, label="full")
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0, 1.12 * max(float(full.max()), float((geant4 + generated).max()), 1e-9))
    ax.set_xlabel("" if few else "depth [mm]", fontsize=9, color=_SOFT)
    ax.set_title("GeV per layer", fontsize=10, color=_SOFT, loc="left", pad=5)
    ax.tick_params(labelsize=8, colors=_SOFT, length=3)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(_RULE)
    above: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}
    ax.legend(
        ncols=3, frameon=False, fontsize=8.5, labelcolor=_SOFT, columnspacing=1.0, handlelength=1.2, **above
    )
