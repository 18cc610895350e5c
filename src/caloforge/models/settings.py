"""What a recipe may say about a model; free of torch, so that a recipe can be read quickly."""

from __future__ import annotations

__all__ = [
    "MOST_EVALUATIONS",
    "Activation",
    "CaloganSettings",
    "Conv2dSettings",
    "FitSettings",
    "FittedSettings",
    "FlowSettings",
    "Gan3dAngleSettings",
    "Gan3dSettings",
    "GrownSettings",
    "LaganSettings",
    "Look",
    "MatchingSettings",
    "ModelSettings",
    "Stage",
    "TunedSettings",
]

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_EVALUATIONS = 64
"""Of a network on the way from noise to a shower."""
Whole = Annotated[int, Field(gt=0, le=10**6)]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    objectives: ClassVar[tuple[str, ...]] = ("adversarial", "distance", "evolution")
    """Kinds of objectives that suit such a model; the first is taken where a recipe names none."""


class CaloganSettings(_Settings):
    """CaloGAN, arXiv:1705.02355: one LAGAN stream for each readout layer, joined by in-painting attention.

    Its scales are those of showers of up to 100 GeV.
    """

    kind: Literal["calogan"] = "calogan"
    latent: Whole = 1024
    """Numbers of noise that seed one shower."""
    attention: bool = True
    """Let each layer take over parts of the layer before it."""
    particles: tuple[int, ...] = ()
    """PDG ids that one model tells apart (ACGAN); none: one particle, whichever it is."""
    given: tuple[Literal["theta", "phi", "x", "y"], ...] = ()
    """Incident columns besides the energy that showers are made for."""
    energy_well: bool = True
    """Show the critic how far the energy is from what was asked for, and how the layers' energies compare
    within the batch."""


class LaganSettings(_Settings):
    """LAGAN, arXiv:1701.05927: images of one layer, told apart by class."""

    kind: Literal["lagan"] = "lagan"
    form: Literal["lagan", "dcgan", "fcn", "hybrid"] = "lagan"
    """The networks: locally connected, convolutional, fully connected, or the mean of the latter two."""
    latent: Whole = 200
    """Numbers of noise that seed one shower."""
    particles: tuple[int, ...] = ()
    """PDG ids of the classes that are told apart; none: one class."""
    scale: Positive = 0.01
    """What energies of cells in GeV are multiplied with before the networks see them."""
    dropout: Share = 0.2
    """Share of the critic's features that are left out at each step."""


class Gan3dSettings(_Settings):
    """3DGAN for orthogonal incidence, arXiv:1912.06794 and svalleco/3Dgan: three-dimensional convolutions."""

    kind: Literal["gan3d"] = "gan3d"
    latent: Whole = 200
    """Numbers of noise that seed one shower."""
    scale: Positive = 100.0
    """What energies of cells in GeV are multiplied with before the networks see them."""
    dropout: Share = 0.2
    """Share of the critic's features that are left out at each step."""


class Gan3dAngleSettings(_Settings):
    """3DGAN for any angle, EPJC 82:386 (arXiv:2109.07388): energies of cells to a power, angle as input."""

    kind: Literal["gan3d-angle"] = "gan3d-angle"
    latent: Annotated[int, Field(gt=2)] = 256
    """Numbers that seed one shower; energy and angle take the place of two of them."""
    scale: Positive = 50.0
    """What energies of cells in GeV are multiplied with before the networks see them."""
    power: Annotated[float, Field(gt=0, le=1)] = 0.85
    """Exponent that brings the energies of cells closer together."""
    dropout: Share = 0.2
    """Share of the critic's features that are left out at each step."""


class Conv2dSettings(_Settings):
    """The two-dimensional 3DGAN, arXiv:2105.08960: one axis of the shower is the channels of an image."""

    kind: Literal["conv2d"] = "conv2d"
    form: Literal["branches", "residual", "planes"] = "residual"
    """Three branches that see the shower along its three axes; one branch with residual sums over the axes,
    the best in the publication; or one small branch for each plane."""
    latent: Whole = 200
    """Numbers of noise that seed one shower."""
    dropout: Share = 0.2
    """Share of features that are left out at each step, in generator and critic."""
    linear_epochs: Annotated[int, Field(ge=0)] = 2
    """Epochs before the final ReLU cuts off negative energies."""


class FitSettings(_Settings):
    """How finely a model is fitted to real showers; docs/fitted.md has the formulas."""

    parts: Whole = 16
    """Parts of the showers, by incident energy or by the energy of a layer, between which fits go along
    straight lines."""
    enough: Whole = 400
    """Showers of a part; mirror images count."""
    knots: Annotated[int, Field(ge=3)] = 65
    """Quantiles of the energies of layers and of what else describes a whole shower."""
    levels: Annotated[int, Field(ge=3)] = 33
    """Quantiles of a cell's hits."""
    hits: Whole = 200
    """Hits in a part that tell a distribution: cells with fewer share it with those hit about as often."""
    seen: Share = 0.01
    """Share of the showers in which a cell is hit, below which nothing is told of what it goes with."""
    components: Whole = 6
    """Principal components of what describes a whole shower that the mean of a cell follows."""
    factors: Whole = 64
    """That cells have in common beyond that."""
    rounds: Whole = 12
    """Of drawing what empty cells may have been, and of fitting with it."""
    prior: Positive = 100.0
    """Showers that the correlation at all energies counts as much as, beside those of a part."""


class FittedSettings(_Settings):
    """The fit alone: no network, nothing that is trained."""

    objectives: ClassVar[tuple[str, ...]] = ("fit",)
    kind: Literal["fitted"] = "fitted"
    fit: FitSettings = FitSettings()
    particles: tuple[int, ...] = ()
    """PDG ids that one model tells apart, each with a fit of its own; none: one particle, whichever it is."""
    given: tuple[Literal["theta", "phi", "x", "y"], ...] = ()
    """Incident columns besides the energy that showers are made for."""


class TunedSettings(FittedSettings):
    """What the tuned recipes train: the fit, and a network that corrects it."""

    objectives: ClassVar[tuple[str, ...]] = ("adversarial", "coevolution", "distance", "evolution", "fit")
    kind: Literal["tuned"] = "tuned"  # type: ignore[assignment]
    network: Literal["dense", "planes", "volume"] = "dense"
    """Fully connected, for any detector; two-dimensional convolutions with the layers as channels; or
    three-dimensional ones, judged by a critic with planes."""
    latent: Whole = 64
    """Numbers of noise that seed one shower, besides those of the fit."""
    width: Whole = 512
    """Features of the dense layers, or channels of the planes."""
    refine: bool = False
    """Train a small network that adds to the fitted energies of the layers what the fit does not see."""


class FlowSettings(FittedSettings):
    """Normalising flows of coupling layers, for the shower as a whole and for the noise behind its cells."""

    objectives: ClassVar[tuple[str, ...]] = ("direct",)
    kind: Literal["flow"] = "flow"  # type: ignore[assignment]
    transforms: Whole = 6
    """Coupling layers that move the noise behind cells."""
    width: Whole = 256
    """Features of the networks that say how."""


class MatchingSettings(FittedSettings):
    """Flow matching from the fit's noise to the noise behind real showers."""

    objectives: ClassVar[tuple[str, ...]] = ("direct",)
    kind: Literal["matching"] = "matching"  # type: ignore[assignment]
    network: Literal["dense", "planes"] = "dense"
    """Fully connected, for hundreds of cells; or two-dimensional convolutions with the layers as channels,
    for thousands."""
    width: Whole = 512
    """Features of the dense layers, or channels of the planes."""
    blocks: Whole = 2
    """Dense layers between the first and the last, or residual blocks."""
    evaluations: Annotated[int, Field(ge=1, le=MOST_EVALUATIONS)] = 2
    """How often the network is asked on the way from noise to a shower; `export` may take another number."""
    start: Literal["fit", "noise"] = "fit"
    """What a shower is before it moves: a fitted one, or one whose cells have nothing in common but their
    layers' energies, which is plain flow matching."""


Filters = Annotated[int, Field(gt=0, le=4096)]
Kernel = Literal[1, 3, 5, 7]
Activation = Literal["relu", "leaky-relu", "elu", "tanh", "silu"]


class Stage(BaseModel):
    """One stage of a grown generator: finer cells, a convolution of them, an activation."""

    model_config = _Settings.model_config

    filters: Filters
    kernel: Kernel = 3
    """Cells of the window along each axis."""
    grow: Literal[1, 2, 3] = 1
    """How many times more cells along each axis."""
    activation: Activation = "leaky-relu"
    skip: bool = False
    """Add what the convolution saw; channels are cut off, or zeros put behind them."""
    noise: bool = False
    """Let the convolution see noise, a number for each cell, as one channel more."""


class Look(BaseModel):
    """One stage of the critic of grown generators: a convolution and an activation."""

    model_config = _Settings.model_config

    filters: Filters
    kernel: Kernel = 3
    """Cells of the window along each axis."""
    stride: Literal[1, 2, 3] = 1
    """How many times fewer cells along each axis."""
    activation: Activation = "leaky-relu"


class GrownSettings(_Settings):
    """A list of stages, each a convolution, that can be changed one by one; see docs/models.md."""

    objectives: ClassVar[tuple[str, ...]] = ("adversarial", "coevolution", "distance", "evolution")
    kind: Literal["grown"] = "grown"
    dimensions: Literal[2, 3] = 2
    """2: the layers of the detector are channels of an image. 3: they are an axis of a volume."""
    latent: Whole = 32
    """Numbers of noise that seed one shower, besides that of its energy."""
    filters: Filters = 16
    """Channels of the coarse image or volume that a dense layer makes of these."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=64)] = (
        Stage(filters=32, grow=2),
        Stage(filters=16, grow=2, noise=True),
    )
    """From the coarsest cells to those of the detector."""
    kernel: Kernel = 3
    """Window of the convolution that makes the cells, after the last stage."""
    image: Literal["learned", "measured"] = "learned"
    """Whether the network has to learn the mean image, too, or begins with that of real showers."""
    critic: Annotated[tuple[Look, ...], Field(min_length=1, max_length=64)] = (
        Look(filters=16),
        Look(filters=32, stride=2),
        Look(filters=32, stride=2),
    )
    """Stages of the critic, from the cells of the detector on."""
    width: Whole = 64
    """Features of the critic's dense layers, which join cells, observables and incident particle."""
    particles: tuple[int, ...] = ()
    """PDG ids that one model tells apart; none: one particle, whichever it is."""
    given: tuple[Literal["theta", "phi", "x", "y"], ...] = ()
    """Incident columns besides the energy that showers are made for."""


ModelSettings = Annotated[
    CaloganSettings
    | LaganSettings
    | Gan3dSettings
    | Gan3dAngleSettings
    | Conv2dSettings
    | FittedSettings
    | TunedSettings
    | FlowSettings
    | MatchingSettings
    | GrownSettings,
    Field(discriminator="kind"),
]
