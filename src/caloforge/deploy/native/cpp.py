"""A sampler in C++ for one bundle: headers, graph, an example and how to build it."""

from __future__ import annotations

__all__ = ["export_cpp"]

import shutil
from pathlib import Path

from caloforge.deploy.bundle import Bundle
from caloforge.deploy.bundled import bundled
from caloforge.deploy.engine import Engine
from caloforge.deploy.native.facts import facts_of
from caloforge.deploy.native.templates import rendered
from caloforge.progress import Progress
from caloforge.writing import new_folder

_HEADERS = Path(__file__).parent / "include"


def export_cpp(source: str | Path | Bundle, out: str | Path, progress: Progress | None = None) -> Path:
    """Write a header-only sampler for a bundle over OpenVINO's C++ and ONNX Runtime's C interface.

    It refuses particles outside the trained range, applies the threshold, and knows where each cell is. The
    noise comes from the simulation's own random numbers, or is passed in.

    Args:
        source: A bundle, its folder, or a run.
        out: Folder to make; it must not exist. Its README.md says how to build and use it.
        progress: Told what the export of a run does.

    Returns:
        `out`.

    Raises:
        BundleError, RunError: Neither bundle nor run, or a damaged one.
        OutputError: `out` exists, another process writes it, or the disk is full.
    """
    with bundled(source, progress) as bundle, new_folder(Path(out)) as folder:
        Engine(bundle, threads=1)  # a graph with other inputs is refused here, and not in C++
        facts = facts_of(bundle)
        shutil.copytree(_HEADERS, folder / "include")
        (folder / facts["graph"]).write_bytes(bundle.graph())
        for name, file in (
            ("bundle.hpp", f"include/caloforge/{facts['type']}.hpp"),
            ("main.cpp", "main.cpp"),
            ("README.md", "README.md"),
            ("CMakeLists.txt", "CMakeLists.txt"),
        ):
            (folder / file).write_text(rendered(name, facts), encoding="utf-8")
    return Path(out)
