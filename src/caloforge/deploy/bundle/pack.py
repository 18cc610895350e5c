"""Writing a bundle that is there already: into a folder, or into one zip, with some of its files replaced."""

from __future__ import annotations

__all__ = ["Changed", "pack_bundle", "write_bundle"]

import io
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.deploy.bundle.archive import write_zip
from caloforge.deploy.bundle.bundle import MANIFEST_FILE, Bundle, contents_of
from caloforge.deploy.bundle.contents import Contents
from caloforge.errors import OutputError
from caloforge.writing import new_file, new_folder

if TYPE_CHECKING:
    from _typeshed import SupportsRead


def pack_bundle(bundle: str | Path | Bundle, out: str | Path) -> Bundle:
    """Write a bundle as one zip. The same bundle gives the same bytes.

    Args:
        bundle: The bundle, its folder, or its zip; what its manifest does not list stays behind.
        out: The zip to make; it must not exist, and its name ends in `.zip`.

    Raises:
        BundleError: No bundle, or a damaged one.
        OutputError: `out` exists or has another ending, another process writes it, or the disk is full.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    target = Path(out)
    if target.suffix != ".zip":
        raise OutputError(
            "a packed bundle is a zip",
            where=target,
            got=f"a name ending in {target.suffix!r}",
            expected=".zip",
        )
    return write_bundle(opened, {}, target)


def write_bundle(bundle: Bundle, changed: Mapping[str, bytes], out: Path) -> Bundle:
    """Write the files of a bundle, some of them replaced, and open what was written.

    Args:
        bundle: Where the other files are; it is taken to be good.
        changed: New content by name; with a new manifest, where the content of others has changed.
        out: Folder to make, or a zip if its name ends so.

    Raises:
        BundleError: What was written is no good bundle.
        OutputError: `out` exists, another process writes it, or the disk is full.
    """
    source = Changed(contents_of(bundle.path), changed)
    names = [MANIFEST_FILE, *sorted(bundle.manifest.files)]
    if out.suffix == ".zip":
        with new_file(out) as file:
            write_zip(source, names, file)
        return Bundle.open(out)
    with new_folder(out) as folder:
        for name in names:
            with source.open(name) as read, (folder / name).open("wb") as written:
                shutil.copyfileobj(read, written, 2**20)
    return Bundle.open(out)


class Changed:
    """Files of which some are replaced; see `Contents`.

    Args:
        contents: The files as they are.
        changed: New content by name.
    """

    def __init__(self, contents: Contents, changed: Mapping[str, bytes]) -> None:
        self.path, self._contents, self._changed = contents.path, contents, changed

    def names(self) -> list[str]:
        return sorted({*self._contents.names(), *self._changed})

    def size(self, name: str) -> int:
        return len(self._changed[name]) if name in self._changed else self._contents.size(name)

    def open(self, name: str) -> AbstractContextManager[SupportsRead[bytes]]:
        if name in self._changed:
            return nullcontext(io.BytesIO(self._changed[name]))
        return self._contents.open(name)
