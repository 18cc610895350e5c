"""Which of several processes this one is, as torchrun, srun or mpirun say in the environment."""

from __future__ import annotations

__all__ = ["Place", "find_place"]

import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from caloforge.errors import TrainingError

_LOCAL = "127.0.0.1"

# Number of the process, how many there are, its number on its machine, and how many there are on it.
_MPI = (
    (
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
)
# What all processes of one mpirun share, so that two trainings on a machine take different ports.
_JOBS = ("PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid")


@dataclass(frozen=True)
class Place:
    """One of several processes.

    Attributes:
        rank: Its number, from 0.
        world: How many there are.
        local: Its number among those on this machine.
        address: Where process 0 is met.
        port: And at which port.
    """

    rank: int
    world: int
    local: int
    address: str
    port: int


def find_place(environment: Mapping[str, str] | None = None) -> Place | None:
    """Return which process this is, or None if it is the only one.

    Args:
        environment: Variables; those of this process if None.

    Raises:
        TrainingError: The environment does not say where the processes meet, or contradicts itself.
    """
    given = os.environ if environment is None else environment
    place = _torchrun(given) or _slurm(given) or _mpi(given)
    if place is None or place.world == 1:
        return None
    if not 0 <= place.rank < place.world:
        raise TrainingError(
            "the environment contradicts itself",
            got=f"process {place.rank} of {place.world}",
            cure="start through torchrun, srun or mpirun, without setting their variables by hand",
        )
    return place


def _torchrun(given: Mapping[str, str]) -> Place | None:
    if "RANK" not in given or "WORLD_SIZE" not in given:
        return None
    rank = int(given["RANK"])
    address, port = given.get("MASTER_ADDR", _LOCAL), int(given.get("MASTER_PORT", "29500"))
    return Place(rank, int(given["WORLD_SIZE"]), int(given.get("LOCAL_RANK", rank)), address, port)


def _slurm(given: Mapping[str, str]) -> Place | None:
    # A batch script or an interactive shell also knows its job's tasks; only srun starts them, as a step.
    if "SLURM_PROCID" not in given or "SLURM_STEP_ID" not in given:
        return None
    tasks = given.get("SLURM_STEP_NUM_TASKS", given.get("SLURM_NTASKS", "1"))
    hosts = given.get("SLURM_STEP_NODELIST", given.get("SLURM_JOB_NODELIST", _LOCAL))
    job = f"{given.get('SLURM_JOB_ID', '')}.{given['SLURM_STEP_ID']}"
    return Place(
        int(given["SLURM_PROCID"]),
        int(tasks),
        int(given.get("SLURM_LOCALID", "0")),
        given.get("MASTER_ADDR", first_host(hosts)),
        int(given.get("MASTER_PORT", _port(job))),
    )


def _mpi(given: Mapping[str, str]) -> Place | None:
    for rank, world, local, on_this_machine in _MPI:
        if rank not in given or world not in given:
            continue
        size = int(given[world])
        if int(given.get(on_this_machine, size)) < size and "MASTER_ADDR" not in given:
            raise TrainingError(
                "processes on several machines must be told where to meet",
                where=rank.partition("_")[0],
                expected="MASTER_ADDR and MASTER_PORT in the environment of each",
                cure="mpirun -x MASTER_ADDR=$(hostname) -x MASTER_PORT=29500 ..., or use srun or torchrun",
            )
        # mpirun itself is the parent of all processes on this machine.
        job = next((given[name] for name in _JOBS if name in given), str(os.getppid()))
        port = int(given.get("MASTER_PORT", _port(job)))
        address = given.get("MASTER_ADDR", _LOCAL)
        return Place(int(given[rank]), size, int(given.get(local, given[rank])), address, port)
    return None


def first_host(hosts: str) -> str:
    """Return the first of SLURM's list: `node[007-010,12],gpu3` gives `node007`."""
    head = re.match(r"([^,\[]*)(?:\[([^\]]*)\])?([^,]*)", hosts)
    assert head is not None
    name, numbers, rest = head.groups()
    return name + (re.split("[-,]", numbers)[0] if numbers else "") + rest


def _port(job: str) -> int:
    """A port of the unprivileged range that is the same for all processes of a job."""
    return 20000 + zlib.crc32(job.encode()) % 10000
