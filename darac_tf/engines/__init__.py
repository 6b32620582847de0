"""Engines: what runs the network of a description, and in which precision."""

from dataclasses import dataclass

from darac_tf.choices import ENGINE_PRECISIONS, ENGINES
from darac_tf.engines.openvino_engine import OpenVINOEngine
from darac_tf.engines.quantisation import Calibration
from darac_tf.engines.tensorflow_engine import FunctionEngine, TensorFlowEngine, as_engine
from darac_tf.errors import UserError

__all__ = ["Calibration", "EngineSettings", "FunctionEngine", "as_engine", "make_engine"]

_ENGINES = {"tensorflow": TensorFlowEngine, "openvino": OpenVINOEngine}
# Raise one whenever engines give other vectors in that precision than before: descriptors kept on
# disk are then made anew.
_VERSIONS = {"float32": 1, "bfloat16": 2, "int8": 1}


@dataclass(frozen=True)
class EngineSettings:
    """What runs the network.

    Attributes:
        engine: One of `ENGINES`.
        precision: One of `ENGINE_PRECISIONS`, of the convolutions; pooling and L2 stay in float32.
        calibration: `Calibration` of int8, None for others.

    Raises:
        UserError: If one of them is unknown, or they don't fit each other.
    """

    engine: str = "tensorflow"
    precision: str = "float32"
    calibration: Calibration | None = None

    def __post_init__(self):
        for flag, known in (("engine", ENGINES), ("precision", ENGINE_PRECISIONS)):
            if (value := getattr(self, flag)) not in known:
                raise UserError(f"--{flag}={value} is unknown; choose from {', '.join(known)}")
        if self.precision == "int8" and self.engine != "openvino":
            raise UserError("--precision=int8 is for --engine=openvino")
        check_calibration(self.precision, self.calibration)

    def fingerprint(self):
        """A text that differs where vectors may."""
        calibrated = f" {self.calibration.identity}" if self.calibration else ""
        return f"engine {self.engine} {self.precision} {_VERSIONS[self.precision]}{calibrated}"


def check_calibration(precision, calibration):
    """Refuses int8 without a `Calibration`, and one for anything else, with a `UserError`."""
    if precision == "int8" and calibration is None:
        raise UserError(
            "--precision=int8 needs --calibration: a folder or CSV file of photographs, such as "
            "those of the training"
        )
    if precision != "int8" and calibration is not None:
        raise UserError("--calibration is for --precision=int8")


DEFAULT_ENGINE = EngineSettings()


def make_engine(settings, network, preprocessing, poolings):
    """An engine for descriptors that share a backbone (see `FunctionEngine` for what it does).

    Of a Keras model of one input and one output, its `Preprocessing`, and a dictionary of name to
    built pooling layer. Weights of the backbone are taken as they are now; later changes have no
    effect. `UserError` if the engine is not installed, or a layer of the backbone can't be copied.
    """
    more = () if settings.calibration is None else (settings.calibration,)
    return _ENGINES[settings.engine](network, preprocessing, poolings, settings.precision, *more)
