"""The same work on many scenes or bags: in this process, in several, or on a Ray cluster.

A worker is what a `make_worker()` returns: a function of one item. It is made once per process, because building an
engine costs more than a scene. An item that raises becomes a `Failure`, and the others go on. Results come back in
the order of the items. Which process does what is left to `concurrent.futures` and to Ray.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, TypeVar

import torch
from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")
Worker = Callable[[Item], Result]
MakeWorker = Callable[[], Worker[Item, Result]]
Progress = Callable[[int, int], None]
logger = logging.getLogger("pan3d.evaluation")


@dataclass(frozen=True)
class Processes:
    """Where work is done: in this process, in several of this machine, or on a Ray cluster."""

    workers: int = 0  # processes of one thread each; 0: this process, on a cluster as many as it has processors
    ray_address: str | None = None  # "auto", "local" for a cluster of this machine alone, or host:port

    @property
    def several(self) -> bool:
        """Whether it is done in processes of one thread each."""
        return self.workers > 0 or self.ray_address is not None


@dataclass(frozen=True)
class Failure:
    """An item that could not be evaluated."""

    name: str
    message: str


def run_items(
    make_worker: MakeWorker[Item, Result],
    items: Sequence[Item],
    *,
    processes: Processes | None = None,
    progress: Progress | None = None,
) -> list[Result | Failure]:
    """Do the same work on every item.

    Args:
        make_worker: Makes the function of one item, once in each process. For several processes it, items and results must be
            picklable.
        items: What is worked on; on a cluster their files must be readable under the same paths.
        processes: Where; in this process where it is not given.
        progress: Called with the numbers of items done and of all after each.

    Returns:
        The results in the order of the items, a `Failure` for each that raised.

    Raises:
        Exception: What `make_worker` raises.
    """
    processes = processes or Processes()
    outcomes: Iterable[Result | Failure]
    if processes.ray_address is not None:
        outcomes = _on_ray(make_worker, items, processes.workers, processes.ray_address)
    elif processes.workers > 0:
        outcomes = _in_processes(make_worker, items, min(processes.workers, max(len(items), 1)))
    else:
        worker = make_worker()
        outcomes = (guarded(worker, item) for item in items)
    results = []
    for outcome in outcomes:
        results.append(outcome)
        if progress is not None:
            progress(len(results), len(items))
    return results


def guarded(worker: Worker[Item, Result], item: Item) -> Result | Failure:
    """The worker's result, or a `Failure` that says what it raised."""
    try:
        return worker(item)
    except Exception as error:
        logger.info("%s failed", item_name(item), exc_info=True)
        text = str(error) or type(error).__name__
        known = isinstance(error, (ValueError, OSError))  # their messages name the field and need no type
        return Failure(item_name(item), text if known else f"{type(error).__name__}: {text}")


def item_name(item: object) -> str:
    """`item.name`, or the item as text."""
    return str(getattr(item, "name", item))


_worker: Worker[Any, Any] | None = None  # of this worker process


def _start(make_worker: MakeWorker[Any, Any]) -> None:
    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _use_one_thread()
    _worker = make_worker()


def _end_with_parent() -> None:
    """A run that is killed must not leave processes behind that wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _work(item: Any) -> Any:
    assert _worker is not None, "the process was not started by _start"
    return guarded(_worker, item)


def _use_one_thread() -> None:
    threadpool_limits(1)
    torch.set_num_threads(1)


def _in_processes(make_worker: MakeWorker[Item, Result], items: Sequence[Item], workers: int) -> Iterator[Result | Failure]:
    """A process that dies takes its pool with it; then what is left is done one item at a time, so that only the item
    that is to blame is lost."""
    remaining = list(items)
    with _pool(make_worker, workers) as pool, _ended_with_this_process():
        with _interrupted_here_alone():
            futures = [pool.submit(_work, item) for item in items]
        for future in futures:
            try:
                outcome = future.result()
            except BrokenProcessPool:
                break
            remaining.pop(0)
            yield outcome
    if remaining and len(remaining) == len(items):
        make_worker()  # when no process could even start, this says why
    for item in remaining:
        with _pool(make_worker, 1) as pool, _ended_with_this_process():
            try:
                with _interrupted_here_alone():
                    future = pool.submit(_work, item)
                yield future.result()
            except BrokenProcessPool:
                yield Failure(item_name(item), "the process died, perhaps for lack of memory")


@contextmanager
def _interrupted_here_alone() -> Iterator[None]:
    """Processes that are started meanwhile never hear of Ctrl-C, which reaches all that a terminal has started; what comes here
    meanwhile is heard at the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _ended_with_this_process() -> Iterator[None]:
    """Do not wait for what workers have in hand when the block is interrupted."""
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit):  # the latter where who asks for outcomes was interrupted
        for child in multiprocessing.active_children():
            child.terminate()
        raise


def _pool(make_worker: MakeWorker[Any, Any], workers: int) -> ProcessPoolExecutor:
    # A forked child of a process that has used its threads can hang, so children are started afresh.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(make_worker,))


class _RayWorker:
    """What runs in each process of the cluster."""

    def __init__(self, make_worker: MakeWorker[Any, Any]) -> None:
        _use_one_thread()
        self._worker = make_worker()

    def work(self, item: Any) -> Any:
        return guarded(self._worker, item)


def _on_ray(
    make_worker: MakeWorker[Item, Result], items: Sequence[Item], workers: int, address: str
) -> Iterator[Result | Failure]:
    import ray  # optional: only for work on a cluster
    from ray.util import ActorPool

    started_here = not ray.is_initialized()
    if started_here:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    try:
        count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        actor = ray.remote(num_cpus=1, max_restarts=-1)(_RayWorker)
        actors = [actor.remote(make_worker) for _ in range(min(count, max(len(items), 1)))]
        pool = ActorPool(actors)
        for item in items:
            pool.submit(lambda member, value: member.work.remote(value), item)
        for item in items:
            try:
                yield pool.get_next()
            except ray.exceptions.ActorUnavailableError as error:
                yield Failure(item_name(item), f"its worker was lost: {error}")
            except ray.exceptions.ActorDiedError as error:
                yield Failure(item_name(item), f"its worker died: {error}")
    finally:
        if started_here:
            ray.shutdown()
