"""Descriptors from a server: a client of TensorFlow Serving, and what is made with it."""

from darac_tf.serving.client import Client, connect
from darac_tf.serving.described import Described
from darac_tf.serving.retries import Retries, ServerError

__all__ = ["Client", "Described", "Retries", "ServerError", "connect"]
