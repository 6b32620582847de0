"""The names that flags show, against the tables that give them a meaning."""

import pytest

from darac_tf import choices, data, engines
from darac_tf.data.benchmarks.published import PUBLISHED
from darac_tf.engines import inference_copy, openvino_engine
from darac_tf.evaluation import whitening_source
from darac_tf.losses import LOSSES, nra
from darac_tf.models import POOLINGS
from darac_tf.training import state


@pytest.mark.parametrize(
    ("names", "table"),
    [
        (choices.DATASETS, data.READERS),
        (choices.BENCHMARKS, PUBLISHED),
        (choices.POOLINGS, POOLINGS),
        (choices.LOSSES, LOSSES),
        (choices.TRANSFERS, nra.TRANSFERS),
        (choices.OPTIMIZERS, state.OPTIMIZERS),
        (choices.ENGINES, engines._ENGINES),
        (choices.ENGINE_PRECISIONS[:2], inference_copy.POLICIES),
        (choices.ENGINE_PRECISIONS, openvino_engine.HINTS),
        (choices.WHITENINGS, whitening_source.KINDS),
    ],
)
def test_names_are_those_of_the_table(names, table):
    assert names == tuple(table)
