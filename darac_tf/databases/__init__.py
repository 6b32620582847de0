"""Vectors of images in databases of others: one interface, one file a database."""

import importlib

from darac_tf.databases.database import Database, Row
from darac_tf.errors import UserError

__all__ = ["KINDS", "Database", "Row", "connect"]

# Each with what follows its colon, and the packages of its client.
KINDS = {
    "lancedb": ("DIR", "lancedb"),
    "milvus": ("FILE_OR_URL", "pymilvus milvus-lite"),
    "pgvector": ("DSN", "psycopg[binary]"),
    "qdrant": ("URL_OR_DIR", "qdrant-client"),
}


def connect(text, collection):
    """Opens the `Database` that a text such as `lancedb:DIR` names.

    `collection` is the name of the collection or table. `UserError` if there is no such kind, or
    its client is not installed; a client may connect only when it is used.
    """
    kind, _, where = text.partition(":")
    if kind not in KINDS or not where:
        known = ", ".join(f"{name}:{rest}" for name, (rest, _) in KINDS.items())
        raise UserError(f"{text!r} names no database: choose from {known}")
    try:
        module = importlib.import_module(f"darac_tf.databases.{kind}_database")
        return module.connect(text, where, collection)
    except ImportError as error:
        packages = KINDS[kind][1]
        raise UserError(f"{text}: its client is missing: pip install {packages}") from error
