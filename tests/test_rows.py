import doctest

import numpy as np

from darac_tf import rows as module
from darac_tf.rows import unit_rows


def test_lengths_of_1_and_zeros():
    rows = np.random.default_rng(0).standard_normal((20, 7))
    rows[3] = 0
    found = unit_rows(rows)
    assert found.dtype == np.float32
    norms = [sum(float(x) ** 2 for x in row) ** 0.5 for row in found]
    np.testing.assert_allclose(norms, [0.0 if i == 3 else 1.0 for i in range(20)], atol=1e-6)
    np.testing.assert_allclose(found[0], rows[0] / np.sqrt((rows[0] ** 2).sum()), atol=1e-7)


def test_very_short_and_very_long_rows():
    np.testing.assert_allclose(
        unit_rows([[3e-200, 4e-200], [3e200, 4e200], [0, 1e-45]]),
        [[0.6, 0.8], [0.6, 0.8], [0, 1]],
        rtol=1e-6,
    )


def test_no_rows():
    assert unit_rows(np.empty((0, 4))).shape == (0, 4)


def test_examples():
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
