import threading
import time
from contextlib import closing

import pytest
from threadpoolctl import threadpool_info

from darac_tf.threads import THREADS, in_order, side_by_side


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


def test_small_items_go_side_by_side_and_heavy_ones_alone():
    weights = [1, 2, 1, 9, 3, 3, 3, 3, 6, 1, 1, 1, 1, 1, 5, 5, 5, 12, 1]
    running, most, asked, lock = [], [0, 0], [], threading.Lock()

    def work(item):
        with lock:
            running.append(item)
            most[:] = max(most[0], sum(weights[i] for i in running)), max(most[1], len(running))
            alone = weights[item] > 5
            assert (threading.current_thread() is threading.main_thread()) == alone
            assert not alone or running == [item]
        time.sleep(0.005)
        with lock:
            running.remove(item)
        return -item

    def items():
        for item in range(len(weights)):
            asked.append(item)
            yield item

    found = []
    for item, result in side_by_side(work, items(), weights.__getitem__, 10, 3):
        found.append((item, result))
        assert len(asked) <= len(found) + 3
    assert found == [(item, -item) for item in range(len(weights))]
    # Heavier than the budget alone: one item may be.
    assert most[1] == 3 and most[0] == 12


def test_one_at_a_time_is_in_the_callers_thread():
    names = side_by_side(lambda _: threading.current_thread(), range(4), lambda _: 1, 10, 1)
    assert {thread for _, thread in names} == {threading.current_thread()}


def test_the_first_error_ends_it():
    done = []

    def fails(item):
        time.sleep(0.002 * (4 - item))
        done.append(item)
        if item >= 2:
            raise ValueError(item)
        return item

    found = side_by_side(fails, range(9), lambda _: 1, 10, 4)
    with pytest.raises(ValueError, match="2"):
        for item, result in found:
            assert item == result < 2
    assert max(done) <= 5  # What had begun has ended, and nothing began since.


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
