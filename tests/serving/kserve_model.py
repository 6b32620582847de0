"""kserve's REST server over a SavedModel, on 127.0.0.1; runs in an environment of its own.

    $KSERVE_PYTHON tests/serving/kserve_model.py FOLDER/1

prints the port. It knows nothing of darac_tf: what it shares with the client is the published
protocol. kserve listens on all addresses by itself, so it is handed a socket that does not.
"""

import base64
import socket
import sys

import tensorflow as tf
from kserve import Model, ModelRepository
from kserve.errors import InvalidInput
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import RESTServer


class Describer(Model):
    """Maps the protocol's rows onto the signatures."""

    def __init__(self, folder):
        super().__init__("darac")
        self._loaded = tf.saved_model.load(folder)
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        signature = self._loaded.signatures[payload.get("signature_name", "serving_default")]
        images = [base64.b64decode(instance["b64"]) for instance in payload["instances"]]
        try:
            found = signature(image_bytes=tf.constant(images))
        except tf.errors.InvalidArgumentError as error:
            raise InvalidInput(error.message) from error
        columns = {name: value.numpy().tolist() for name, value in found.items()}
        if len(columns) == 1:
            return {"predictions": next(iter(columns.values()))}
        rows = zip(*columns.values(), strict=True)
        return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def main():
    models = ModelRepository()
    models.update(Describer(sys.argv[1]))
    own = socket.create_server(("127.0.0.1", 0))
    port = own.getsockname()[1]
    plane = DataPlane(models)
    server = RESTServer(
        "kserve.model_server:app", plane, ModelRepositoryExtension(models), port, grace_period=1
    )
    print(f"port {port}", flush=True)
    server.run(sockets=[own])


if __name__ == "__main__":
    main()
