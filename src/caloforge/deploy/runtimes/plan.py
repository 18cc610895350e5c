"""What an engine runs with: as told, as measured on this machine, or else what is sound anywhere."""

from __future__ import annotations

__all__ = ["AUTO", "Plan", "accepted_precisions", "make_plan"]

from dataclasses import dataclass

from caloforge import machine
from caloforge.deploy.bundle import Bundle
from caloforge.deploy.runtimes.calibration import Timing, choose
from caloforge.deploy.runtimes.kept import kept
from caloforge.deploy.runtimes.loading import check_runtime, runtimes_for
from caloforge.errors import MissingExtraError

AUTO = "auto"


@dataclass(frozen=True)
class Plan:
    """What an engine runs with.

    Attributes:
        runtime: Its name.
        precision: Of the graph.
        threads: Of one call.
        batch: Showers of one call where this was measured, or None.
    """

    runtime: str
    precision: str
    threads: int
    batch: int | None


def accepted_precisions(bundle: Bundle) -> tuple[str, ...]:
    """Full precision, and those reduced ones of which the manifest says why they are good enough."""
    graphs = bundle.manifest.graphs
    return tuple(name for name, graph in graphs.items() if name == "fp32" or graph.acceptance is not None)


def make_plan(bundle: Bundle, threads: int | None, runtime: str, precision: str) -> Plan:
    """Decide what is left open; nothing is measured here.

    Args:
        bundle: The bundle.
        threads: How many, or None.
        runtime: Its name, or "auto".
        precision: Of the graph, or "auto": any that the manifest says is accepted.

    Raises:
        BundleError: The bundle lacks the precision.
        CaloforgeError, MissingExtraError: The runtime does not exist, or not here.
    """
    if precision != AUTO:
        bundle.graph_entry(precision)
    precisions = accepted_precisions(bundle) if precision == AUTO else (precision,)
    if runtime != AUTO:
        check_runtime(runtime)
    best = _measured(bundle, precisions, threads, runtime)
    if best:
        return Plan(best.runtime, best.precision, best.threads, best.batch)
    sound = "fp32" if precision == AUTO else precision
    return Plan(_default(bundle, sound, runtime), sound, threads or machine.usable_cores(), None)


def _measured(
    bundle: Bundle, precisions: tuple[str, ...], threads: int | None, runtime: str
) -> Timing | None:
    found = kept(bundle)
    if found is None:
        return None
    able = {name: runtimes_for(bundle, name) for name in precisions}
    usable = [timing for timing in found.timings if timing.runtime in able.get(timing.precision, ())]
    return choose(usable, precisions, threads, None if runtime == AUTO else runtime)


def _default(bundle: Bundle, precision: str, runtime: str) -> str:
    if runtime != AUTO:
        return runtime
    able = runtimes_for(bundle, precision)
    if not able:
        raise MissingExtraError("openvino", "openvino")
    return able[0]
