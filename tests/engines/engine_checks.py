"""What holds for every engine."""

import numpy as np

from darac_tf.engines import EngineSettings, make_engine
from tests.engines.networks import SHAPES, described, expected, parts, pixels, smallest_cosine


def check_engine(name, tolerance):
    """Vectors are those of the layers, alone or in a batch, and nothing is traced twice."""
    made = parts()
    engine = make_engine(EngineSettings(name), *made)
    rounded = make_engine(EngineSettings(name, "bfloat16"), *made)
    for shape in SHAPES:
        batch = pixels(shape)
        wanted, found = expected(made, batch), described(engine, batch)
        assert list(found) == list(wanted)
        for key, vectors in found.items():
            assert vectors.dtype == np.float32
            np.testing.assert_allclose(vectors, wanted[key], rtol=0, atol=tolerance)
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        for place in range(shape[0]):
            alone = described(engine, batch[place : place + 1])
            for key, vectors in alone.items():
                np.testing.assert_allclose(vectors[0], found[key][place], rtol=0, atol=1e-6)
        short = described(rounded, batch)
        assert smallest_cosine(short, wanted) > 0.999
        # Were it float32, it would be far nearer.
        # OpenVINO rounds only where the processor has products of bfloat16.
        farthest = max(np.abs(short[key] - wanted[key]).max() for key in wanted)
        assert farthest > 1e-5 or name == "openvino"
        for vectors in short.values():
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert engine.traces == rounded.traces == 1
