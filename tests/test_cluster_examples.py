"""The examples in deploy/cluster are real: schemas know their fields, and our command line their commands."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import caloforge
from kubernetes_schemas import definition, model_faults, strict, whole
from test_manual_commands import parse

ROOT = Path(__file__).parents[1]
HERE = ROOT / "deploy" / "cluster"
MANIFESTS = [
    (path, document)
    for path in sorted((HERE / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
NAMES = [f"{path.name}: {document['kind']} {document['metadata']['name']}" for path, document in MANIFESTS]
DOCUMENTS = [document for _, document in MANIFESTS]
KUBERNETES = {"Job": "V1Job", "PersistentVolumeClaim": "V1PersistentVolumeClaim"}
ALL_SHOWERS = 10_000_000


def _schema(kind: str) -> dict[str, Any]:
    if kind != "DaskCluster":
        found: dict[str, Any] = json.loads(
            (ROOT / "tests" / "data" / "crds" / f"{kind.lower()}.json").read_text()
        )
        return found
    package = importlib.util.find_spec("dask_kubernetes")  # importing it takes seconds
    if package is None or package.origin is None:
        pytest.skip("needs dask-kubernetes")
    dask = Path(package.origin).parent
    chart = dask / "operator" / "deployment" / "helm" / "dask-kubernetes-operator"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 280 kB
    return definition(yaml.load((chart / "crds" / "daskcluster.yaml").read_text(), loader), "v1")


def _faults(document: dict[str, Any]) -> list[str]:
    pytest.importorskip("kubernetes")
    jsonschema = pytest.importorskip("jsonschema")
    kind = document["kind"]
    if kind in KUBERNETES:
        return model_faults(document, KUBERNETES[kind])
    check = jsonschema.Draft202012Validator(strict(whole(_schema(kind))))
    found = [f"{error.json_path}: {error.message}" for error in check.iter_errors(document)]
    return found + [fault for pod in _pods(document) for fault in model_faults(pod, "V1PodSpec")]


def _pods(tree: Any) -> Iterator[dict[str, Any]]:
    """The specifications of pods in an object, wherever its makers put them."""
    if isinstance(tree, dict):
        if "containers" in tree:
            yield tree
        for value in tree.values():
            yield from _pods(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _pods(value)


PODS = [pod for document in DOCUMENTS for pod in _pods(document)]
CONTAINERS = [container for pod in PODS for container in pod["containers"]]


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_schemas_know_every_field(document: dict[str, Any]) -> None:
    assert _faults(document) == []


# Maps whose keys a schema leaves open.
_FREE = (".rayStartParams", ".requests", ".limits", ".selector", ".metadata", ".pytorchReplicaSpecs")


def _misspelt(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The same object once for each of its fields, with that field misspelt."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if not path.endswith(_FREE):
                yield f"{path}.{key}", {f"{name}x" if name == key else name: of for name, of in tree.items()}
            for where, other in _misspelt(value, f"{path}.{key}"):
                yield where, {**tree, key: other}
    elif isinstance(tree, list):
        for i, value in enumerate(tree):
            for where, other in _misspelt(value, f"{path}[{i}]"):
                yield where, [*tree[:i], other, *tree[i + 1 :]]


@pytest.mark.parametrize("kind", ["Job", "PersistentVolumeClaim", "PyTorchJob", "RayCluster"])
def test_a_misspelt_field_would_be_found(kind: str) -> None:
    document = next(document for document in DOCUMENTS if document["kind"] == kind)
    inside = {key: value for key, value in document.items() if key == "spec"}
    wrong = list(_misspelt(inside))
    assert wrong
    assert [where for where, other in wrong if not _faults({**document, **other})] == []


def test_pods_ask_for_what_they_need_and_run_as_nobody() -> None:
    assert len(PODS) == 12
    for pod in PODS:
        assert pod["securityContext"]["runAsNonRoot"]
        volumes = {
            volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in pod.get("volumes", [])
        }
        used = {mount["name"] for one in pod["containers"] for mount in one.get("volumeMounts", [])}
        claims = {one["metadata"]["name"] for one in DOCUMENTS if one["kind"] == "PersistentVolumeClaim"}
        assert used == set(volumes)
        assert set(volumes.values()) <= claims
    for container in CONTAINERS:
        assert container["image"] == f"caloforge:{caloforge.__version__}"
        assert container["resources"]["requests"]["memory"].endswith("Gi")


def test_addresses_are_those_of_the_services() -> None:
    (dask,) = [one for one in DOCUMENTS if one["kind"] == "DaskCluster"]
    service = dask["spec"]["scheduler"]["service"]
    address = f"dask://{dask['metadata']['name']}-scheduler:{service['ports'][0]['port']}"
    assert address in [word for one in CONTAINERS for word in one.get("args", [])]
    assert service["selector"]["dask.org/cluster-name"] == dask["metadata"]["name"]
    (ray,) = [one for one in DOCUMENTS if one["kind"] == "RayJob"]
    assert "--cluster ray:auto" in ray["spec"]["entrypoint"]


def test_the_training_has_the_pods_that_its_operator_knows() -> None:
    """Its schema leaves these names open, and the operator passes other containers by."""
    (job,) = [one for one in DOCUMENTS if one["kind"] == "PyTorchJob"]
    replicas = job["spec"]["pytorchReplicaSpecs"]
    assert set(replicas) == {"Master", "Worker"}
    assert replicas["Master"]["replicas"] == 1
    assert replicas["Master"]["template"] == replicas["Worker"]["template"]
    assert [one["name"] for one in replicas["Master"]["template"]["spec"]["containers"]] == ["pytorch"]


def _recorded(tmp_path: Path, script: list[str], **environment: str) -> list[str]:
    """Arguments of the calls of caloforge, torchrun and srun in a script, which runs without them."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    for name in ("caloforge", "srun"):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" {name} "$@"\n')
        program.chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        script, env={"PATH": path, **environment}, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def _condor(text: str, process: int) -> dict[str, str]:
    """A submit file's settings for one of its jobs."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#") and "=" in line]
    found = {key.strip(): value.strip() for key, value in (line.split("=", 1) for line in lines)}
    found["Process"] = str(process)

    def expand(match: re.Match[str]) -> str:
        name, form = match[2], match[4] or "%d"
        value = re.sub(r"\$(INT)?\((\w+)(,([^)]*))?\)", expand, found[name])
        if match[1]:
            return form % eval(value, {"__builtins__": {}})  # whole numbers, of our own file
        return value

    return {key: re.sub(r"\$(INT)?\((\w+)(,([^)]*))?\)", expand, value) for key, value in found.items()}


def _part(system: str, number: int, tmp_path: Path) -> list[str]:
    """The command of one job of a production."""
    if system == "slurm":
        script = HERE / "slurm" / "simulate.sh"
        return _recorded(tmp_path, ["bash", str(script)], SLURM_ARRAY_TASK_ID=str(number))
    if system == "htcondor":
        text = (HERE / "htcondor" / "simulate.sub").read_text(encoding="utf-8")
        return ["caloforge", *shlex.split(_condor(text, number)["arguments"].strip('"'))]
    job = next(one for one in DOCUMENTS if one["metadata"]["name"] == "showers")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    script = [*container["command"], *container["args"]]
    return _recorded(tmp_path, script, JOB_COMPLETION_INDEX=str(number))


def _jobs(system: str) -> int:
    if system == "kubernetes":
        job = next(one for one in DOCUMENTS if one["metadata"]["name"] == "showers")
        return int(job["spec"]["completions"])
    name = {"slurm": "slurm/simulate.sh", "htcondor": "htcondor/simulate.sub"}[system]
    found = re.search(r"^(?:#SBATCH --array=0-|queue )(\d+)", (HERE / name).read_text(), re.MULTILINE)
    assert found
    return int(found[1]) + (system == "slurm")


@pytest.mark.parametrize("system", ["slurm", "htcondor", "kubernetes"])
def test_the_jobs_of_a_production_share_it(system: str, tmp_path: Path) -> None:
    jobs = _jobs(system)
    calls = [_part(system, number, tmp_path) for number in (0, 1, 2, jobs - 1)]
    ranges, names = [], set()
    for program, *call in calls:
        assert program == "caloforge"
        parse(call, whole=True)
        given = dict(pairwise(call))
        ranges.append((int(given["--first"]), int(given["--count"])))
        names.add(given["--out"])
    count = ranges[0][1]
    assert ranges == [(number * count, count) for number in (0, 1, 2, jobs - 1)]
    assert jobs * count == ALL_SHOWERS
    assert len(names) == 4


def _calls() -> Iterator[list[str]]:
    """All other commands."""
    for container in CONTAINERS:
        command, args = container.get("command", ["caloforge"]), container.get("args", [])
        if command[0] == "bash" or "containerPort" in container:
            continue
        if command[:3] == ["torchrun", "-m", "caloforge"] or command == ["caloforge"]:
            yield [*command[3:], *args] if command[0] == "torchrun" else args
    for document in DOCUMENTS:
        if document["kind"] == "RayJob":
            yield shlex.split(document["spec"]["entrypoint"])[1:]


def test_the_other_commands_parse(tmp_path: Path) -> None:
    calls = [call for call in _calls() if call]
    assert len(calls) == 5
    for call in calls:
        parse(call, whole=True)
    for name in ("merge", "train"):
        _, *call = _recorded(tmp_path, ["bash", str(HERE / "slurm" / f"{name}.sh")])
        parse(call[3:] if call[:3] == ["python", "-m", "caloforge"] else call, whole=True)


DOCKERFILE = (HERE / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    read: Any = pytest.importorskip("tomllib")  # Python 3.11
    content: dict[str, Any] = read.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return content["project"]


def _pins() -> dict[str, str]:
    lines = (HERE / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def _required(extras: set[str], requirements: list[str]) -> Iterator[Requirement]:
    for text in requirements:
        wanted = Requirement(text)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            yield wanted


def _image(project: dict[str, Any]) -> list[Requirement]:
    """What the image is asked to hold besides caloforge."""
    (extras,) = re.findall(r'"\$\{wheel\}\[([\w,]+)\]"', DOCKERFILE)
    texts = project["dependencies"] + [
        text for extra in extras.split(",") for text in project["optional-dependencies"][extra]
    ]
    return list(_required(set(), [*texts, "ray[default]", "hatchling"]))


def test_the_image_holds_pinned_versions_of_all_that_is_needed(project: dict[str, Any]) -> None:
    """Also of what these need in turn, as far as it is installed here."""
    pins, todo, seen = _pins(), _image(project), set[str]()
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        assert name in pins, f"{wanted} has no pin"
        assert wanted.specifier.contains(pins[name], prereleases=True), f"{wanted} is pinned to {pins[name]}"
        key = str(wanted)
        with suppress(PackageNotFoundError):
            if key not in seen and version(name).split("+")[0] == pins[name]:
                todo += _required(set(wanted.extras), requires(name) or [])
        seen.add(key)
    assert len(seen) > 100
    ray = [one for one in DOCUMENTS if one["kind"].startswith("Ray")]
    said = [one["spec"].get("rayVersion") or one["spec"]["rayClusterSpec"]["rayVersion"] for one in ray]
    assert said == [pins["ray"]] * 2


def test_the_image_is_built_from_what_is_there_and_runs_as_nobody(project: dict[str, Any]) -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base) for base in bases)
    ignored = (HERE / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    for sources in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists()
            assert f"!{source}" in ignored
    assert all("--constraint" in line for line in re.findall(r"pip install[^&]*", DOCKERFILE))
    assert f"caloforge:{caloforge.__version__}" in DOCKERFILE
    assert re.search(r"^USER \d+$", DOCKERFILE, re.MULTILINE)
    assert DOCKERFILE.rstrip().endswith('ENTRYPOINT ["caloforge"]')
    assert "caloforge" in project["scripts"]


@pytest.mark.slow
def test_the_image_s_wheel_is_built_and_its_pins_are_to_be_had(tmp_path: Path) -> None:
    """The steps of the Dockerfile as plain commands; the last one only as far as finding every file."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = [str(venv / "bin" / "pip"), "--quiet"]
    pinned = ["--constraint", str(HERE / "constraints.txt")]
    subprocess.run([*pip, "install", *pinned, "hatchling"], check=True)
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = tmp_path.glob("caloforge-*.whl")
    (extras,) = re.findall(r'"\$\{wheel\}(\[[\w,]+\])"', DOCKERFILE)
    report = tmp_path / "report.json"
    asked = ["install", "--dry-run", "--report", str(report), *pinned, f"{wheel}{extras}", "ray[default]"]
    subprocess.run([*pip, *asked], check=True)
    pins = _pins()
    found = {
        one["metadata"]["name"]: one["metadata"]["version"]
        for one in json.loads(report.read_text())["install"]
    }
    names = {canonicalize_name(name): of.split("+")[0] for name, of in found.items()}
    assert names.pop("caloforge") == caloforge.__version__
    assert {name: pins.get(name) for name in names} == names


def test_dask_knows_the_options_of_its_pods() -> None:
    for name, program in (("worker", "dask_worker"), ("scheduler", "dask_scheduler")):
        (pod,) = [one for one in CONTAINERS if one["name"] == name and one["command"][0] == "dask"]
        assert pod["command"][:2] == ["dask", name]
        main = pytest.importorskip(f"distributed.cli.{program}").main
        main.make_context(name, pod["command"][2:])


def _jobqueue() -> ModuleType:
    pytest.importorskip("dask_jobqueue")
    spec = importlib.util.spec_from_file_location("jobqueue", HERE / "jobqueue.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _script(system: str) -> str:
    """What a batch system gets from dask-jobqueue."""
    jobqueue = _jobqueue()
    jobqueue.configure(HERE / "jobqueue.yaml")
    job = jobqueue.SYSTEMS[system].job_cls(scheduler="tcp://here:8786", name="worker")
    return str(job.job_script())


def test_jobs_of_dask_ask_slurm_for_what_was_said() -> None:
    script = _script("slurm")
    for line in ("-J caloforge", "--cpus-per-task=8", "--mem=16G", "-t 06:00:00"):
        assert f"#SBATCH {line}\n" in script
    (worker,) = [line for line in script.splitlines() if "dask_worker" in line]
    assert "--nthreads 1 --memory-limit 2.00GiB --nworkers 8" in worker
    assert "--lifetime 345m" in worker
    assert "export OMP_NUM_THREADS=1" in script


def test_jobs_of_dask_ask_htcondor_for_what_was_said() -> None:
    lines = dict(line.split(" = ", 1) for line in _script("htcondor").splitlines() if " = " in line)
    assert lines["MY.DaskWorkerCores"] == "8"
    assert lines["MY.DaskWorkerMemory"] == lines["MY.DaskWorkerDisk"] == str(16 * 2**30)
    assert lines["allowed_execute_duration"] == "21600"
    assert "export OMP_NUM_THREADS=1; " in lines["Arguments"]
    assert "--nthreads 1 --memory-limit 2.00GiB --nworkers 8" in lines["Arguments"]


# What stands for Slurm: a job is a process group here, and its number is its group's.
_SBATCH = """#!/bin/sh
copy=$(mktemp ./job-XXXXXX)
cp "$1" "$copy"
setsid bash "$copy" >"$copy.log" 2>&1 </dev/null &
echo "Submitted batch job $!"
"""
_SCANCEL = """#!/bin/sh
for job; do kill -TERM -- "-$job"; done
"""


def _workers(scheduler_file: Path) -> list[str]:
    from distributed import Client

    with Client(scheduler_file=str(scheduler_file), timeout=30) as client:
        return sorted(str(one["name"]) for one in client.scheduler_info(n_workers=-1)["workers"].values())


def _wait(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="setsid, and Slurm")
def test_a_batch_job_of_dask_that_ends_is_replaced_and_all_end_with_the_launcher(tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue")
    (tmp_path / "bin").mkdir()
    for name, text in (("sbatch", _SBATCH), ("scancel", _SCANCEL)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    settings = (HERE / "jobqueue.yaml").read_text().replace(": 8\n", ": 2\n").replace("16GiB", "2GiB")
    (tmp_path / "jobqueue.yaml").write_text(settings)
    (tmp_path / "log").mkdir()
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    words = ["slurm", "--jobs", "2", "--settings", "jobqueue.yaml", "--seconds", "0.5"]
    launcher = subprocess.Popen(
        [sys.executable, str(HERE / "jobqueue.py"), *words], cwd=tmp_path, env={**os.environ, "PATH": path}
    )
    file = tmp_path / "scheduler.json"
    try:
        _wait(file.exists)
        _wait(lambda: len(_workers(file)) == 4)
        before = _workers(file)
        (job, *_) = [one for one in tmp_path.glob("job-??????") if "SLURMCluster-0" in one.read_text()]
        (process,) = [one for one in psutil.process_iter() if _runs(one, job.name)]
        os.killpg(process.pid, signal.SIGKILL)
        _wait(lambda: len(_workers(file)) == 4 and _workers(file) != before)
    finally:
        launcher.terminate()
        launcher.wait(60)
    _wait(lambda: not any(_runs(one, tmp_path.name) for one in psutil.process_iter()))
    assert not file.exists()


def _runs(process: psutil.Process, word: str) -> bool:
    """Whether a process was started in the test's folder, with this word among its arguments."""
    try:
        return any(word in text for text in [*process.cmdline(), process.cwd()])
    except psutil.Error:
        return False
