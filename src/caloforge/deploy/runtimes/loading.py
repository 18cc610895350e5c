"""Which runtimes there are, and a bundle's graph in one of them. A bundle is untrusted input."""

from __future__ import annotations

__all__ = ["RUNTIMES", "check_runtime", "installed_runtimes", "load_runtime", "runtimes_for"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from caloforge.deploy.bundle import Bundle
from caloforge.deploy.runtimes.base import Order, Port, Runtime
from caloforge.deploy.runtimes.onnxruntime import CudaRuntime, OnnxRuntime, has_cuda
from caloforge.deploy.runtimes.openvino import OpenVino, has_openvino
from caloforge.deploy.runtimes.streams import Streams
from caloforge.errors import BundleError, CaloforgeError, MissingExtraError, nearest


@dataclass(frozen=True)
class _Kind:
    """A runtime that can be asked for.

    Attributes:
        load: Makes one of a graph.
        installed: Whether its package is.
        package: What the manifest calls it.
        options: Those that a manifest may set; others write files, or let in what is not in the bundle.
    """

    load: Callable[[bytes, Order], Runtime]
    installed: Callable[[], bool]
    package: str
    options: tuple[str, ...]


_ONNXRUNTIME = ("session.qdq_matmulnbits_accuracy_level",)
_OPENVINO = ("INFERENCE_PRECISION_HINT", "EXECUTION_MODE_HINT", "DYNAMIC_QUANTIZATION_GROUP_SIZE")

RUNTIMES = {
    "onnxruntime": _Kind(OnnxRuntime, lambda: True, "onnxruntime", _ONNXRUNTIME),
    "openvino": _Kind(OpenVino, has_openvino, "openvino", _OPENVINO),
    "cuda": _Kind(CudaRuntime, has_cuda, "onnxruntime", _ONNXRUNTIME),
}


def installed_runtimes() -> tuple[str, ...]:
    """Names of those that this machine has the packages for."""
    return tuple(name for name, kind in RUNTIMES.items() if kind.installed())


def runtimes_for(bundle: Bundle, precision: str) -> tuple[str, ...]:
    """Names of the installed runtimes that can run a bundle's graph, the one to prefer first.

    Raises:
        BundleError: The bundle has no such precision.
    """
    able = bundle.graph_entry(precision).runtimes
    found = [name for name in installed_runtimes() if RUNTIMES[name].package in able]
    return tuple(sorted(found, key=lambda name: able.index(RUNTIMES[name].package)))


def check_runtime(name: str) -> None:
    """Raise unless there is such a runtime and its package is installed.

    Raises:
        CaloforgeError: No such runtime, or an ONNX Runtime without CUDA.
        MissingExtraError: OpenVINO is not installed.
    """
    if name not in RUNTIMES:
        raise CaloforgeError(
            "no such runtime",
            where="--runtime",
            got=name,
            expected=", ".join(("auto", *RUNTIMES)),
            near=nearest(name, ("auto", *RUNTIMES)),
        )
    if RUNTIMES[name].installed():
        return
    if name == "openvino":
        raise MissingExtraError("openvino", "openvino")
    raise CaloforgeError(
        "this ONNX Runtime was built without CUDA",
        where="--runtime",
        got=name,
        cure="pip uninstall onnxruntime, pip install onnxruntime-gpu; or leave --runtime out",
    )


def load_runtime(bundle: Bundle, name: str, precision: str, order: Order) -> Runtime:
    """Load a bundle's graph.

    Args:
        bundle: The bundle.
        name: Of the runtime.
        precision: Of the graph.
        order: How to load it; the manifest's options are added.

    Raises:
        BundleError: No such precision, one that this runtime cannot run, or a graph that is not what the
            manifest says.
        CaloforgeError, MissingExtraError: No such runtime here.
    """
    check_runtime(name)
    entry, kind = bundle.graph_entry(precision), RUNTIMES[name]
    if kind.package not in entry.runtimes:
        raise BundleError(
            f"{name} cannot run this bundle in {precision}",
            where=bundle.path,
            got=name,
            expected=", ".join(entry.runtimes),
        )
    options = entry.options.get(kind.package, {})
    _check_options(bundle, options, kind.options)
    order = replace(order, options={**options, **order.options})
    try:
        runtime = kind.load(bundle.graph(precision), order)
    except CaloforgeError:
        raise
    except Exception as error:  # the errors of these libraries have no common class
        raise BundleError("the bundle's graph cannot be loaded", where=bundle.path, got=error) from error
    _check_ports(bundle, runtime.ports)
    return Streams(runtime, order.streams) if order.streams > 1 else runtime


def _check_options(bundle: Bundle, options: Mapping[str, str], known: tuple[str, ...]) -> None:
    strange = [name for name in options if name not in known]
    if strange:
        raise BundleError(
            "the manifest sets an option that bundles may not set",
            where=bundle.path,
            got=", ".join(strange),
            expected=", ".join(known),
            near=nearest(strange[0], known),
        )


def _check_ports(bundle: Bundle, got: tuple[Port, ...]) -> None:
    manifest = bundle.manifest
    tensors = (*manifest.inputs, manifest.output)
    expected = tuple(Port(tensor.name, True, tensor.shape) for tensor in tensors)
    if got != expected:
        raise BundleError(
            "the bundle's graph is not what its manifest says",
            where=bundle.path,
            got="; ".join(map(str, got)),
            expected="; ".join(map(str, expected)),
        )
