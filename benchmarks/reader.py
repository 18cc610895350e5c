"""Time what feeds a training: showers per second, the share of time that a step waits, and peak memory.

    python benchmarks/reader.py calogan.h5 --batch 256
    python benchmarks/reader.py clic.h5 --batch 128 --copies 165 --limit 1500 --step 50

The file is one of `caloforge convert`. `--copies` first writes a file with as many copies of its showers into
`--folder`, and deletes it afterwards. `--limit` is how many MB of memory this process, and the one that reads
ahead, may have each. `--step` is how many milliseconds of one core a step computes.

2026-11-22, one thread, 2 vCPUs of a Xeon (Sapphire Rapids) with a load of 15; showers per second of CPU time:

                                        CaloGAN, batch 256    CLIC, batch 128
    the reader alone, without empty cells       67,000              33,600
    putting the empty cells back               343,000              34,800
    batches kept in memory                     348,000              46,900

A file of 3.0 GB (CLIC, 165 copies), `--limit 1500 --step 50`: the loop waited for 6.7 % of the time, about
what putting back the empty cells takes; peak memory 850 MB, and 194 MB of the process that reads ahead.
"""

from __future__ import annotations

import os

# As `caloforge.train` does it: torch looks at this once, at its first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from caloforge.machine import processor
from caloforge.showers import ShowerFile, StreamingReader
from caloforge.showers.sparse import Sparse
from caloforge.showers.store import write_store
from caloforge.training import batches, load_recipe
from caloforge.training.batches import TrainingData
from caloforge.training.feeds import unpack


def main() -> None:
    """Time the parts and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the copies go; by default a temporary folder")
    parser.add_argument("--limit", type=int, help="MB of memory for each process")
    parser.add_argument("--step", type=float, default=0.0, help="milliseconds that a step computes")
    parser.add_argument("--seconds", type=float, default=10.0, help="time for each measurement")
    parser.add_argument("--mirror", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = options.file
        if options.copies > 1:
            path = Path(folder) / "copies.h5"
            _copy(options.file, path, options.copies)
        if options.limit:
            # Not the address space, most of which is libraries; what a process writes to.
            resource.setrlimit(resource.RLIMIT_DATA, (options.limit << 20, options.limit << 20))
        print(f"{processor()}; {path.stat().st_size / 1e6:.0f} MB, batches of {options.batch}")
        _reader(path, options)
        for name, room in (("in memory", 1 << 62), ("streamed", 0)):
            if name == "streamed" or not options.limit:
                batches._IN_MEMORY = room
                _data(name, path, options)


def _copy(source: Path, target: Path, times: int) -> None:
    with ShowerFile(source) as file:
        rows = [file.sparse(first, first + 1000) for first in range(0, len(file), 1000)]
        totals = len(file) * times, sum(len(part.index) for part in rows) * times
        again: Iterator[Sparse] = (part for _ in range(times) for part in rows)
        write_store(target, file.detector, file.provenance, totals, again)


def _reader(path: Path, options: argparse.Namespace) -> None:
    """Time the reader alone, without and with putting back empty cells."""
    device = torch.device("cpu")
    with StreamingReader(path, options.batch, seed=1, select=(0, 1)) as reader:
        begin, cpu, done, number = time.perf_counter(), time.process_time(), 0, 0
        unpacked = 0.0
        while time.perf_counter() - begin < options.seconds:
            rows = reader.round(*divmod(number, reader.order.rounds))
            done, number = done + len(rows), number + 1
            used = time.process_time()
            for start in range(0, len(rows), options.batch):
                unpack(rows[start : start + options.batch], ("energy",), device)
            unpacked += time.process_time() - used
        read = time.process_time() - cpu - unpacked
    print(f"reader: {done / read:.0f} showers/s of CPU time; unpacking: {done / unpacked:.0f}")


def _data(name: str, path: Path, options: argparse.Namespace) -> None:
    """Time batches as a training gets them, with steps that compute meanwhile."""
    with ShowerFile(path) as file:
        detector = file.detector
    settings = [f"schedule.batch={options.batch}", f"data.mirror={options.mirror}"]
    recipe = load_recipe("calogan", settings)
    data = TrainingData([path], recipe, detector, ("energy",), torch.device("cpu"))
    data.response()
    stream = (batch for epoch in range(1 << 30) for batch in data.epoch(epoch))
    next(stream)
    data.waited, begin, cpu, done = 0.0, time.perf_counter(), time.process_time(), 0
    while (now := time.perf_counter()) - begin < options.seconds:
        cells, _ = next(stream)
        done += len(cells)
        _compute(options.step / 1e3)
    total, used = now - begin, time.process_time() - cpu
    print(
        f"{name}: {done / total:.0f} showers/s, {done / used:.0f} per second of this process's CPU time, "
        f"{data.waited / total:.1%} of the time waited"
    )
    peaks = [_peak(Path("/proc/self/status").read_text())]
    if name == "streamed":
        peaks += [
            _peak(Path(f"/proc/{worker}/status").read_text()) for worker in data._feed._ahead._pool._processes
        ]
    print(f"peak memory (MB) of this process and of the one that reads ahead: {peaks}")
    data.close()


def _peak(status: str) -> int:
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def _compute(seconds: float) -> None:
    end = time.thread_time() + seconds
    square = torch.rand(256, 256)
    while time.thread_time() < end:
        square = torch.tanh(square @ square)


if __name__ == "__main__":
    main()
