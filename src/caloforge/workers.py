"""Worker processes: children with one thread each that end with this process, however it ends.

They are plain children that talk through their pipes. None of them owns anything with a name, as semaphores
and temporary folders have, so nothing is left behind however they end. A user's script needs no guard, and a
worker starts in a tenth of a second.
"""

from __future__ import annotations

__all__ = ["Workers", "once"]

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import IO, Any, Generic, TypeAlias, TypeVar

from caloforge.calls import answer, load_function, pack, pack_function, unpack
from caloforge.errors import WorkerError

Result = TypeVar("Result")
_Task: TypeAlias = "tuple[Future[Any], bytes]"

_LIBRARIES = ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR", "VECLIB_MAXIMUM")
_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in _LIBRARIES}
# The paths of this process, and not the folder that the user is in, say which modules a worker gets.
_BEGIN = "import sys; sys.path[:] = sys.argv[2:]; from caloforge.workers import work; work(int(sys.argv[1]))"


class Workers(Generic[Result]):
    """Processes that each call one function again and again, until they are closed.

    What is passed is pickled: the function once, so what it remembers between calls stays with its process.
    It must be importable by its name, which a function of the user's script is not. A call whose process has
    died fails, and the next one gets a new process.

    Args:
        count: Number of processes.
        function: What they call.

    Example:
        >>> with Workers(2, abs) as workers:
        ...     [future.result() for future in [workers.submit(-1), workers.submit(-2)]]
        [1, 2]
    """

    def __init__(self, count: int, function: Callable[..., Result]) -> None:
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._threads: list[Thread] = []
        packed = pack_function(function)
        self._workers = [_Worker(packed) for _ in range(count)]
        try:
            for worker in self._workers:
                self._begin(worker)
        except BaseException:
            self.close()
            raise

    def submit(self, *arguments: object) -> Future[Result]:
        """Have the function called by whichever process is free first.

        Returns:
            Its result to come; or what it raised, or a WorkerError if its process died.
        """
        future: Future[Result] = Future()
        self._tasks.put((future, pack(arguments)))
        return future

    def close(self) -> None:
        """End the processes, whatever they do."""
        for worker in self._workers:
            worker.kill()
        self._cancel()
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Workers[Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, worker: _Worker) -> None:
        born: Future[None] = Future()
        thread = Thread(target=_serve, args=(worker, born, self._tasks), daemon=True)
        thread.start()
        self._threads.append(thread)
        born.result()

    def _cancel(self) -> None:
        with suppress(Empty):
            while task := self._tasks.get_nowait():
                task[0].cancel()


def once(function: Callable[..., Result], *arguments: object, seconds: float | None = None) -> Result:
    """Call a function in a process of its own, which may die of it.

    Args:
        function: It must be importable by its name.
        arguments: What it is called with; they, the result and what is raised are pickled on their way.
        seconds: How long it may take; the process is killed then.

    Raises:
        WorkerError: The process died, or took too long; `got` names the signal.

    Example:
        >>> once(divmod, 7, 2)
        (3, 1)
    """
    with Workers(1, function) as worker:
        future = worker.submit(*arguments)
        if not wait([future], seconds).done:
            raise WorkerError("a worker process took too long", got=f"no answer in {seconds:g} s")
        return future.result()


def _serve(worker: _Worker, born: Future[None], tasks: SimpleQueue[_Task | None]) -> None:
    """Start a process, and hand it one task after the other; a thread of this process does that.

    The thread lives as long as the process, which the kernel would otherwise end with it.
    """
    if hasattr(signal, "pthread_sigmask"):
        # Inherited, so that not even the start of the process sees the Ctrl-C that a terminal sends to all.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        worker.start()
    except Exception as error:  # whatever it is, the one who asked must not wait for ever
        return born.set_exception(error)
    born.set_result(None)
    while task := tasks.get():
        future, arguments = task
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(worker.ask(arguments))
            except Exception as error:
                future.set_exception(error)
    worker.end()
    return None


class _Worker:
    """A process that calls one function, and those that replace it after its death.

    Args:
        packed: The function, pickled.
    """

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._lock = Lock()  # so that none is started after the last was killed

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process, or one in its place."""
        with self._lock:
            if self._closed:
                raise WorkerError("a worker process has died", got="its end was asked for")
            process = self._process = _started()
        with suppress(OSError):  # if it is dead already, its first task will tell
            _send(process.stdin, self._packed)
        return process

    def ask(self, arguments: bytes) -> Any:
        """Have the function called, by a new process if the last one has died."""
        process = self._process or self.start()
        try:
            _send(process.stdin, arguments)
            answered = _receive(process.stdout)
        except (OSError, EOFError):
            self._bury()
            raise WorkerError("a worker process has died", got=_death(process.returncode)) from None
        return unpack(answered)

    def kill(self) -> None:
        """End the process, whatever it does; there will be no other."""
        with self._lock:
            self._closed = True
            if self._process:
                self._process.kill()

    def end(self) -> None:
        """The same, until nothing is left of it."""
        self.kill()
        self._bury()

    def _bury(self) -> None:
        if (process := self._process) is None:
            return
        process.wait()
        self._process = None
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):  # what could not be sent to a dead process is tried once more
                if stream:
                    stream.close()


def _started() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _BEGIN, str(os.getpid()), *map(str, sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if sys.stderr is None else None,
        env={**os.environ, **_ONE_THREAD},
    )


def _death(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def _send(stream: IO[bytes] | None, packed: bytes) -> None:
    assert stream is not None
    stream.write(len(packed).to_bytes(8, "little"))
    stream.write(packed)
    stream.flush()


def _receive(stream: IO[bytes] | None) -> bytes:
    assert stream is not None
    return _exactly(stream, int.from_bytes(_exactly(stream, 8), "little"))


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def work(parent: int) -> None:
    """Be a worker: call what standard input brings and answer on standard output, until `parent` ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(parent)
    # Whatever the function prints goes to standard error; standard output is for answers.
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    with suppress(EOFError, OSError):  # this process's parent has ended
        function = load_function(_receive(asked))
        while True:
            _send(answers, answer(function, _receive(asked)))


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; elsewhere it ends after its task."""
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
