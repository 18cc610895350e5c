"""What a shower costs with each generator: parameters, multiplications, and milliseconds in each engine.

    python benchmarks/generators.py gan3d conv2d conv2d,model.form=branches conv2d,model.form=planes
    python benchmarks/generators.py runs/mine calogan --batch 1 128 --threads 1

Each name is a recipe (with changes after commas) or the folder of a run. All are measured in turns, so that a
busy machine disturbs all of them; the ratios to the first name compare measurements of the same turn.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from caloforge.deploy.onnx_graph import write_graph
from caloforge.detector import load_detector
from caloforge.machine import processor
from caloforge.models import build_generator
from caloforge.models.base import Generator
from caloforge.training import Run, load_recipe

_SECONDS = 0.2  # of one measurement at least
_ENERGY = 5e4  # MeV

Make = Callable[[Tensor, Tensor], object]


@dataclass
class Case:
    """One generator in one engine at one batch size.

    Attributes:
        cpu: CPU milliseconds per shower, one number for each turn.
        wall: Wall milliseconds per shower.
    """

    name: str
    engine: str
    batch: int
    make: Make
    inputs: tuple[Tensor, Tensor]
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def measure(self, calls: int) -> float:
        """Time some calls and return the wall seconds of one."""
        gc.collect()
        begin, used = time.perf_counter(), time.process_time()
        for _ in range(calls):
            self.make(*self.inputs)
        wall, cpu = time.perf_counter() - begin, time.process_time() - used
        self.wall.append(1e3 * wall / calls / self.batch)
        self.cpu.append(1e3 * cpu / calls / self.batch)
        return wall / calls


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", help="Recipes, recipe,key=value,... or folders of runs.")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 128])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{processor()}; {options.threads} threads; torch {torch.__version__}\n")
    print("| generator | parameters | MMAC/shower |\n|---|---|---|")
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(options.names):
            generator = load_generator(name)
            print(
                f"| {name} | {parameters(generator):,} | {multiplications(generator) / 1e6:,.1f} |",
                flush=True,
            )
            engines = ENGINES | ({"OpenVINO": _openvino} if importlib.util.find_spec("openvino") else {})
            for engine, prepare in engines.items():
                make = prepare(generator, Path(folder) / f"{number}.onnx", options.threads)
                cases += [Case(name, engine, n, make, _inputs(generator, n)) for n in options.batch]
        in_turns(cases, options.turns)
    _print(cases, options.names[0])


def load_generator(name: str) -> Generator:
    """Return the generator of a run, or an untrained one of a recipe with changes after commas."""
    if Path(name).is_dir():
        return Run.open(name).generator()
    recipe_name, *changes = name.split(",")
    recipe = load_recipe(recipe_name, changes)
    generator = build_generator(recipe.model, load_detector(recipe.usual_detector)).eval()
    generator.begin_epoch(recipe.schedule.epochs - 1)
    return generator


def parameters(generator: Generator) -> int:
    """Numbers that learn."""
    return sum(parameter.numel() for parameter in generator.parameters())


def multiplications(generator: Generator) -> int:
    """Multiplications of matrix products and convolutions for one shower."""
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        generator(*_inputs(generator, 1))
    return int(counter.get_total_flops()) // 2


def in_turns(cases: Sequence[Case], turns: int) -> None:
    """Measure each case once per turn, after calls that do not count."""
    calls = []
    for case in cases:
        case.measure(1)
        calls.append(max(1, round(_SECONDS / case.measure(1))))
        case.cpu, case.wall = [], []
    for turn in range(turns):
        first = turn % len(cases)
        for case, n in [*zip(cases, calls, strict=True)][first:] + [*zip(cases, calls, strict=True)][:first]:
            case.measure(n)


def _inputs(generator: Generator, batch: int) -> tuple[Tensor, Tensor]:
    noise = generator.sample_noise(batch, torch.Generator().manual_seed(1))
    incident = torch.zeros(batch, len(generator.conditions))
    incident[:, 0] = _ENERGY
    if "theta" in generator.conditions:
        incident[:, generator.conditions.index("theta")] = torch.pi / 2
    return noise, incident


def _torch(precision: str) -> Callable[[Generator, Path, int], Make]:
    def prepare(generator: Generator, _: Path, __: int) -> Make:
        def make(noise: Tensor, incident: Tensor) -> object:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                return generator(noise, incident)

        return make

    return prepare


def _onnx_runtime(generator: Generator, file: Path, threads: int) -> Make:
    import onnxruntime

    write_graph(generator, file)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(file), settings, providers=["CPUExecutionProvider"])
    return lambda noise, incident: session.run(None, {"noise": noise.numpy(), "incident": incident.numpy()})


def _openvino(_: Generator, file: Path, threads: int) -> Make:
    """The graph that ONNX Runtime has; OpenVINO chooses bf16 where the processor multiplies it natively."""
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.compile_model(openvino.Core().read_model(file), "CPU", settings).create_infer_request()
    return lambda noise, incident: request.infer({"noise": noise.numpy(), "incident": incident.numpy()})


ENGINES: dict[str, Callable[[Generator, Path, int], Make]] = {
    "torch fp32": _torch("fp32"),
    "torch bf16": _torch("bf16"),
    "ONNX Runtime fp32": _onnx_runtime,
}


def _print(cases: Sequence[Case], first: str) -> None:
    print(
        f"\n| generator | engine | batch | CPU ms/shower | wall ms/shower | times faster than {first} (CPU) |"
    )
    print("|---|---|---|---|---|---|")
    slow = {(case.engine, case.batch): case.cpu for case in cases if case.name == first}
    for case in cases:
        ratios = [a / b for a, b in zip(slow[case.engine, case.batch], case.cpu, strict=True)]
        numbers = " | ".join(map(_spread, (case.cpu, case.wall, ratios)))
        print(f"| {case.name} | {case.engine} | {case.batch} | {numbers} |")


def _spread(values: Sequence[float]) -> str:
    """Median, and lowest and highest of all turns."""
    return f"{statistics.median(values):.3g} ({min(values):.3g}-{max(values):.3g})"


if __name__ == "__main__":
    main()
