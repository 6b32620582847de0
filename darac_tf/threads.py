"""How many processors there are, and work on many blocks at once, each on one thread."""

import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import ThreadpoolController

# How many processors this process may use.
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# More would only wait for the memory.
THREADS = min(16, CORES)
# The limit is one for the whole process: what two callers set and reset in turns could stay.
_ONE_CALLER = threading.Lock()
_BLAS = ThreadpoolController().select(user_api="blas")


def in_order(function, items):
    """Yields `function(item)` for each item, in order, computed on all processors.

    NumPy's matrix products run on one thread meanwhile. Split over threads, each of them ends with
    a wait for the slowest thread, and all that is not a product leaves the other threads idle.
    A few results are computed ahead of the one that is asked for, never all. Callers in other
    threads wait until this one has ended; `contextlib.closing` ends it early.
    """
    with _ONE_CALLER, _BLAS.limit(limits=1), ThreadPoolExecutor(THREADS) as pool:
        yield from look_ahead(pool, function, items, THREADS)


def look_ahead(pool, function, items, ahead):
    """Yields `function(item)` for each item, in order, computed on the threads of a pool.

    `ahead` results, 0 or more, are computed before they are asked for. What has not begun when one
    fails, or this is closed, is given up.
    """
    waiting = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def side_by_side(function, items, weigh, budget, most):
    """Yields `(item, function(item))` of each item, in order, small items several at a time.

    Up to `most` at once, as long as what they weigh is within the budget. An item that leaves no
    room for another as heavy is done by itself, in the caller's thread.

    Args:
        function: Of an item.
        items: Iterable; one is asked for when there is room for it.
        weigh: Function of an item to a number.
        budget: Such a number.
        most: Threads, at least 1.
    """
    waiting = deque()  # Of items, what they weigh, and futures.
    with ThreadPoolExecutor(most) as pool:
        for item in items:
            weight = weigh(item)
            alone = most == 1 or 2 * weight > budget
            while waiting and (
                alone or len(waiting) == most or weight + sum(its for _, its, _ in waiting) > budget
            ):
                first, _, future = waiting.popleft()
                yield first, future.result()
            if alone:
                yield item, function(item)
            else:
                waiting.append((item, weight, pool.submit(function, item)))
        for first, _, future in waiting:
            yield first, future.result()
