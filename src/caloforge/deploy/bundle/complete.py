"""The last steps of every bundle that is written: graphs state what they are, files get their checksums."""

from __future__ import annotations

__all__ = ["manifest_text", "state_graphs", "with_files"]

import json
from collections.abc import Sequence
from pathlib import Path

from caloforge.deploy.bundle.agreement import statement_of
from caloforge.deploy.bundle.contents import Contents, digest_in
from caloforge.deploy.bundle.manifest import FileEntry, Manifest, digest_of
from caloforge.deploy.bundle.wire import with_statement


def state_graphs(folder: Path, manifest: Manifest) -> None:
    """Write into each graph, which lies in a folder and says nothing yet, what the manifest promises."""
    statement = statement_of(manifest)
    for graph in manifest.graphs.values():
        file = folder / graph.file
        file.write_bytes(with_statement(file.read_bytes(), statement))


def with_files(manifest: Manifest, contents: Contents, names: Sequence[str]) -> Manifest:
    """Return a manifest with size and checksum of these files."""
    files = {name: FileEntry(bytes=contents.size(name), sha256=digest_in(contents, name)) for name in names}
    graphs = {
        precision: graph.model_copy(update={"bytes": files[graph.file].bytes})
        for precision, graph in manifest.graphs.items()
    }
    return manifest.model_copy(update={"files": files, "graphs": graphs})


def manifest_text(manifest: Manifest) -> str:
    """Return a manifest as it stands in its file, with its own checksum."""
    content = manifest.model_dump(mode="json")
    content["sha256"] = digest_of(content)
    return json.dumps(content, indent=2, allow_nan=False) + "\n"
