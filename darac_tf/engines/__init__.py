"""Engines: what runs the network of a description, and in which precision."""

from darac_tf.engines.choice import DEFAULT_ENGINE, ENGINES, PRECISIONS, EngineSettings, make_engine
from darac_tf.engines.tensorflow_engine import FunctionEngine, as_engine

__all__ = [
    "DEFAULT_ENGINE",
    "ENGINES",
    "PRECISIONS",
    "EngineSettings",
    "FunctionEngine",
    "as_engine",
    "make_engine",
]
