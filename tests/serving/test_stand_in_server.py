"""The stand-in itself: TensorFlow Serving's services and dialect, and requests that are none."""

import base64
import http.client
import json

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.serving.servicer import serving


@pytest.fixture(scope="module")
def server(small_model):
    with serving(small_model, only_newest=False, message_bytes=100_000) as server:
        yield server


@pytest.fixture
def stub(server):
    with grpc.insecure_channel(server.grpc) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def ask(server, method, path, body=None, headers=None):
    """`(status, answer)` of an HTTP request."""
    connection = http.client.HTTPConnection(server.rest, timeout=10)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def test_metadata_names_the_signatures(stub):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "darac"
    response = stub.GetModelMetadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert {"serving_default", "robust", "pixels"} <= set(signatures.signature_def)
    outputs = signatures.signature_def["robust"].outputs
    assert outputs["valid"].dtype == tf.bool.as_datatype_enum
    assert response.model_spec.version.value == 2
    request.model_spec.version.value = 7
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetModelMetadata(request)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_pixels_over_grpc_and_a_tensor_that_is_none(stub):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "darac"
    request.model_spec.signature_name = "pixels"
    pixels = np.arange(2 * 5 * 6 * 3, dtype=np.uint8).reshape(2, 5, 6, 3)
    request.inputs["pixels"].CopyFrom(tf.make_tensor_proto(pixels))
    found = tf.make_ndarray(stub.Predict(request).outputs["descriptor"])
    assert found.shape == (2, 48)
    request.inputs["pixels"].tensor_content = b"short"
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_rows_of_rest(server, images, offline):
    coded = [{"b64": base64.b64encode(image).decode()} for image in images[:2]]
    named = [{"image_bytes": one} for one in coded]
    for instances in (coded, named):
        body = json.dumps({"instances": instances})
        status, answer = ask(server, "POST", "/v1/models/darac:predict", body)
        assert status == 200  # serving_default has one output, whose name rows leave out
        np.testing.assert_array_equal(np.array(answer["predictions"], np.float32), offline[:2])
    body = json.dumps({"signature_name": "robust", "instances": coded})
    status, answer = ask(server, "POST", "/v1/models/darac/versions/1:predict", body)
    assert [sorted(row) for row in answer["predictions"]] == [["descriptor", "valid"]] * 2
    assert answer["predictions"][0]["descriptor"] == (-offline[0]).tolist()
    status, answer = ask(server, "GET", "/v1/models/darac")
    assert status == 200
    assert [one["version"] for one in answer["model_version_status"]] == ["2", "1"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/models/darac:predict", b"{", 400),
        ("/v1/models/darac:predict", b"\xff", 400),
        ("/v1/models/darac:predict", b"[" * 50_000, 400),
        ("/v1/models/darac:predict", b"[]", 400),
        ("/v1/models/darac:predict", b'{"instances": []}', 400),
        ("/v1/models/darac:predict", b'{"instances": ["text"]}', 400),
        ("/v1/models/darac:predict", b'{"instances": [7]}', 400),
        ("/v1/models/darac:predict", b'{"instances": [{"b64": "%"}]}', 400),
        ("/v1/models/darac:predict", b'{"instances": [{"b64": 7}]}', 400),
        ("/v1/models/darac:predict", b'{"signature_name": 7, "instances": [{"b64": ""}]}', 400),
        ("/v1/models/darac:predict", b'{"signature_name": "x", "instances": [{"b64": ""}]}', 400),
        ("/v1/models/darac:predict", b"x" * 100_001, 413),
        ("/v1/models/other:predict", b'{"instances": [{"b64": ""}]}', 404),
        ("/v1/models/darac/versions/9:predict", b'{"instances": [{"b64": ""}]}', 404),
        ("/v1/models/darac:classify", b"{}", 404),
        ("/", b"{}", 404),
    ],
)
def test_requests_that_are_none(server, path, body, status):
    assert ask(server, "POST", path, body)[0] == status
    assert ask(server, "GET", "/v1/models/darac")[0] == 200


def test_a_length_that_is_none(server):
    for length in ("-1", "x", "99999999999999999999"):
        headers = {"Content-Length": length}
        status, _ = ask(server, "POST", "/v1/models/darac:predict", None, headers)
        assert status == 413
    assert ask(server, "GET", "/v2/models")[0] == 404


def test_connections_are_bounded(small_model):
    with serving(small_model, queue=2) as server:
        held = [http.client.HTTPConnection(server.rest, timeout=10) for _ in range(3)]
        for connection in held[:2]:
            connection.request("GET", "/v1/models/darac")
            assert connection.getresponse().read()
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            held[2].request("GET", "/v1/models/darac")
            held[2].getresponse()
        for connection in held:
            connection.close()
