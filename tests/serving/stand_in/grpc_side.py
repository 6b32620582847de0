"""The gRPC side of the loopback stand-in: TensorFlow Serving's services over `LocalModel`s."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

_CODES = {code.value[0]: code for code in grpc.StatusCode}


def start_grpc(models, port, threads, queue, message_bytes, tls=None):
    """Starts serving on 127.0.0.1.

    Args:
        models: `LocalModels`.
        port: The port; 0 for a free one.
        threads: Requests that run at a time.
        queue: Requests that are held at a time; further ones get RESOURCE_EXHAUSTED.
        message_bytes: Most bytes of a request.
        tls: See `LocalServer`.

    Returns:
        `(grpc.Server, port)`.
    """
    server = grpc.server(
        ThreadPoolExecutor(threads, "grpc"),
        maximum_concurrent_rpcs=queue,
        options=[
            ("grpc.max_receive_message_length", message_bytes),
            ("grpc.max_send_message_length", message_bytes),
            ("grpc.so_reuseport", 0),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(models), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Status(models), server)
    address = f"127.0.0.1:{port}"
    if tls:
        key, certificate, authority = (file and Path(file).read_bytes() for file in tls)
        pair = [(key, certificate)]
        credentials = grpc.ssl_server_credentials(pair, authority, bool(authority))
        port = server.add_secure_port(address, credentials)
    else:
        port = server.add_insecure_port(address)
    server.start()
    return server, port


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models):
        self._models = models

    def Predict(self, request, context):  # noqa: N802
        with _Failures(context, self._models):
            spec = request.model_spec
            version = spec.version.value if spec.HasField("version") else None
            inputs = {name: _array(name, value) for name, value in request.inputs.items()}
            version, outputs = self._models.predict(
                spec.name, version, spec.signature_name or "serving_default", inputs
            )
            response = predict_pb2.PredictResponse()
            response.model_spec.name = spec.name
            response.model_spec.version.value = version
            response.model_spec.signature_name = spec.signature_name
            for name, value in outputs.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return response

    def GetModelMetadata(self, request, context):  # noqa: N802
        with _Failures(context, self._models):
            spec = request.model_spec
            version = spec.version.value if spec.HasField("version") else None
            version, model = self._models.find(spec.name, version)
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            response.model_spec.name = spec.name
            response.model_spec.version.value = version
            signatures = get_model_metadata_pb2.SignatureDefMap()
            for name, signature in model.signatures.items():
                signatures.signature_def[name].CopyFrom(signature)
            response.metadata["signature_def"].Pack(signatures)
            return response


class _Status(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models):
        self._models = models

    def GetModelStatus(self, request, context):  # noqa: N802
        with _Failures(context, self._models):
            response = get_model_status_pb2.GetModelStatusResponse()
            for version in self._models.versions(request.model_spec.name):
                status = response.model_version_status.add()
                status.version = version
                status.state = get_model_status_pb2.ModelVersionStatus.AVAILABLE
            return response


class _Failures:
    """Turns TensorFlow's errors in the block into the status that their number stands for."""

    def __init__(self, context, models):
        self._context = context
        self._models = models

    def __enter__(self):
        try:
            self._models.guard(dict(self._context.invocation_metadata()))
        except tf.errors.OpError as error:
            self.__exit__(type(error), error, None)
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, tf.errors.OpError):
            self._context.abort(_CODES[error.error_code], error.message)


def _array(name, proto):
    try:
        return tf.make_ndarray(proto)
    except (TypeError, ValueError) as error:
        raise tf.errors.InvalidArgumentError(None, None, f"input {name!r}: {error}") from error
