"""What a dataset claims against what the file stores: asked of its metadata, before anything is read."""

from __future__ import annotations

__all__ = [
    "ANY_SIZE",
    "ITEM_KINDS",
    "MAX_CHUNK",
    "MAX_RATIO",
    "MAX_ROW",
    "check_claim",
    "fits",
    "refuse_elsewhere",
]

import math
from importlib import import_module
from pathlib import Path

import h5py

from caloforge.errors import ShowersError

ITEM_KINDS = "fiu"  # numpy's kinds of numbers
MAX_CHUNK = 512 << 20  # bytes; a chunk is unpacked as a whole
MAX_ROW = 512 << 20  # bytes
MAX_RATIO = 1100  # zlib reaches 1032
ANY_SIZE = 64 << 20  # bytes that any file may unpack to: a column of zeros is packed much more tightly
_PLUGINS = {
    307: "bzip2",
    32000: "lzf",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32017: "sz",
    32018: "fcidecomp",
    32024: "sz3",
    32026: "blosc2",
    32028: "sperr",
}
_REPACK = "rewrite it with HDF5's own tool: h5repack -l CHUNK=... -f GZIP=1 IN OUT"


def check_claim(found: h5py.Dataset, where: str, item: int) -> None:
    """Check that all that a dataset of numbers claims is in the file, in pieces that can be read.

    Args:
        found: The dataset.
        where: Its place, for errors.
        item: Bytes of one of its values; of a list, of what leads to it.

    Raises:
        ShowersError: Chunks or rows that were never written, that are too large, unpack to more than a file
            of this size can hold, or need a filter that is not installed.
    """
    row = math.prod(found.shape[1:]) * item
    claim, stored = row * (found.shape[0] if found.shape else 1), found.id.get_storage_size()
    size = Path(found.file.filename).stat().st_size
    if stored > size:
        raise _too_much("a dataset claims more than the whole file holds", where, f"{stored:,} bytes", size)
    if row > MAX_ROW:
        cure = "is this a file of showers?"
        raise _too_much("one row of a dataset is too large", where, f"{row:,} bytes", MAX_ROW, cure)
    if found.chunks is None:
        if stored < claim:
            raise _never_written(found.shape, claim, stored, where)
        return
    _check_chunks(found, where, item)
    _check_filters(found, where)
    most = max(ANY_SIZE, MAX_RATIO * stored)
    if claim > most:
        got = f"{claim:,} bytes of {stored:,} stored"
        raise _too_much("a dataset unpacks to more than is believed", where, got, most, _REPACK)


def fits(have: tuple[int, ...], want: tuple[int | None, ...]) -> bool:
    """Whether a shape is the one wanted; None in it stands for any length."""
    return len(have) == len(want) and all(w in (None, h) for h, w in zip(have, want, strict=True))


def _check_chunks(found: h5py.Dataset, where: str, item: int) -> None:
    chunk = math.prod(found.chunks) * item
    if chunk > MAX_CHUNK:
        raise _too_much(
            "the chunks of a dataset are too large", where, f"{chunk:,} bytes each", MAX_CHUNK, _REPACK
        )
    claimed = math.prod(-(-n // step) for n, step in zip(found.shape, found.chunks, strict=True))
    written = found.id.get_num_chunks()
    if written < claimed:
        raise ShowersError(
            "a dataset claims more than the file stores",
            where=where,
            got=f"shape {found.shape}, {written:,} of {claimed:,} chunks were written",
            expected="all of them",
            cure="make or copy it again; only rows that were written are read",
        )


def _check_filters(found: h5py.Dataset, where: str) -> None:
    settings = found.id.get_create_plist()
    for number in range(settings.get_nfilters()):
        code, _, _, name = settings.get_filter(number)
        if not _available(code):
            raise ShowersError(
                "the file is compressed with a filter that is not installed here",
                where=where,
                got=f"filter {code} ({_PLUGINS.get(code) or name.decode(errors='replace') or 'unknown'})",
                expected="gzip or lzf, or a filter that HDF5 finds",
                cure="pip install hdf5plugin, or rewrite the file: h5repack -f GZIP=1 IN OUT",
            )


def _available(code: int) -> bool:
    if h5py.h5z.filter_avail(code):
        return True
    try:
        import_module("hdf5plugin")  # importing it is what makes its filters known
    except ImportError:
        return False
    return bool(h5py.h5z.filter_avail(code))


def refuse_elsewhere(found: h5py.Dataset, where: str) -> None:
    """Refuse a dataset whose numbers lie in other files.

    HDF5 reads zeros where such a file is gone, and would read any file of the machine that it names.

    Raises:
        ShowersError: A virtual dataset, or one with external storage.
    """
    settings = found.id.get_create_plist()
    if settings.get_layout() == h5py.h5d.VIRTUAL:
        names = sorted({settings.get_virtual_filename(i) for i in range(settings.get_virtual_count())})
        raise _elsewhere("a virtual dataset, whose numbers lie in other files", names, where)
    names = [settings.get_external(i)[0].decode() for i in range(settings.get_external_count())]
    if names:
        raise _elsewhere("a dataset whose numbers lie in other files", names, where)


def _elsewhere(problem: str, names: list[str], where: str) -> ShowersError:
    folder = Path(where.partition(", key")[0]).parent
    told = [name if (folder / name).exists() or name == "." else f"{name} (missing)" for name in names[:10]]
    more = [f"{len(names) - 10} more"] if len(names) > 10 else []
    return ShowersError(
        problem,
        where=where,
        got=", ".join([*told, *more]),
        expected="numbers in the file itself",
        cure="give caloforge those files themselves; it reads several as one",
    )


def _never_written(shape: tuple[int, ...], claim: int, stored: int, where: str) -> ShowersError:
    return ShowersError(
        "a dataset claims more than the file stores",
        where=where,
        got=f"shape {shape}, {claim:,} bytes, of which {stored:,} are stored",
        expected="all of them",
        cure="make or copy it again",
    )


def _too_much(problem: str, where: str, got: str, most: int, cure: str | None = None) -> ShowersError:
    cure = cure or "make or copy it again"
    return ShowersError(problem, where=where, got=got, expected=f"at most {most:,} bytes", cure=cure)
