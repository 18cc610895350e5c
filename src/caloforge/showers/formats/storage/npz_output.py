"""New npz files, written piece by piece."""

from __future__ import annotations

__all__ = ["NpzOutput"]

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from caloforge.writing import new_file


class NpzOutput:
    """An npz file that grows: rows wait in a file without a name until their number is known."""

    def __init__(self, folder: Path, files: ExitStack) -> None:
        self._folder, self._files = folder, files
        self._waiting: dict[str, IO[bytes]] = {}
        self._shapes: dict[str, tuple[int, tuple[int, ...], np.dtype[Any]]] = {}

    @classmethod
    @contextmanager
    def create(cls, path: Path) -> Iterator[NpzOutput]:
        """Open for writing; an exception leaves nothing behind."""
        with new_file(path) as out, ExitStack() as files:
            made = cls(path.parent, files)
            yield made
            with zipfile.ZipFile(out, "w") as archive:
                made._write(archive)

    def append(self, key: str, values: NDArray[Any]) -> None:
        """Add rows to an array, which the first rows make."""
        if key not in self._waiting:
            waiting = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - the stack closes it
            self._waiting[key] = self._files.enter_context(waiting)
            self._shapes[key] = 0, values.shape[1:], values.dtype
        n, row, dtype = self._shapes[key]
        self._waiting[key].write(np.ascontiguousarray(values, dtype).tobytes())
        self._shapes[key] = n + len(values), row, dtype

    def _write(self, archive: zipfile.ZipFile) -> None:
        for key, file in self._waiting.items():
            n, row, dtype = self._shapes[key]
            about = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": (n, *row)}
            file.seek(0)
            with archive.open(zipfile.ZipInfo(f"{key}.npy"), "w", force_zip64=True) as member:
                npy.write_array_header_1_0(member, about)
                shutil.copyfileobj(file, member, 1 << 20)
