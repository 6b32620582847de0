"""What loads an export: TensorFlow alone, the loader of TensorFlow Serving, saved_model_cli."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from darac_tf.export.publishing import WARMUP_FILE
from tests.export import kinds


def types(specs):
    return {name: (spec.dtype.name, spec.shape.as_list()) for name, spec in specs.items()}


def replayed(folder, requests):
    """What a session, which is what TensorFlow Serving runs, gives for each request."""
    found, config = [], tf.compat.v1.ConfigProto()
    # As all other graphs of this process.
    options = tf.config.optimizer.get_experimental_options()
    rewriting = config.graph_options.rewrite_options
    rewriting.disable_meta_optimizer = options.get("disable_meta_optimizer", False)
    with tf.compat.v1.Session(graph=tf.Graph(), config=config) as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        for request in requests:
            signature = graph.signature_def[request.model_spec.signature_name]
            feeds = {
                signature.inputs[name].name: tf.make_ndarray(value)
                for name, value in request.inputs.items()
            }
            fetches = {name: info.name for name, info in signature.outputs.items()}
            found.append(session.run(fetches, feeds))
    return found


def read_warmup(folder):
    """List of `PredictRequest` that lie beside a SavedModel."""
    records = tf.data.TFRecordDataset(str(folder / WARMUP_FILE))
    logs = (PredictionLog.FromString(record) for record in records.as_numpy_iterator())
    return [log.predict_log.request for log in logs]


def test_signatures(loaded):
    files, vectors = {"image_bytes": ("string", [None])}, ("float32", [None, 16])
    found = {
        name: (types(call.structured_input_signature[1]), types(call.structured_outputs))
        for name, call in loaded.signatures.items()
    }
    assert found == {
        "serving_default": (files, {"descriptor": vectors}),
        "robust": (files, {"descriptor": vectors, "valid": ("bool", [None])}),
        "pixels": ({"pixels": ("uint8", [None, None, None, 3])}, {"descriptor": vectors}),
    }


def test_the_loader_of_tensorflow_serving_and_its_warm_up(exported, serve):
    requests = read_warmup(exported)
    names = {request.model_spec.signature_name for request in requests}
    assert names == {"serving_default", "robust", "pixels"}
    assert {request.model_spec.name for request in requests} == {"small"}
    for request, found in zip(requests, replayed(exported, requests), strict=True):
        lengths = np.linalg.norm(found["descriptor"], axis=1)
        np.testing.assert_allclose(lengths, found.get("valid", np.ones(len(lengths))), atol=1e-5)
        if request.model_spec.signature_name == "serving_default":
            files = list(tf.make_ndarray(request.inputs["image_bytes"]))
            np.testing.assert_allclose(found["descriptor"], serve(files)["descriptor"], atol=1e-6)


def test_the_loader_of_tensorflow_serving_has_the_whitening(whitened):
    requests = {one.model_spec.signature_name: one for one in read_warmup(whitened)}.values()
    signatures = tf.saved_model.load(str(whitened)).signatures
    for request, found in zip(requests, replayed(whitened, requests), strict=True):
        call = signatures[request.model_spec.signature_name]
        inputs = {name: tf.constant(tf.make_ndarray(v)) for name, v in request.inputs.items()}
        expected = call(**inputs)["descriptor"]
        assert expected.shape[1] == 4 and np.abs(expected).max() > 0.1
        np.testing.assert_allclose(found["descriptor"], expected, atol=1e-6)


@pytest.mark.slow
def test_saved_model_cli(run_command, exported, serve, tmp_path):
    cli = "tensorflow.python.tools.saved_model_cli"
    status, shown, last = run_command(cli, "show", "--dir", exported, "--all")
    assert status == 0, last
    assert "signature_def['robust']" in shown and "inputs['image_bytes']" in shown
    data = kinds.encoded(kinds.picture(), "JPEG")
    np.save(tmp_path / "images.npy", np.array([data]))
    command = ["run", "--dir", exported, "--tag_set", "serve", "--outdir", tmp_path]
    command += ["--signature_def", "serving_default"]
    command += ["--inputs", f"image_bytes={tmp_path / 'images.npy'}"]
    status, _, last = run_command(cli, *command)
    assert status == 0, last
    found = np.load(tmp_path / "descriptor.npy")
    np.testing.assert_allclose(found, serve([data])["descriptor"], atol=1e-6)
