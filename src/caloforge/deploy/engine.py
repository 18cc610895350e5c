"""Runs a bundle with numpy and a runtime: what an experiment's simulation loads. Never imports torch."""

from __future__ import annotations

__all__ = ["Engine"]

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caloforge.deploy.asking import incident_for
from caloforge.deploy.bundle import Bundle
from caloforge.deploy.bundle.validity import Outside
from caloforge.deploy.runtimes import AUTO, Order, load_runtime, make_plan
from caloforge.deploy.sampling import make_showers
from caloforge.quantities import energy
from caloforge.showers import Incident, Showers


class Engine:
    """A bundle that is ready to make showers.

    Args:
        bundle: The bundle, or its folder.
        threads: Threads of one call. Simulations that run one process per core want 1.
        runtime: "onnxruntime", "openvino" or "cuda".
        precision: "fp32", or another one of the bundle's graphs. "auto" takes any that the bundle says is
            accepted; showers of the same seed then differ from those in fp32 by more than rounding.
        streams: Parts of a batch that run at the same time.

    What is left open (no threads, "auto") is decided by what `calibrate` has measured for this bundle on this
    machine, if it has. Else it is fp32, all usable cores, and of the installed runtimes the one that the
    manifest prefers. An engine never measures by itself, so that its first shower does not wait.

    Attributes:
        bundle: What it runs.
        threads: Threads in use.
        runtime: In use.
        precision: In use.
        batch: Showers of one call where this was measured, or None.

    Raises:
        BundleError: A damaged bundle, a graph that is not what the manifest says, no such precision.
        CaloforgeError: No such runtime, or it cannot run here.
        MissingExtraError: OpenVINO was asked for and is not installed.

    Example:
        >>> engine = Engine("calogan.bundle", threads=1)
        >>> showers = engine.generate([25e3, 50e3], seed=1)
        >>> showers.cells.shape
        (2, 504)
    """

    def __init__(
        self,
        bundle: Bundle | str | Path,
        threads: int | None = None,
        runtime: str = AUTO,
        precision: str = "fp32",
        streams: int = 1,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        plan = make_plan(self.bundle, threads, runtime, precision)
        self.runtime, self.precision = plan.runtime, plan.precision
        self.threads, self.batch = plan.threads, plan.batch
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
            "graph_sha256": self.bundle.graph_sha256(plan.precision),
            "precision": plan.precision,
            "runtime": plan.runtime,
            "weights_sha256": manifest.provenance.get("weights_sha256"),
        }
        self._runtime = load_runtime(self.bundle, self.runtime, self.precision, Order(self.threads, streams))

    def run(self, noise: NDArray[np.float32], incident: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the graph as it is: no check of the range, no threshold.

        Args:
            noise: Standard normal, shape `(n, *noise_shape)`.
            incident: The columns `conditions` in MeV, rad and mm, shape `(n, len(conditions))`.

        Returns:
            Energy of every cell in MeV, shape `(n, n_cells)`.
        """
        return self._runtime.run(_plain(noise), _plain(incident))

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
        showers.provenance.update(generator=self.origin, seed=seed, outside=complaints)
        return showers

    def _particles(self, energies: ArrayLike | str, seed: int) -> Incident:
        # A stream of its own: the noise is the same whether or not anything else is drawn.
        rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
        return incident_for(self.valid, energy(energies) if isinstance(energies, str) else energies, rng)


def _plain(array: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, np.float32)
