"""ONNX Runtime: on processors everywhere, and on NVIDIA devices where its build has CUDA."""

from __future__ import annotations

__all__ = ["CudaRuntime", "OnnxRuntime", "has_cuda"]

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from caloforge.deploy.runtimes.base import Order, Port
from caloforge.errors import CaloforgeError

_FATAL_ONLY = 4
_CELLS = ["cells"]
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class OnnxRuntime:
    """A graph in ONNX Runtime, on the processor.

    Args:
        graph: The ONNX file's content.
        order: How to load it; shapes need not be fixed here, it is no slower with open ones.
    """

    _providers: tuple[Any, ...] = (_CPU,)

    def __init__(self, graph: bytes, order: Order) -> None:
        options = _options(order)
        self._session = onnxruntime.InferenceSession(graph, options, providers=list(self._providers))
        ports = [*self._session.get_inputs(), *self._session.get_outputs()]
        self.ports = tuple(_port(port) for port in ports)

    def run(self, noise: NDArray[np.float32], incident: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Runtime`. Bound inputs and outputs were no faster (docs/deploy.md)."""
        cells: NDArray[np.float32] = self._session.run(_CELLS, {"noise": noise, "incident": incident})[0]
        return cells


class CudaRuntime(OnnxRuntime):
    """The same on the first NVIDIA device.

    Raises:
        CaloforgeError: No such device, or ONNX Runtime cannot use it.
    """

    # TensorFloat-32 keeps 10 bits of each factor: energies would be off by a thousandth.
    _providers = ((_CUDA, {"use_tf32": "0"}), _CPU)

    def __init__(self, graph: bytes, order: Order) -> None:
        super().__init__(graph, order)
        # Where the device cannot be used, ONNX Runtime goes on without a word, on the processor.
        if _CUDA not in self._session.get_providers():
            raise CaloforgeError(
                "ONNX Runtime cannot use a CUDA device here",
                got=", ".join(self._session.get_providers()),
                expected=_CUDA,
                cure="see `nvidia-smi`, and which CUDA onnxruntime-gpu wants; or leave --runtime out",
            )


def has_cuda() -> bool:
    """Whether this build of ONNX Runtime knows CUDA; whether a device is there shows when it is loaded."""
    return _CUDA in onnxruntime.get_available_providers()


def _port(port: Any) -> Port:
    batch, *shape = (size if isinstance(size, int) else None for size in port.shape or [None])
    return Port(port.name, port.type == "tensor(float)", tuple(shape), batch)


def _options(order: Order) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    # Each stream calls from a thread of its own, and the threads of a session help them all.
    options.intra_op_num_threads = order.threads if order.streams < order.threads else 1
    options.inter_op_num_threads = 1
    # Threads that spin between two calls take the cores from the simulation that calls: measured, twice the
    # CPU time at batch 1 and no shorter wall time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for name, value in order.options.items():
        options.add_session_config_entry(name, value)
    options.log_severity_level = _FATAL_ONLY
    return options
