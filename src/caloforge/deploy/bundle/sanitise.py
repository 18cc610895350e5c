"""A bundle without what tells where it was made and by whom, to be shared."""

from __future__ import annotations

__all__ = ["Sanitised", "private_in", "sanitise_bundle"]

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from caloforge.deploy.bundle.agreement import detector_entry, statement_of
from caloforge.deploy.bundle.bundle import DETECTOR_FILE, MANIFEST_FILE, RECIPE_FILE, Bundle, contents_of
from caloforge.deploy.bundle.complete import manifest_text, with_files
from caloforge.deploy.bundle.contents import AGAIN, Contents
from caloforge.deploy.bundle.manifest import Manifest
from caloforge.deploy.bundle.notes import strip_notes
from caloforge.deploy.bundle.pack import Changed, write_bundle
from caloforge.deploy.bundle.privacy import Removed, clean, names_of_this_machine
from caloforge.deploy.bundle.wire import statement_in, with_statement
from caloforge.detector import Detector
from caloforge.documents import Kind, parse_yaml, read_stream
from caloforge.errors import BundleError

_TEXT = Kind("text file of the bundle", BundleError, cure=AGAIN)
# What is published on purpose; and what is no text of a person's.
_SPARED = ("licence", "citation", "files", "sha256")
_LONGEST = 60  # characters of a note that are shown


@dataclass(frozen=True)
class Sanitised:
    """What came of it.

    Attributes:
        bundle: The new bundle.
        removed: What is not in it any more.
    """

    bundle: Bundle
    removed: tuple[Removed, ...]


def sanitise_bundle(bundle: str | Path | Bundle, out: str | Path) -> Sanitised:
    """Write a bundle anew without paths, names of users and machines, and the exporter's notes.

    The showers that it makes are the same. Where the text about a detector changes, so does its digest.

    Args:
        bundle: The bundle, its folder, or its zip.
        out: Folder to make, or a zip if its name ends in `.zip`; it must not exist.

    Raises:
        BundleError: No bundle, or a damaged one.
        OutputError: `out` exists, another process writes it, or the disk is full.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    manifest, changed, removed = _cleaned(opened, names_of_this_machine())
    contents = Changed(contents_of(opened.path), changed)
    manifest = with_files(manifest, contents, list(opened.manifest.files))
    changed[MANIFEST_FILE] = manifest_text(manifest).encode()
    return Sanitised(write_bundle(opened, changed, Path(out)), tuple(removed))


def private_in(bundle: Bundle) -> list[Removed]:
    """Return what `sanitise_bundle` would take out on this machine."""
    return _cleaned(bundle, names_of_this_machine())[2]


def _cleaned(bundle: Bundle, names: Collection[str]) -> tuple[Manifest, dict[str, bytes], list[Removed]]:
    contents = contents_of(bundle.path)
    said, removed = clean(bundle.manifest.model_dump(mode="json"), MANIFEST_FILE, names, _SPARED)
    manifest = Manifest.model_validate(said)
    changed: dict[str, bytes] = {}
    for name in (DETECTOR_FILE, RECIPE_FILE):
        tree, found = clean(_tree(contents, name), name, names)
        removed += found
        if found:
            changed[name] = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode()
    if DETECTOR_FILE in changed:
        detector = Detector.from_yaml(changed[DETECTOR_FILE].decode())
        changed[DETECTOR_FILE] = detector.to_yaml().encode()
        manifest = manifest.model_copy(update={"detector": detector_entry(detector)})
    for precision, graph in manifest.graphs.items():
        content, notes = _without_notes(bundle.graph(precision), statement_of(manifest), graph.file)
        removed += notes
        if content is not None:
            changed[graph.file] = content
    return manifest, changed, removed


def _tree(contents: Contents, name: str) -> Any:
    where = str(contents.path / name)
    with contents.open(name) as file:
        return parse_yaml(read_stream(file, where, _TEXT), where, _TEXT).data


def _without_notes(graph: bytes, statement: str, name: str) -> tuple[bytes | None, list[Removed]]:
    """The graph anew, or None where nothing has to change."""
    import onnx

    said = statement_in(graph)
    model = onnx.ModelProto.FromString(graph)
    notes = [note for note in strip_notes(model) if note != said]
    if not notes and said == statement:
        return None, []
    found = [Removed(name, _shown(notes), "")] if notes else []
    return with_statement(model.SerializeToString(), statement), found


def _shown(notes: list[str]) -> str:
    longest = next((note for note in notes if "/" in note), notes[0])
    return f"{len(notes)} notes of the exporter, as {' '.join(longest.split())[:_LONGEST]!r}"
