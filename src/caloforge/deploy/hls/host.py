"""What stays on the host: the graph before and behind the dense network, cut out of the bundle's."""

from __future__ import annotations

__all__ = ["HostParts", "host_parts"]

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx.utils import Extractor

from caloforge.deploy.hls.chains import Chain
from caloforge.errors import BundleError

BEFORE, BEHIND = "host_before.onnx", "host_behind.onnx"
Array = NDArray[np.float32]


@dataclass(frozen=True)
class HostParts:
    """Two graphs, between which the dense network runs.

    Attributes:
        chain: The network that they leave out.
        before: Inputs `noise` and `incident`, outputs what the network sees at each of its places;
            None if that is the noise itself.
        behind: Inputs `noise`, `incident` and what the network says, output `cells`; None if it says these.
    """

    chain: Chain
    before: onnx.ModelProto | None
    behind: onnx.ModelProto | None

    def write(self, folder: Path) -> None:
        """Write both graphs."""
        for name, part in ((BEFORE, self.before), (BEHIND, self.behind)):
            if part is not None:
                (folder / name).write_bytes(part.SerializeToString())

    def seen(self, noise: Array, incident: Array) -> list[Array]:
        """Return what the network sees at each of its places, `(n, inputs)` each."""
        passed = {"noise": noise, "incident": incident}
        if self.before is not None:
            asked = [port.name for port in self.before.graph.output]
            passed |= dict(zip(asked, _session(self.before).run(asked, passed), strict=True))
        return [passed[first] for first, _ in self.chain.uses]

    def cells(self, noise: Array, incident: Array, said: list[Array]) -> Array:
        """Return the cells in MeV, `(n, n_cells)`, that follow from what the network says."""
        if self.behind is None:
            return said[0]
        lasts = [last for _, last in self.chain.uses]
        feed = {"noise": noise, "incident": incident, **dict(zip(lasts, said, strict=True))}
        cells: Array = _session(self.behind).run(["cells"], feed)[0]
        return cells

    def run(self, noise: Array, incident: Array, network: Callable[[Array], Array]) -> Array:
        """Make showers with a network of the caller's in its place."""
        return self.cells(noise, incident, [network(seen) for seen in self.seen(noise, incident)])


def host_parts(model: onnx.ModelProto, chain: Chain) -> HostParts:
    """Cut a graph in two around a network.

    Raises:
        BundleError: What the network sees follows from what it said before.
    """
    given = ["noise", "incident"]
    firsts = [first for first in dict.fromkeys(first for first, _ in chain.uses) if first not in given]
    lasts = [last for _, last in chain.uses]
    extractor = Extractor(onnx.shape_inference.infer_shapes(model))
    before = extractor.extract_model(given, firsts) if firsts else None
    if before and any(name in lasts for node in before.graph.node for name in node.output):
        raise BundleError("the dense network of this bundle is used on its own results, which cannot be cut")
    behind = None if lasts == ["cells"] else extractor.extract_model([*given, *lasts], ["cells"])
    return HostParts(chain, before, behind)


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
