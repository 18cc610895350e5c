"""caloforge builds, proves and ships a fast simulation for any calorimeter.

Every verb of the command line is one call here, imported when it is first used:

    import caloforge as cf

    cf.simulate("calogan", particle="e+", energy="1:100GeV", count=400, jobs=2, out="showers.h5")
    run = cf.train("calogan-tuned", data="showers.h5", out="run")
    bundle = cf.export("run", "bundle")
    showers = cf.Engine(bundle).generate([25e3, 50e3], seed=1)  # MeV
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "Detector",
    "Engine",
    "Run",
    "Showers",
    "__version__",
    "account",
    "adopt",
    "bench",
    "calibrate",
    "check_bundle",
    "convert",
    "event",
    "evolve",
    "evolve_topology",
    "export",
    "export_cpp",
    "export_hls",
    "export_host",
    "fastsim",
    "generate",
    "inspect",
    "load_detector",
    "merge",
    "open_sampler",
    "pack_bundle",
    "recommend",
    "sanitise_bundle",
    "simulate",
    "train",
    "tune",
    "validate",
    "zoo",
]

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# ONNX Runtime's wheels write a device id and a data base of events into the user's cache, and name a
# collector on the net. Only before its import can they be kept from that, and every import of ours comes
# after this line.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from caloforge.deploy import Bundle, Engine, check_bundle, pack_bundle, sanitise_bundle
    from caloforge.deploy.bench import bench
    from caloforge.deploy.export import export
    from caloforge.deploy.generate import generate, open_sampler
    from caloforge.deploy.hls import export_hls
    from caloforge.deploy.native import export_cpp, export_host
    from caloforge.deploy.runtimes import calibrate
    from caloforge.detector import Detector, load_detector
    from caloforge.search.account.account import account
    from caloforge.search.evolve import evolve
    from caloforge.search.topology.evolve import evolve_topology
    from caloforge.search.tune import tune
    from caloforge.search.zoo.recommend import recommend
    from caloforge.search.zoo.zoo import zoo
    from caloforge.showers import Showers
    from caloforge.showers.convert import convert
    from caloforge.showers.merge import merge
    from caloforge.showers.survey import inspect
    from caloforge.simulation.event import event
    from caloforge.simulation.fastsim import fastsim
    from caloforge.training import Run
    from caloforge.training.adopt import adopt
    from caloforge.training.train import train
    from caloforge.truth import simulate
    from caloforge.validation.validate import validate

_ROOM_OF = {
    "Bundle": "deploy",
    "Detector": "detector",
    "Engine": "deploy",
    "Run": "training",
    "Showers": "showers",
    "adopt": "training",
    "bench": "deploy",
    "calibrate": "deploy",
    "check_bundle": "deploy",
    "convert": "showers",
    "event": "simulation.event",
    "export": "deploy",
    "fastsim": "simulation.fastsim",
    "export_cpp": "deploy.native",
    "export_hls": "deploy.hls",
    "export_host": "deploy.native",
    "generate": "deploy",
    "inspect": "showers",
    "load_detector": "detector",
    "merge": "showers",
    "open_sampler": "deploy",
    "pack_bundle": "deploy",
    "sanitise_bundle": "deploy",
    "simulate": "truth",
    "train": "training",
    "account": "search.account.account",
    "evolve": "search.evolve",
    "evolve_topology": "search.topology.evolve",
    "tune": "search.tune",
    "validate": "validation",
    "recommend": "search.zoo.recommend",
    "zoo": "search.zoo.zoo",
}


def __getattr__(name: str) -> Any:
    # Importing everything here would load torch for `caloforge --help`.
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'caloforge' has no attribute {name!r}")
    return getattr(import_module(f"caloforge.{_ROOM_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
