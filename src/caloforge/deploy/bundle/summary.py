"""What was exported and how near it is to the model, in a few lines that people read."""

from __future__ import annotations

__all__ = ["summary", "title"]

from caloforge.deploy.bundle.bundle import Bundle
from caloforge.deploy.bundle.graph import Graph, Parity


def title(bundle: Bundle) -> str:
    """Name the generator and, where its own name does not, the detector."""
    name, detector = bundle.manifest.name, bundle.detector.name
    return name if name.endswith(f" for {detector}") else f"{name} for the detector {detector}"


def summary(bundle: Bundle) -> dict[str, str]:
    """Say in one line each: the trained range, the graph, its parity, and every reduced precision."""
    graph, graphs = bundle.graph_entry(), bundle.manifest.graphs
    return {
        "valid for": str(bundle.manifest.valid),
        "graph": _size(graph),
        "parity": _parity(graph.parity),
        **{name: _reduced(other) for name, other in graphs.items() if other.rounding},
    }


def _size(graph: Graph) -> str:
    saved = graph.trained_parameters / graph.parameters
    folded = f", folded from {graph.trained_parameters:,} ({saved:.2f} x less to read)" if saved > 1 else ""
    return f"{graph.bytes / 1e6:.1f} MB, fp32, {graph.parameters:,} numbers{folded}"


def _parity(parity: Parity) -> str:
    worst = f"{parity.max_abs_mev:.2g} MeV in any cell, {parity.max_relative:.1g} of the hottest one"
    return f"{worst} ({parity.showers} showers in batches of {'/'.join(map(str, parity.batches))})"


def _reduced(graph: Graph) -> str:
    """What was rounded, what it did to the showers, and whether somebody judged it."""
    judged = f"accepted: {graph.acceptance.required}" if graph.acceptance else "not judged"
    return f"{graph.bytes / 1e6:.1f} MB, {graph.rounding}; {judged}"
