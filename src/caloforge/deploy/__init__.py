"""A trained generator as it is shipped: the bundle, its engine, generating, exporting, timing.

Importing this, opening a bundle and running it never imports torch.
"""

from __future__ import annotations

__all__ = [
    "Bench",
    "Bundle",
    "Checked",
    "Engine",
    "Sanitised",
    "bench",
    "calibrate",
    "check_bundle",
    "export",
    "generate",
    "open_sampler",
    "pack_bundle",
    "sanitise_bundle",
]

from caloforge.deploy.bench import Bench, bench
from caloforge.deploy.bundle import Bundle
from caloforge.deploy.bundle.pack import pack_bundle
from caloforge.deploy.bundle.sanitise import Sanitised, sanitise_bundle
from caloforge.deploy.check import Checked, check_bundle
from caloforge.deploy.engine import Engine
from caloforge.deploy.export import export
from caloforge.deploy.generate import generate, open_sampler
from caloforge.deploy.runtimes import calibrate
