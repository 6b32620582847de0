"""Requests to TensorFlow Serving over gRPC, with its official stubs."""

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from darac_tf.serving.addresses import is_loopback
from darac_tf.serving.retries import ServerError, TransientError

_PASSING = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
# Of a RESOURCE_EXHAUSTED that never passes: the message is too long for one of the two sides.
_TOO_LONG = "larger than max"
# What a message holds besides the images.
_FRAME_BYTES = 1 << 20


class GrpcTransport:
    """One channel to one model of a server; any number of threads may use it.

    Args:
        address: `(host, port)`.
        model: Name of the model.
        timeout_s: Seconds that one attempt may take.
        message_bytes: Most bytes of images in a request, and of an answer.
    """

    def __init__(self, address, model, timeout_s, message_bytes):
        self.name = f"{address[0]}:{address[1]}"
        self._model = model
        self._timeout_s = timeout_s
        limit = message_bytes + _FRAME_BYTES
        options = [
            ("grpc.max_send_message_length", limit),
            ("grpc.max_receive_message_length", limit),
            # Attempts are counted by `Retries` alone, and reach the server when they are made.
            ("grpc.enable_retries", 0),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.enable_http_proxy", 0 if is_loopback(address[0]) else 1),
        ]
        self._channel = grpc.insecure_channel(self.name, options=options)
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(self._channel).Predict
        self._status = model_service_pb2_grpc.ModelServiceStub(self._channel).GetModelStatus

    def predict(self, images, signature, version=None):
        """Sends images to a signature with the input `image_bytes`.

        Args:
            images: Non-empty list of bytes.
            signature: Name of the signature.
            version: Of the model; None for the server's choice.

        Returns:
            Dictionary of output name to array.

        Raises:
            TransientError: If it is worthwhile to ask again.
            ServerError: If the server refuses the request.
        """
        request = predict_pb2.PredictRequest()
        self._name_model(request.model_spec, version)
        request.model_spec.signature_name = signature
        request.inputs["image_bytes"].CopyFrom(
            tf.make_tensor_proto(images, tf.string, [len(images)])
        )
        response = self._call(self._predict, request)
        return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}

    def versions(self):
        """The model's versions on the server: dictionary of number to state, as `"AVAILABLE"`.

        Raises:
            TransientError: If it is worthwhile to ask again.
            ServerError: If the server refuses, or has no such model.
        """
        request = get_model_status_pb2.GetModelStatusRequest()
        self._name_model(request.model_spec, None)
        states = get_model_status_pb2.ModelVersionStatus.State
        found = self._call(self._status, request).model_version_status
        return {status.version: states.Name(status.state) for status in found}

    def close(self):
        """Ends the connection."""
        self._channel.close()

    def _name_model(self, spec, version):
        spec.name = self._model
        if version is not None:
            spec.version.value = version

    def _call(self, method, request):
        try:
            return method(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            code, details = error.code(), error.details() or "no details"
            if code in _PASSING and _TOO_LONG not in details:
                raise TransientError(details, code.name) from error
            hint = "; lower --batch_bytes" if _TOO_LONG in details else ""
            raise ServerError(
                f"{self.name} refused the request: {code.name}: {details}{hint}", code.name
            ) from error
