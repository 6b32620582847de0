"""A hash of everything that a network's output depends on, the same in every process."""

import hashlib
import json

import numpy as np


def model_fingerprint(*parts):
    """Hashes models, layers and other parts that together make a descriptor: 32 hexadecimal digits.

    Two models get the same fingerprint where the classes, settings and weights of their layers are
    the same. The names of layers do not count: Keras numbers them by what was built before.

    Args:
        *parts: Keras models or layers, `bytes` (such as those of a weights file) or strings.
    """
    if not parts:
        raise ValueError("`parts` must hold what makes the descriptor. Received: nothing")
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        for data in _pieces(part):
            # The length first, so that no two lists of pieces read the same.
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
    return digest.hexdigest()


def _pieces(part):
    if isinstance(part, bytes):
        yield from (b"bytes", part)
    elif isinstance(part, str):
        yield from (b"text", part.encode())
    elif hasattr(part, "get_config") and hasattr(part, "weights"):
        yield type(part).__name__.encode()
        config = without_layer_names(part.get_config())
        yield json.dumps(config, sort_keys=True, default=_plain).encode()
        for weight in part.weights:
            values = np.ascontiguousarray(weight.numpy())
            yield f"{values.dtype} {values.shape}".encode()
            yield values.tobytes()
    else:
        raise ValueError(
            "`parts` must be Keras models or layers, bytes or strings. "
            f"Received: {type(part).__name__}"
        )


def without_layer_names(config):
    """The configuration of a Keras layer or model with layers' names replaced by numbers in order.

    Only where Keras puts the name of a layer: whatever else is called `name`, such as the precision
    of a layer, stays, and so does an activation that is called like a layer.
    """
    return _Renamed().layer_config(config)


class _Renamed:
    """Numbers names as they come up."""

    def __init__(self):
        self._numbers = {}

    def layer_config(self, config):
        return self._renamed(self._walk(config))

    def _walk(self, value):
        if isinstance(value, dict):
            return {key: self._field(key, item) for key, item in value.items()}
        return [self._walk(v) for v in value] if isinstance(value, list | tuple) else value

    def _field(self, key, value):
        if key == "layers" and isinstance(value, list | tuple):
            return [self._layer(item) for item in value]
        if key in ("keras_history", "input_layers", "output_layers"):
            return self._references(value)
        # The identity of Python objects, and the shapes a layer was first called with.
        return None if key in ("shared_object_id", "build_config") else self._walk(value)

    def _layer(self, entry):
        if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
            return self._walk(entry)
        # The entry first, so that numbers follow the order of the layers.
        entry = self._renamed(entry)
        config = self.layer_config(entry["config"])
        return {k: config if k == "config" else self._field(k, v) for k, v in entry.items()}

    def _renamed(self, value):
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            return {**value, "name": self._number(value["name"])}
        return value

    def _references(self, value):
        """`[layer, node, tensor]`, or lists or dictionaries of such."""
        if isinstance(value, dict):
            return {key: self._references(item) for key, item in value.items()}
        if not isinstance(value, list | tuple):
            return value
        if len(value) == 3 and isinstance(value[0], str):
            return [self._number(value[0]), *value[1:]]
        return [self._references(item) for item in value]

    def _number(self, name):
        return f"#{self._numbers.setdefault(name, len(self._numbers))}"


def _plain(value):
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if hasattr(value, "get_config"):
        return {"class_name": type(value).__name__, "config": value.get_config()}
    raise ValueError(
        f"A model's configuration must be plain values. Received: {type(value).__name__}"
    )
