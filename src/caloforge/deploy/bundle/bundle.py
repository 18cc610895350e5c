"""A bundle on disk: opened only if every part is what its manifest says. It is untrusted input."""

from __future__ import annotations

__all__ = ["DETECTOR_FILE", "GRAPH_FILE", "MANIFEST_FILE", "RECIPE_FILE", "Bundle", "file_entry", "is_bundle"]

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caloforge.deploy.bundle.agreement import check_agreement
from caloforge.deploy.bundle.manifest import SCHEMA, FileEntry, Graph, Manifest, digest_of
from caloforge.detector import Detector, load_detector
from caloforge.documents import Kind, check_json, read_json
from caloforge.errors import BundleError, DetectorError

MANIFEST_FILE = "manifest.json"
GRAPH_FILE = "generator.onnx"
DETECTOR_FILE = "detector.yaml"
RECIPE_FILE = "recipe.yaml"
_REQUIRED = (GRAPH_FILE, DETECTOR_FILE, RECIPE_FILE)
_AGAIN = "get the bundle again from where it came, or export it again"
# Detectors with many layers make manifests of tens of kilobytes; nothing honest comes near this.
_MANIFEST = Kind("manifest", BundleError, cure=_AGAIN, most=16_000_000)


@dataclass(frozen=True)
class Bundle:
    """A generator that is ready to ship.

    Attributes:
        path: Its folder.
        manifest: What it says about itself.
        detector: What its showers are read out with.

    Example:
        >>> bundle = Bundle.open("calogan.bundle")
        >>> bundle.manifest.valid.energy.max
        100000.0
    """

    path: Path
    manifest: Manifest
    detector: Detector

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Read a bundle and check its schema, files and checksums, and that its parts agree.

        Raises:
            BundleError: It is none, or damaged, or made by a newer caloforge.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise BundleError(
                "there is no such bundle",
                where=folder,
                expected="a folder that `caloforge export` has written",
                cure=f"of a trained run: `caloforge export {folder} --out BUNDLE`",
            )
        manifest = _read_manifest(folder / MANIFEST_FILE)
        for name, entry in manifest.files.items():
            _check_file(folder, name, entry)
        detector = _read_detector(folder / DETECTOR_FILE)
        check_agreement(manifest, detector, folder / MANIFEST_FILE)
        return cls(folder, manifest, detector)

    def graph(self, precision: str = "fp32") -> bytes:
        """Return the content of an ONNX file, for a runtime to load.

        Raises:
            BundleError: The bundle has no graph of this precision.
        """
        return (self.path / self.graph_entry(precision).file).read_bytes()

    def graph_entry(self, precision: str = "fp32") -> Graph:
        """Return what the manifest says of a graph; its errors are those of `graph`."""
        graphs = self.manifest.graphs
        if precision not in graphs:
            raise BundleError(
                "the bundle has no graph of this precision",
                where=self.path,
                got=precision,
                expected=", ".join(graphs),
                cure="export the run again with --precision",
            )
        return graphs[precision]

    def graph_sha256(self, precision: str = "fp32") -> str:
        """Return the checksum of an ONNX file; its errors are those of `graph`."""
        return self.manifest.files[self.graph_entry(precision).file].sha256


def is_bundle(path: str | Path) -> bool:
    """Say whether a folder claims to be a bundle; `Bundle.open` finds out whether it is a good one."""
    return (Path(path) / MANIFEST_FILE).exists()


def file_entry(path: Path) -> FileEntry:
    """Measure a file for the manifest."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else _digest(file)
    return FileEntry(bytes=path.stat().st_size, sha256=digest.hexdigest())


def _digest(file: Any) -> Any:
    """`hashlib.file_digest` of Python 3.11, for 3.10."""
    digest = hashlib.sha256()
    while block := file.read(2**20):
        digest.update(block)
    return digest


def _read_manifest(path: Path) -> Manifest:
    content = _load_json(path)
    version = content.get("schema_version")
    if content.get("bundle") != "caloforge" or not isinstance(version, int):
        raise BundleError(
            "this is not the manifest of a caloforge bundle",
            where=path,
            got=f"bundle: {content.get('bundle')!r}, schema_version: {version!r}",
            expected=f"bundle: 'caloforge', schema_version: {SCHEMA}",
        )
    if version != SCHEMA:
        newer = version > SCHEMA
        raise BundleError(
            f"the bundle was written by {'a newer' if newer else 'an older'} caloforge",
            where=path,
            got=f"schema version {version}",
            expected=f"schema version {SCHEMA}",
            cure="pip install --upgrade caloforge" if newer else "export it again",
        )
    _check_digest(path, content)
    manifest = check_json(content, Manifest, str(path), _MANIFEST)
    _check_listed(path, manifest)
    return manifest


def _load_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise BundleError(
            "the folder has no manifest",
            where=path,
            expected="a bundle, written by `caloforge export RUN --out BUNDLE`",
        )
    content = read_json(path, _MANIFEST)
    if not isinstance(content, dict):
        raise BundleError(
            "the manifest is not a JSON object", where=path, got=type(content).__name__, cure=_AGAIN
        )
    return content


def _check_digest(path: Path, content: dict[str, Any]) -> None:
    found = digest_of(content)
    if content.get("sha256") != found:
        raise BundleError(
            "the manifest was changed: its checksum is wrong",
            where=path,
            got=f"sha256 {found}",
            expected=f"sha256 {content.get('sha256')}",
            cure=_AGAIN,
        )


def _check_listed(path: Path, manifest: Manifest) -> None:
    graphs = [graph.file for graph in manifest.graphs.values()]
    missing = [name for name in (*_REQUIRED, *graphs) if name not in manifest.files]
    if missing:
        raise BundleError(
            "the manifest leaves out files",
            where=path,
            got=", ".join(manifest.files),
            expected=", ".join(missing),
        )


def _check_file(folder: Path, name: str, entry: FileEntry) -> None:
    path = folder / name
    if not path.exists():
        raise BundleError("a file of the bundle is missing", where=path, cure=_AGAIN)
    if path.resolve().parent != folder.resolve():
        raise BundleError("a file of the bundle is a link that leaves it", where=path, got=path.resolve())
    # Anything but a regular file (a pipe, a device) could keep the reader waiting for ever.
    if not path.is_file():
        raise BundleError("a part of the bundle is not a regular file", where=path)
    size = path.stat().st_size
    if size != entry.bytes:
        raise BundleError(
            "a file of the bundle has the wrong size",
            where=path,
            got=f"{size} bytes",
            expected=f"{entry.bytes} bytes",
            cure=_AGAIN,
        )
    found = file_entry(path).sha256
    if found != entry.sha256:
        raise BundleError(
            "a file of the bundle was changed: its checksum is wrong",
            where=path,
            got=f"sha256 {found}",
            expected=f"sha256 {entry.sha256}",
            cure=_AGAIN,
        )


def _read_detector(path: Path) -> Detector:
    try:
        return load_detector(path)
    except DetectorError as error:
        raise BundleError("the bundle's detector cannot be read", where=path, got=error) from error
