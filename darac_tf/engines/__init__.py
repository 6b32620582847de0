"""Engines: what runs the network of a description, and in which precision."""

from dataclasses import dataclass

from darac_tf.choices import ENGINE_PRECISIONS, ENGINES
from darac_tf.engines.openvino_engine import OpenVINOEngine
from darac_tf.engines.tensorflow_engine import FunctionEngine, TensorFlowEngine, as_engine
from darac_tf.errors import UserError

__all__ = ["EngineSettings", "FunctionEngine", "as_engine", "make_engine"]

_ENGINES = {"tensorflow": TensorFlowEngine, "openvino": OpenVINOEngine}
# Raise it whenever an engine gives other vectors than before: descriptors kept on disk are then
# made anew.
_VERSION = 1


@dataclass(frozen=True)
class EngineSettings:
    """What runs the network.

    Attributes:
        engine: One of `ENGINES`.
        precision: One of `ENGINE_PRECISIONS`, of the convolutions; pooling and L2 stay in float32.

    Raises:
        UserError: If one of them is unknown.
    """

    engine: str = "tensorflow"
    precision: str = "float32"

    def __post_init__(self):
        for flag, known in (("engine", ENGINES), ("precision", ENGINE_PRECISIONS)):
            if (value := getattr(self, flag)) not in known:
                raise UserError(f"--{flag}={value} is unknown; choose from {', '.join(known)}")

    def fingerprint(self):
        """A text that differs where vectors may."""
        return f"engine {self.engine} {self.precision} {_VERSION}"


DEFAULT_ENGINE = EngineSettings()


def make_engine(settings, network, preprocessing, poolings):
    """An engine for descriptors that share a backbone (see `FunctionEngine` for what it does).

    Of a Keras model of one input and one output, its `Preprocessing`, and a dictionary of name to
    built pooling layer. Weights of the backbone are taken as they are now; later changes have no
    effect. `UserError` if the engine is not installed, or a layer of the backbone can't be copied.
    """
    return _ENGINES[settings.engine](network, preprocessing, poolings, settings.precision)
