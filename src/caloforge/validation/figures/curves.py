"""Figures with a ratio panel: histograms, profiles, response and resolution."""

from __future__ import annotations

__all__ = ["histogram_figure", "incident_figure", "linearity_figures", "profile_figure"]

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.distances import Distance
from caloforge.validation.figures.ratio import Curve, Frame, ratio_figure
from caloforge.validation.figures.style import unit_scale
from caloforge.validation.items import Histogram
from caloforge.validation.linearity import Linearity
from caloforge.validation.profiles import Profile
from caloforge.validation.sample import Sample

Array = NDArray[np.float64]


def histogram_figure(distance: Distance, name: str, y: str = "Showers per bin") -> str:
    """Draw the distribution of an observable; returns SVG.

    Args:
        distance: With a histogram.
        name: Unique in the page.
        y: Label of the vertical axis.
    """
    histogram = distance.histogram
    if histogram is None:
        raise ValueError(f"{distance.name} has no histogram")
    histogram = _trimmed(histogram)
    unit, scale = unit_scale(distance.unit, 0.0 if histogram.log else float(histogram.edges[-1]))
    counts = (histogram.reference, histogram.floor, histogram.candidate)
    frame = Frame(name, histogram.edges / scale, distance.label, unit, y, x_log=histogram.log)
    return ratio_figure(frame, *(_counted(c[: len(frame.edges) - 1]) for c in counts))


def _counted(counts: NDArray[np.int64]) -> Curve:
    return Curve(counts.astype(np.float64), np.sqrt(counts))


def _trimmed(histogram: Histogram, most: int = 60) -> Histogram:
    """Cut empty bins off both ends and join bins until at most `most` are left."""
    bins = len(histogram.edges) - 1
    if bins <= most:
        return histogram
    filled = np.flatnonzero(histogram.reference[:bins] + histogram.floor[:bins] + histogram.candidate[:bins])
    if len(filled) == 0:
        return histogram
    group = -(-(filled[-1] + 1 - filled[0]) // most)
    starts = np.arange(filled[0], filled[-1] + 1, group)
    stop = min(starts[-1] + group, bins)
    joined = (
        np.add.reduceat(c[:stop], starts) for c in (histogram.reference, histogram.floor, histogram.candidate)
    )
    return Histogram(histogram.edges[[*starts, stop]], histogram.log, *joined)


def profile_figure(profile: Profile, reference: Sample, floor: Sample, candidate: Sample) -> str:
    """Draw a mean profile; returns SVG."""
    y = "Energy per mm [MeV/mm]" if profile.density else "Energy [MeV]"
    frame = Frame(profile.name, profile.edges, profile.axis, "", y)
    return ratio_figure(frame, *(_profile(profile, sample) for sample in (reference, floor, candidate)))


def _profile(profile: Profile, sample: Sample) -> Curve:
    blocks = profile.project(sample.block_means) / profile.widths
    mean = profile.project(sample.mean_cells[None])[0] / profile.widths
    return Curve(mean, blocks.std(axis=0, ddof=1) / np.sqrt(len(blocks)))


def linearity_figures(
    edges: Array, reference: Linearity, floor: Linearity, candidate: Linearity
) -> tuple[str, str]:
    """Draw response and resolution against incident energy; returns two SVGs."""
    unit, scale = unit_scale("MeV", float(edges[-1]))
    log = bool(edges[-1] > 30 * edges[0] and np.diff(edges)[-1] > 3 * np.diff(edges)[0])
    samples = (reference, floor, candidate)

    def frame(name: str, y: str) -> Frame:
        x, positions = "Incident energy $E_{inc}$", reference.energy / scale
        return Frame(name, edges / scale, x, unit, y, x_log=log, positions=positions, steps=False)

    response = ratio_figure(
        frame("linearity", r"Response $\langle E_{tot}/E_{inc}\rangle$"),
        *(Curve(s.response, s.response_error) for s in samples),
    )
    resolution = ratio_figure(
        frame("resolution", r"Resolution $\sigma_{90}/\mu_{90}$ [%]"),
        *(Curve(100 * s.resolution, 100 * s.resolution_error) for s in samples),
    )
    return response, resolution


def incident_figure(edges: Array, log: bool, energies: Sequence[NDArray[np.floating]]) -> str:
    """Draw the spectra of incident energy of reference, floor and candidate (MeV); returns SVG."""
    unit, scale = unit_scale("MeV", float(edges[-1]))
    frame = Frame("incident", edges / scale, "Incident energy $E_{inc}$", unit, "Showers per bin", x_log=log)
    return ratio_figure(frame, *(_counted(np.histogram(e, edges)[0]) for e in energies))
