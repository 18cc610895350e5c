"""OpenVINO on the processor: fixed shapes with bound tensors where a batch size comes again and again."""

from __future__ import annotations

__all__ = ["OpenVino", "has_openvino", "openvino_devices"]

import io
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from caloforge.deploy.runtimes.base import Order, Port
from caloforge.deploy.runtimes.telemetry import import_openvino

_INPUTS = ("noise", "incident")


class OpenVino:
    """A graph in OpenVINO.

    A call with an open batch costs some tenths of a millisecond that one with a fixed shape and bound tensors
    does not, and a fixed shape takes half a second to compile. So the batches of the order get fixed shapes,
    the first one now and the rest when they are first asked for. One graph with an open batch serves all
    others.

    Args:
        graph: The ONNX file's content.
        order: How to load it.

    Raises:
        MissingExtraError: OpenVINO is not installed.
    """

    def __init__(self, graph: bytes, order: Order) -> None:
        self._ov, self._order = import_openvino(), order
        self._model = _read(self._ov, graph)
        self.ports = tuple(_port(port) for port in (*self._model.inputs, *self._model.outputs))
        self._compiled: dict[int | None, _Requests] = {}
        self._compiling = Lock()
        for batch in order.batches[:1]:  # what it refuses it refuses now
            self._compile(batch)

    def run(self, noise: NDArray[np.float32], incident: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Runtime`."""
        n = len(noise)
        if n == 0:  # no shape can be fixed to it
            return np.empty((0, *(size or 0 for size in self.ports[-1].shape)), np.float32)
        key = n if n in self._order.batches else None
        requests = self._compiled.get(key) or self._compile(key)
        return requests.run(noise, incident)

    def _compile(self, batch: int | None) -> _Requests:
        with self._compiling:
            if batch not in self._compiled:
                model = self._model.clone()
                shapes = {port.name: (batch, *port.shape) for port in self.ports if port.name in _INPUTS}
                model.reshape({name: [size or -1 for size in shape] for name, shape in shapes.items()})
                compiled = _core().compile_model(model, "CPU", _config(self._order))
                self._compiled[batch] = _Requests(lambda: self._request(compiled, batch))
        return self._compiled[batch]

    def _request(self, compiled: Any, batch: int | None) -> _Request:
        request = compiled.create_infer_request()
        return _Open(request) if batch is None else _Bound(self._ov, request)


class _Request(Protocol):
    def infer(self, noise: NDArray[np.float32], incident: NDArray[np.float32]) -> NDArray[np.float32]: ...


class _Requests:
    """Requests of one compiled graph; each serves one call at a time."""

    def __init__(self, new: Callable[[], _Request]) -> None:
        self._new = new
        self._idle: list[_Request] = []

    def run(self, noise: NDArray[np.float32], incident: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            request = self._idle.pop()  # asked and taken at once: two threads never get the same
        except IndexError:
            request = self._new()
        cells = request.infer(noise, incident)
        self._idle.append(request)
        return cells


class _Open:
    """A request for any batch."""

    def __init__(self, request: Any) -> None:
        self._request = request

    def infer(self, noise: NDArray[np.float32], incident: NDArray[np.float32]) -> NDArray[np.float32]:
        self._request.infer({"noise": noise, "incident": incident}, share_inputs=True, share_outputs=True)
        cells: NDArray[np.float32] = self._request.get_output_tensor(0).data.copy()
        return cells


class _Bound:
    """A request for one batch, bound to arrays of ours: OpenVINO does not keep alive what it is lent."""

    def __init__(self, ov: Any, request: Any) -> None:
        self._request = request
        names = (*_INPUTS, "cells")
        self._arrays = {name: np.zeros(tuple(request.get_tensor(name).shape), np.float32) for name in names}
        for name, array in self._arrays.items():
            request.set_tensor(name, ov.Tensor(array, shared_memory=True))

    def infer(self, noise: NDArray[np.float32], incident: NDArray[np.float32]) -> NDArray[np.float32]:
        self._arrays["noise"][:] = noise
        self._arrays["incident"][:] = incident
        self._request.infer()
        return self._arrays["cells"].copy()


def has_openvino() -> bool:
    """Whether it is installed; nothing is imported."""
    return find_spec("openvino") is not None


def openvino_devices() -> dict[str, str]:
    """Return the devices that OpenVINO sees here, by its names for them.

    Raises:
        MissingExtraError: It is not installed.
    """
    core = _core()
    return {name: str(core.get_property(name, "FULL_DEVICE_NAME")) for name in core.available_devices}


@cache
def _core() -> Any:
    # One for the process, for ever. Each sets up a stack of its own for signals; once two had gone, the next
    # signal (Ctrl-C) ended the process, for the stack that the second one put back was the first one's.
    return import_openvino().Core()


def _read(ov: Any, graph: bytes) -> Any:
    # `Core.read_model` tries the readers of all formats, whatever the file claims to be.
    reader = ov.frontend.FrontEndManager().load_by_framework("onnx")
    return reader.convert(reader.load(io.BytesIO(graph)))


def _port(port: Any) -> Port:
    sizes = [None if size.is_dynamic else size.get_length() for size in port.get_partial_shape()]
    batch, *shape = sizes or [None]
    return Port(port.get_any_name(), port.get_element_type().get_type_name() == "f32", tuple(shape), batch)


def _config(order: Order) -> dict[str, Any]:
    return {
        "INFERENCE_NUM_THREADS": order.threads,
        "NUM_STREAMS": order.streams,
        # Left to itself it takes bfloat16 where the processor has it, and energies are off by 0.2 %.
        "INFERENCE_PRECISION_HINT": "f32",
        # Simulations run one process per core; each would be pinned to the same one.
        "ENABLE_CPU_PINNING": False,
        **order.options,
    }
