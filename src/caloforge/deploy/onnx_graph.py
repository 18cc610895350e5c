"""From a torch generator to an ONNX file with dynamic batch, folded where that makes it faster."""

from __future__ import annotations

__all__ = ["OPSET", "write_graph"]

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge import machine
from caloforge.deploy.bundle.manifest import UNMEASURED, Graph
from caloforge.deploy.bundle.notes import strip_notes
from caloforge.deploy.fold import fold_linear, parameter_count
from caloforge.errors import BundleError

if TYPE_CHECKING:
    from caloforge.models.base import Generator

OPSET = 20
# torchvision is not wanted; what the optimiser leaves to ONNX Runtime, that folds when it loads the graph.
_NOISE = {
    "torch.onnx._internal.exporter._registration": "torchvision is not installed",
    "onnxscript.optimizer._constant_folding": "Skipping constant folding for op",
}
_LARGEST = 2**31 - 2**20  # protobuf's limit for one file


def write_graph(generator: Generator, path: Path) -> Graph:
    """Write a generator as ONNX: inputs `noise` and `incident`, output `cells`, any batch.

    Args:
        generator: The trained generator, on the processor; it is set to evaluation.
        path: The file to make.

    Returns:
        What the manifest says about the graph; its parity and probe are not yet measured.

    Raises:
        BundleError: The generator has an operation that ONNX lacks, or is too large for one file.
    """
    import onnx

    from caloforge.models.inference.generator import for_inference

    model = _traced(for_inference(generator.eval()))
    trained = parameter_count(model)
    fold_linear(model)
    strip_notes(model)  # stack traces with the paths of this machine
    if model.ByteSize() > _LARGEST:
        raise BundleError("the generator is too large for one ONNX file", got=f"{model.ByteSize()} bytes")
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return Graph(
        file=path.name,
        opset=OPSET,
        bytes=path.stat().st_size,
        parameters=parameter_count(model),
        trained_parameters=trained,
        made_with=machine.versions("torch", "onnx", "onnxscript"),
        **UNMEASURED,
    )


def _traced(generator: Generator) -> Any:
    import torch

    # Two showers: a batch of one would be taken for a constant.
    noise = generator.sample_noise(2)
    incident = torch.ones((2, len(generator.conditions)))
    batch = torch.export.Dim("batch", min=1)
    try:
        with _known_noise():
            program = torch.onnx.export(
                generator,
                (noise, incident),
                dynamo=True,
                opset_version=OPSET,
                input_names=["noise", "incident"],
                output_names=["cells"],
                dynamic_shapes=({0: batch}, {0: batch}),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise BundleError(
            "the generator cannot be written as ONNX", got=str(error).splitlines()[0]
        ) from error
    if program is None:
        raise BundleError("the generator cannot be written as ONNX")
    return _named(program.model_proto)


def _named(model: Any) -> Any:
    """Let the names of nodes that belong to a trained correction begin with "trunk"."""
    for node in model.graph.node:
        scopes = next((p.value for p in node.metadata_props if p.key.endswith("name_scopes")), "")
        if "'correction" in scopes:
            node.name = f"trunk_{node.name}"
    return model


@contextmanager
def _known_noise() -> Iterator[None]:
    """Silence what the exporter says about itself, by its text; anything else comes through."""
    logs = [logging.getLogger(name) for name in _NOISE]
    for log in logs:
        log.addFilter(_is_news)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\).*", FutureWarning)
            warnings.filterwarnings("ignore", r"# The axis name: batch will not be used", UserWarning)
            yield
    finally:
        for log in logs:
            log.removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return _NOISE.get(record.name, "") not in record.getMessage()
