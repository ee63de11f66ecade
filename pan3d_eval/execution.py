"""The same work on many scenes or bags: in this process, in several, or on a Ray cluster.

A worker is what a `make_worker()` returns: a function of one item. It is made once per process, because building an
engine costs more than a scene. An item that raises becomes a `Failure`, and the others go on. Results come back in
the order of the items. Which process does what is left to `concurrent.futures` and to Ray.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

Worker = Callable[[Any], Any]
MakeWorker = Callable[[], Worker]
Progress = Callable[[int, int], None]
logger = logging.getLogger("pan3d.evaluation")


@dataclass(frozen=True)
class Failure:
    """An item that could not be evaluated."""

    name: str
    message: str


def run_items(
    make_worker: MakeWorker,
    items: Sequence[Any],
    *,
    workers: int = 0,
    ray_address: str | None = None,
    progress: Progress | None = None,
) -> list[Any]:
    """Results of all items in their order, `Failure` for those that raised.

    `workers` > 0: so many processes of one thread each; 0: this process. `ray_address`: a Ray cluster instead ("auto",
    "local" for one of this machine alone, or host:port), with `workers` processes or as many as it has processors; items
    must be readable there under the same paths. `progress(done, total)` is called after each item. For several processes
    `make_worker`, items and results must be picklable. Raises what `make_worker` raises.
    """
    if ray_address is not None:
        outcomes = _on_ray(make_worker, items, workers, ray_address)
    elif workers > 0:
        outcomes = _in_processes(make_worker, items, min(workers, max(len(items), 1)))
    else:
        worker = make_worker()
        outcomes = (guarded(worker, item) for item in items)
    results = []
    for outcome in outcomes:
        results.append(outcome)
        if progress is not None:
            progress(len(results), len(items))
    return results


def guarded(worker: Worker, item: Any) -> Any:
    """The worker's result, or a `Failure` that says what it raised."""
    try:
        return worker(item)
    except Exception as error:
        logger.info("%s failed", item_name(item), exc_info=True)
        text = str(error) or type(error).__name__
        known = isinstance(error, (ValueError, OSError))  # their messages name the field and need no type
        return Failure(item_name(item), text if known else f"{type(error).__name__}: {text}")


def item_name(item: Any) -> str:
    """`item.name`, or the item as text."""
    return str(getattr(item, "name", item))


_worker: Worker | None = None  # of this worker process


def _start(make_worker: MakeWorker) -> None:
    global _worker
    _use_one_thread()
    _worker = make_worker()


def _work(item: Any) -> Any:
    assert _worker is not None, "the process was not started by _start"
    return guarded(_worker, item)


def _use_one_thread() -> None:
    torch = importlib.import_module("torch")
    importlib.import_module("threadpoolctl").threadpool_limits(1)
    torch.set_num_threads(1)


def _in_processes(make_worker: MakeWorker, items: Sequence[Any], workers: int) -> Iterator[Any]:
    """A process that dies takes its pool with it; then what is left is done one item at a time, so that only the item
    that is to blame is lost."""
    remaining = list(items)
    with _pool(make_worker, workers) as pool:
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
        with _pool(make_worker, 1) as pool:
            try:
                yield pool.submit(_work, item).result()
            except BrokenProcessPool:
                yield Failure(item_name(item), "the process died, perhaps for lack of memory")


def _pool(make_worker: MakeWorker, workers: int) -> ProcessPoolExecutor:
    # A forked child of a process that has used its threads can hang, so children are started afresh.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(make_worker,))


class _RayWorker:
    """What runs in each process of the cluster."""

    def __init__(self, make_worker: MakeWorker) -> None:
        _use_one_thread()
        self._worker = make_worker()

    def work(self, item: Any) -> Any:
        return guarded(self._worker, item)


def _on_ray(make_worker: MakeWorker, items: Sequence[Any], workers: int, address: str) -> Iterable[Any]:
    ray = importlib.import_module("ray")
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    try:
        count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        actor = ray.remote(num_cpus=1, max_restarts=-1)(_RayWorker)
        actors = [actor.remote(make_worker) for _ in range(min(count, max(len(items), 1)))]
        pool = importlib.import_module("ray.util").ActorPool(actors)
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
