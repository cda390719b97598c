"""Run a function over many jobs in processes that end when they should, whatever happens.

Workers ignore Ctrl-C, end when the caller stops or dies (kill -9 included), and a worker that
was killed is a clear error. What they write must therefore be complete or not there at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
import multiprocessing
from multiprocessing.connection import Connection
import os
import signal
import threading
from typing import Any

from lewm_model.errors import DatasetError, LewmError


def run_jobs(function: Callable[..., Any], jobs: Sequence[tuple], workers: int, *,
             killed: LewmError) -> Iterator[tuple[int, Any]]:
    """Call `function(*job)` for every job and yield the results as they come.

    An exception of a job, an interrupt, or leaving the loop stops all workers at once; jobs that
    run are cut off, the others never start.

    Args:
        function: Importable by name, as its arguments and results it crosses processes.
        jobs: Arguments of each call.
        workers: Processes, at least 1.
        killed: Raised if a worker disappears, as when the system is out of memory.

    Yields:
        (index of the job, result).
    """
    # spawn: a fork would copy the threads, locks and renderers of whoever calls us
    context = multiprocessing.get_context('spawn')
    leash, held = context.Pipe(duplex=False)   # its other end is held here and nowhere else
    pool = ProcessPoolExecutor(max(1, min(workers, len(jobs))), mp_context=context,
                               initializer=_begin, initargs=(leash,))
    try:
        futures = {pool.submit(function, *job): index for index, job in enumerate(jobs)}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BaseException as error:
        held.close()   # busy or idle, the workers end now
        if isinstance(error, BrokenProcessPool):
            raise killed from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        held.close()
        leash.close()


def run_conversions(function: Callable[..., Any], jobs: Sequence[tuple], workers: int
                    ) -> Iterator[tuple[int, Any]]:
    """Run jobs whose finished results stay, in this process if one is enough; see `run_jobs`.

    Raises:
        DatasetError: If a worker disappears.
    """
    if workers <= 1 or len(jobs) == 1:
        return ((index, function(*job)) for index, job in enumerate(jobs))
    return run_jobs(function, jobs, workers, killed=DatasetError(
        'a converting process was killed, perhaps for lack of memory; run the command again with '
        'fewer workers, it goes on where it stopped'))


def _begin(leash: Connection) -> None:
    """Leave Ctrl-C to the parent, and end when it lets go of the other end of the leash."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(leash,), daemon=True).start()


def _end_with(leash: Connection) -> None:
    leash.poll(None)   # nothing is ever sent: ready means closed
    os._exit(1)        # not sys.exit: only the main thread could end the process that way
