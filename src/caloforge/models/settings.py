"""What a recipe may say about a model; free of torch, so that a recipe can be read quickly."""

from __future__ import annotations

__all__ = ["CaloganSettings", "ModelSettings"]

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class CaloganSettings(BaseModel):
    """CaloGAN, arXiv:1705.02355: one LAGAN stream for each readout layer, joined by in-painting attention.

    Its scales are those of showers of up to 100 GeV.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["calogan"] = "calogan"
    latent: Annotated[int, Field(gt=0)] = 1024
    """Numbers of noise that seed one shower."""
    attention: bool = True
    """Let each layer take over parts of the layer before it."""


# One model so far; a second makes this a union told apart by `kind`.
ModelSettings = CaloganSettings
