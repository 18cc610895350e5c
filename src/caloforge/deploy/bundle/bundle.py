"""A bundle on disk: opened only if every part is what its manifest says. It is untrusted input."""

from __future__ import annotations

__all__ = [
    "DETECTOR_FILE",
    "GRAPH_FILE",
    "MANIFEST_FILE",
    "RECIPE_FILE",
    "Bundle",
    "contents_of",
    "file_entry",
    "is_bundle",
]

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caloforge.deploy.bundle.agreement import check_agreement, check_statement
from caloforge.deploy.bundle.archive import Archive
from caloforge.deploy.bundle.contents import AGAIN, Contents, Folder, digest_in
from caloforge.deploy.bundle.manifest import SCHEMA, FileEntry, Graph, Manifest, digest_of
from caloforge.deploy.bundle.wire import refers_to_files, statement_in
from caloforge.detector import Detector
from caloforge.documents import Kind, check_json, parse_json, read_stream
from caloforge.errors import BundleError, DetectorError, nearest

MANIFEST_FILE = "manifest.json"
GRAPH_FILE = "generator.onnx"
DETECTOR_FILE = "detector.yaml"
RECIPE_FILE = "recipe.yaml"
_REQUIRED = (DETECTOR_FILE, RECIPE_FILE)
# Detectors with many layers make manifests of tens of kilobytes; nothing honest comes near this.
_MANIFEST = Kind("manifest", BundleError, cure=AGAIN, most=16_000_000)
_DETECTOR = Kind("detector file", DetectorError, cure=AGAIN)
_ZIP = b"PK"  # how each begins


@dataclass(frozen=True)
class Bundle:
    """A generator that is ready to ship.

    Attributes:
        path: Its folder, or its zip.
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

        Args:
            path: A folder, or a zip; this is not unpacked.

        Raises:
            BundleError: It is none, or damaged, or made by a newer caloforge.
        """
        contents = contents_of(path)
        manifest = _read_manifest(contents)
        for name, entry in manifest.files.items():
            _check_file(contents, name, entry)
        detector = _read_detector(contents)
        check_agreement(manifest, detector, contents.path / MANIFEST_FILE)
        bundle = cls(contents.path, manifest, detector)
        for precision, graph in manifest.graphs.items():
            _check_graph(bundle.graph(precision), manifest, contents.path / graph.file)
        return bundle

    def graph(self, precision: str = "fp32") -> bytes:
        """Return the content of an ONNX file, for a runtime to load.

        Raises:
            BundleError: The bundle has no graph of this precision.
        """
        with contents_of(self.path).open(self.graph_entry(precision).file) as file:
            return file.read()

    def graph_entry(self, precision: str = "fp32") -> Graph:
        """Return what the manifest says of a graph; its errors are those of `graph`."""
        graphs = self.manifest.graphs
        if precision not in graphs:
            raise BundleError(
                "the bundle has no graph of this precision",
                where=self.path,
                got=precision,
                expected=", ".join(graphs),
                near=nearest(precision, graphs),
                cure="choose one that it has, or export the run again with --precision",
            )
        return graphs[precision]

    def graph_sha256(self, precision: str = "fp32") -> str:
        """Return the checksum of an ONNX file; its errors are those of `graph`."""
        return self.manifest.files[self.graph_entry(precision).file].sha256


def is_bundle(path: str | Path) -> bool:
    """Say whether a folder or file claims to be a bundle; `Bundle.open` finds out if it is a good one."""
    path = Path(path)
    return _is_zip(path) if path.is_file() else (path / MANIFEST_FILE).exists()


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return path.suffix == ".zip" or file.read(len(_ZIP)) == _ZIP


def contents_of(path: str | Path) -> Contents:
    """Return the files in a folder or a zip.

    Raises:
        BundleError: It is neither, or a zip that no honest bundle comes in.
    """
    path = Path(path)
    if path.is_dir():
        return Folder(path)
    if path.is_file():
        return Archive(path)
    raise BundleError(
        "there is no such bundle",
        where=path,
        expected="a folder that `caloforge export` has written, or a zip of one",
        cure=f"of a trained run: `caloforge export {path} --out BUNDLE`",
    )


def file_entry(path: Path) -> FileEntry:
    """Measure a file for the manifest."""
    folder = Folder(path.parent)
    return FileEntry(bytes=folder.size(path.name), sha256=digest_in(folder, path.name))


def _read_manifest(contents: Contents) -> Manifest:
    where = contents.path / MANIFEST_FILE
    content = _load_json(contents, where)
    version = content.get("schema_version")
    if content.get("bundle") != "caloforge" or not isinstance(version, int):
        raise BundleError(
            "this is not the manifest of a caloforge bundle",
            where=where,
            got=f"bundle: {content.get('bundle')!r}, schema_version: {version!r}",
            expected=f"bundle: 'caloforge', schema_version: {SCHEMA}",
        )
    if version != SCHEMA:
        newer = version > SCHEMA
        raise BundleError(
            f"the bundle was written by {'a newer' if newer else 'an older'} caloforge",
            where=where,
            got=f"schema version {version}",
            expected=f"schema version {SCHEMA}",
            cure="pip install --upgrade caloforge" if newer else "export the run again",
        )
    _check_digest(where, content)
    manifest = check_json(content, Manifest, str(where), _MANIFEST)
    _check_listed(where, manifest)
    return manifest


def _load_json(contents: Contents, where: Path) -> dict[str, Any]:
    if MANIFEST_FILE not in contents.names():
        raise BundleError(
            "there is no manifest in it",
            where=where,
            expected="a bundle, written by `caloforge export RUN --out BUNDLE`",
        )
    contents.size(MANIFEST_FILE)
    with contents.open(MANIFEST_FILE) as file:
        content = parse_json(read_stream(file, str(where), _MANIFEST), str(where), _MANIFEST)
    if not isinstance(content, dict):
        raise BundleError(
            "the manifest is not a JSON object", where=where, got=type(content).__name__, cure=AGAIN
        )
    return content


def _check_digest(where: Path, content: dict[str, Any]) -> None:
    found = digest_of(content)
    if content.get("sha256") != found:
        raise BundleError(
            "the manifest was changed: its checksum is wrong",
            where=where,
            got=f"sha256 {found}",
            expected=f"sha256 {content.get('sha256')}",
            cure=AGAIN,
        )


def _check_listed(where: Path, manifest: Manifest) -> None:
    graphs = [graph.file for graph in manifest.graphs.values()]
    missing = [name for name in (*_REQUIRED, *graphs) if name not in manifest.files]
    if missing:
        raise BundleError(
            "the manifest leaves out files",
            where=where,
            got=", ".join(manifest.files),
            expected=", ".join(missing),
        )


def _check_file(contents: Contents, name: str, entry: FileEntry) -> None:
    where, size = contents.path / name, contents.size(name)
    if size != entry.bytes:
        raise BundleError(
            "a file of the bundle has the wrong size",
            where=where,
            got=f"{size} bytes",
            expected=f"{entry.bytes} bytes",
            cure=AGAIN,
        )
    found = digest_in(contents, name)
    if found != entry.sha256:
        raise BundleError(
            "a file of the bundle was changed: its checksum is wrong",
            where=where,
            got=f"sha256 {found}",
            expected=f"sha256 {entry.sha256}",
            cure=AGAIN,
        )


def _check_graph(graph: bytes, manifest: Manifest, where: Path) -> None:
    if refers_to_files(graph):
        raise BundleError(
            "the graph refers to other files", where=where, expected="weights in the graph itself", cure=AGAIN
        )
    check_statement(statement_in(graph), manifest, where)


def _read_detector(contents: Contents) -> Detector:
    where = contents.path / DETECTOR_FILE
    try:
        with contents.open(DETECTOR_FILE) as file:
            return Detector.from_yaml(read_stream(file, str(where), _DETECTOR), str(where))
    except DetectorError as error:
        raise BundleError("the bundle's detector cannot be read", where=where, got=error) from error
