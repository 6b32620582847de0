"""Warm-up requests, which TensorFlow Serving runs before it takes requests for a version.

Without them the first request for each signature waits until its graph is optimised.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog

# TensorFlow Serving looks for them in this place.
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
# Height and width of the drawn images; two shapes, so that requests of several are warm too.
_SHAPES = ((96, 128), (128, 96))


def write_warmup(folder, name):
    """Writes requests for each signature beside a SavedModel.

    Args:
        folder: The SavedModel's folder.
        name: Of the model, which the requests carry.
    """
    path = Path(folder) / WARMUP_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in _inputs():
            request = PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = PredictionLog(predict_log=PredictLog(request=request))
            writer.write(log.SerializeToString())


def read_warmup(folder):
    """The requests of a SavedModel.

    Returns:
        List of `PredictRequest`.
    """
    records = tf.data.TFRecordDataset(str(Path(folder) / WARMUP_FILE))
    logs = (PredictionLog.FromString(record) for record in records.as_numpy_iterator())
    return [log.predict_log.request for log in logs]


def _inputs():
    pictures = [_picture(*shape, seed) for seed, shape in enumerate(_SHAPES)]
    files = [tf.io.encode_jpeg(picture).numpy() for picture in pictures]
    for signature in ("serving_default", "robust"):
        yield signature, {"image_bytes": files[:1]}
        yield signature, {"image_bytes": files}
    yield "robust", {"image_bytes": [*files, b"no image"]}
    yield "pixels", {"pixels": pictures[0][np.newaxis]}


def _picture(height, width, seed):
    """Coarse noise, uint8 `(height, width, 3)`."""
    cells = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3))
    return cells.repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
