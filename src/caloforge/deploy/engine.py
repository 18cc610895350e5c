"""Runs a bundle with ONNX Runtime and numpy: what an experiment's simulation loads. Never imports torch."""

from __future__ import annotations

__all__ = ["Engine", "usable_cores"]

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

from caloforge.deploy.asking import incident_for
from caloforge.deploy.bundle import Bundle
from caloforge.deploy.bundle.manifest import Tensor
from caloforge.deploy.bundle.validity import Outside
from caloforge.deploy.sampling import make_showers
from caloforge.errors import BundleError
from caloforge.quantities import energy
from caloforge.showers import Incident, Showers

_FATAL_ONLY = 4


def usable_cores() -> int:
    """Number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Engine:
    """A bundle that is ready to make showers.

    Args:
        bundle: The bundle, or its folder.
        threads: Threads of one call; by default all usable cores. Simulations that run one process per
            core want 1.

    Attributes:
        bundle: What it runs.
        threads: Threads in use.

    Raises:
        BundleError: A damaged bundle, or a graph that is not what the manifest says.

    Example:
        >>> engine = Engine("calogan.bundle", threads=1)
        >>> showers = engine.generate([25e3, 50e3], seed=1)
        >>> showers.cells.shape
        (2, 504)
    """

    def __init__(self, bundle: Bundle | str | Path, threads: int | None = None) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self.threads = threads or usable_cores()
        manifest = self.bundle.manifest
        noise, incident = manifest.inputs
        self.name = manifest.name
        self.detector = self.bundle.detector
        self.noise_shape = noise.shape
        self.conditions = incident.columns or ()
        self.valid = manifest.valid
        self.origin: dict[str, Any] = {
            "kind": "bundle",
            "name": manifest.name,
            "graph_sha256": self.bundle.graph_sha256(),
            "weights_sha256": manifest.provenance.get("weights_sha256"),
        }
        self._session = _session(self.bundle, self.threads)

    def run(self, noise: NDArray[np.float32], incident: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the graph as it is: no check of the range, no threshold.

        Args:
            noise: Standard normal, shape `(n, *noise_shape)`.
            incident: The columns `conditions` in MeV, rad and mm, shape `(n, len(conditions))`.

        Returns:
            Energy of every cell in MeV, shape `(n, n_cells)`.
        """
        feed = {"noise": _plain(noise), "incident": _plain(incident)}
        cells: NDArray[np.float32] = self._session.run(["cells"], feed)[0]
        return cells

    def generate(
        self, incident: Incident | ArrayLike | str, seed: int, outside: Outside = "refuse"
    ) -> Showers:
        """Make one shower per incident particle, with the detector's threshold applied.

        Args:
            incident: The particles. Or only their energies: numbers in MeV, or one as a text, "25GeV". Then
                they are the particle of the training, and their directions and impact points are drawn from
                the trained ranges, which usually are single values.
            seed: The same seed and particles give the same showers.
            outside: What to do when a particle lies outside the trained range: "refuse", or "warn".

        Raises:
            RangeError: A particle outside the trained range, unless `outside` is "warn"; or energies alone
                where the training had several particles.
            QuantityError: A text that is not an energy with its unit.
            ShowersError: The generator gave NaN, infinite or negative energies.
        """
        particles = incident if isinstance(incident, Incident) else self._particles(incident, seed)
        complaints = self.valid.admit(particles, outside)
        showers = make_showers(self, particles, np.random.default_rng(seed))
        provenance = {"generator": self.origin, "seed": seed, "outside": complaints}
        return Showers(self.detector, particles, showers.cells, provenance=provenance)

    def _particles(self, energies: ArrayLike | str, seed: int) -> Incident:
        # A stream of its own: the noise is the same whether or not anything else is drawn.
        rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
        return incident_for(self.valid, energy(energies) if isinstance(energies, str) else energies, rng)


def _plain(array: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, np.float32)


def _session(bundle: Bundle, threads: int) -> onnxruntime.InferenceSession:
    try:
        session = onnxruntime.InferenceSession(
            bundle.graph(), _options(threads), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise BundleError("the bundle's graph cannot be loaded", where=bundle.path, got=error) from error
    manifest = bundle.manifest
    _check_ports(bundle, session.get_inputs(), manifest.inputs)
    _check_ports(bundle, session.get_outputs(), (manifest.output,))
    return session


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin between two calls take the cores from the simulation that calls: measured, twice the
    # CPU time at batch 1 and no shorter wall time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _FATAL_ONLY
    return options


def _check_ports(bundle: Bundle, ports: list[Any], tensors: tuple[Tensor, ...]) -> None:
    got = [(port.name, port.type, tuple(port.shape[1:])) for port in ports]
    expected = [(tensor.name, "tensor(float)", tensor.shape) for tensor in tensors]
    if got != expected:
        raise BundleError(
            "the bundle's graph is not what its manifest says", where=bundle.path, got=got, expected=expected
        )
