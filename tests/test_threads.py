import threading
import time
from contextlib import closing

import pytest
from threadpoolctl import threadpool_info

from darac_tf.threads import THREADS, in_order


def blas_threads():
    """Of NumPy's own library; SciPy and faiss bring others."""
    blas = [each for each in threadpool_info() if each["user_api"] == "blas"]
    return [each["num_threads"] for each in blas if "numpy" in each["filepath"]]


def test_results_are_in_order_and_made_a_few_at_a_time():
    made, ahead = [], []

    def slow(item):
        made.append(item)
        time.sleep(0.001 * (item % 3))
        return item, blas_threads()

    for number, (item, threads) in enumerate(in_order(slow, range(40))):
        assert item == number
        assert set(threads) <= {1}
        ahead.append(len(made) - number)
    assert max(ahead) <= THREADS + 1


def test_products_have_their_threads_back():
    before = blas_threads()

    def fails(item):
        raise RuntimeError(item)

    with pytest.raises(RuntimeError):
        list(in_order(fails, [1]))
    assert blas_threads() == before
    with closing(in_order(abs, range(100))) as results:
        assert next(results) == 0
        assert set(blas_threads()) <= {1}
    assert blas_threads() == before


def test_callers_in_many_threads():
    before, sums = blas_threads(), []
    callers = [
        threading.Thread(target=lambda: sums.append(sum(in_order(abs, range(50)))))
        for _ in range(6)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sums == [1225] * 6
    assert blas_threads() == before


def test_nothing_to_do():
    assert list(in_order(abs, [])) == []
