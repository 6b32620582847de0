"""Requests to TensorFlow Serving over gRPC, with its official stubs and gRPC's own retries."""

import ipaddress
import json
import math
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from darac_tf.errors import UserError
from darac_tf.serving.transport import ServerError, Transport

PASSING = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")
# gRPC's library takes no larger number (kMaxMaxRetryAttempts).
MOST_ATTEMPTS = 5
# Of a RESOURCE_EXHAUSTED that never passes: the message is too long for one of the two sides.
_TOO_LONG = "larger than max"
# What a message holds besides the images.
_FRAME_BYTES = 1 << 20


class GrpcTransport(Transport):
    """One channel; see `Transport`. `UserError` if there are more attempts than gRPC makes."""

    def __init__(self, address, model, timeout_s, message_bytes, retries, access):
        if retries.attempts > MOST_ATTEMPTS:
            raise UserError(
                f"--attempts={retries.attempts}: gRPC sends a request {MOST_ATTEMPTS} times at "
                "most; lower it, or take --protocol=rest"
            )
        self.name = f"{address[0]}:{address[1]}"
        self._model = model
        self._attempts = retries.attempts
        # Where an attempt's own limit does not end it, as within an answer that has begun.
        waits = (retries.attempts - 1) * retries.longest_delay
        self._longest = retries.attempts * timeout_s + waits
        self._metadata = [(name.lower(), value) for name, value in access.headers.items()]
        limit = message_bytes + _FRAME_BYTES
        options = [
            ("grpc.max_send_message_length", limit),
            ("grpc.max_receive_message_length", limit),
            ("grpc.primary_user_agent", access.user_agent),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.enable_http_proxy", 0 if _is_loopback(address[0]) else 1),
            *_retry_options(retries, timeout_s, limit),
        ]
        if access.tls:
            files = (access.ca_certificate, access.client_key, access.client_certificate)
            contents = (file and Path(file).read_bytes() for file in files)
            credentials = grpc.ssl_channel_credentials(*contents)
            channel = grpc.secure_channel(self.name, credentials, options)
        else:
            channel = grpc.insecure_channel(self.name, options)
        self._channel = channel
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        self._status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus

    def predict(self, images, signature, version=None):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._model
        if version is not None:
            request.model_spec.version.value = version
        request.model_spec.signature_name = signature
        images = tf.make_tensor_proto(images, tf.string, [len(images)])
        request.inputs["image_bytes"].CopyFrom(images)
        response = self._call(self._predict, request, self._longest)
        return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}

    def versions(self, within=None):
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self._model
        states = get_model_status_pb2.ModelVersionStatus.State
        response = self._call(self._status, request, min(within or math.inf, self._longest))
        return {one.version: states.Name(one.state) for one in response.model_version_status}

    def close(self):
        self._channel.close()

    def _call(self, method, request, seconds):
        try:
            return method(request, timeout=seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            code, details = error.code().name, error.details() or "no details"
            if code == "CANCELLED" and "perAttemptRecvTimeout" in details:
                code, details = "DEADLINE_EXCEEDED", "no answer in time"
            if code not in PASSING:
                raise ServerError.refused(self.name, code, details) from error
            if _TOO_LONG in details:
                details += "; lower --batch_bytes"
                raise ServerError.refused(self.name, code, details) from error
            raise ServerError.unanswered(self.name, code, details, self._attempts) from error


def _retry_options(retries, timeout_s, limit):
    """A channel's options for as many attempts, each of bounded time."""
    if retries.attempts == 1:
        return [("grpc.enable_retries", 0)]
    policy = {
        "maxAttempts": retries.attempts,
        # Zero is no duration of the policy.
        "initialBackoff": f"{max(retries.first_delay, 0.001):.6f}s",
        "maxBackoff": f"{max(retries.longest_delay, 0.001):.6f}s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": PASSING,
        "perAttemptRecvTimeout": f"{timeout_s:.6f}s",
    }
    config = {"methodConfig": [{"name": [{}], "retryPolicy": policy}]}
    return [
        ("grpc.service_config", json.dumps(config)),
        # A call whose message is larger than this is not sent again.
        ("grpc.per_rpc_retry_buffer_size", limit),
        # The limit of one attempt is read only with this. Nothing is hedged: no policy asks for it.
        ("grpc.experimental.enable_hedging", 1),
    ]


def _is_loopback(host):
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
