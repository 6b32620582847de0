"""Descriptors from a server: a client of TensorFlow Serving, and a command that uses it."""

from darac_tf.serving.client import Answer, Client, connect
from darac_tf.serving.transport import Access, Retries, ServerError

__all__ = ["Access", "Answer", "Client", "Retries", "ServerError", "connect"]
