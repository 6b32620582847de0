"""Milvus: a server by its URL, or Milvus Lite in a file."""

import logging

from pymilvus import DataType, MilvusClient, MilvusException

from darac_tf.databases.database import Database

_ID_LENGTH, _MARK_LENGTH, _PATH_LENGTH = 36, 64, 65_535  # Bytes; Milvus takes no longer texts.
_READ_AT_ONCE = 4096
# The client prints what it raises, and that Milvus Lite has no time stamps.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)


def connect(name, where, collection):
    """The `Database` at a URL, or in a file that ends in `.db`."""
    return _MilvusDatabase(name, where, collection)


class _MilvusDatabase(Database):
    failures = (MilvusException, OSError)

    def __init__(self, name, where, collection):
        super().__init__(name, collection)
        with self.reached():
            self._client = MilvusClient(where)

    def dimension(self):
        if not self._client.has_collection(self._collection):
            return None
        self._client.load_collection(self._collection)
        fields = self._client.describe_collection(self._collection)["fields"]
        return next((int(x["params"]["dim"]) for x in fields if x["name"] == "vector"), 0)

    def create(self, dimension):
        schema = self._client.create_schema(auto_id=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=_ID_LENGTH)
        schema.add_field("path", DataType.VARCHAR, max_length=_PATH_LENGTH)
        schema.add_field("mark", DataType.VARCHAR, max_length=_MARK_LENGTH)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
        how = self._client.prepare_index_params()
        how.add_index("vector", index_type="AUTOINDEX", metric_type="COSINE")
        self._client.create_collection(
            self._collection, schema=schema, index_params=how, consistency_level="Strong"
        )

    def marks(self):
        marks = {}
        rows = self._client.query_iterator(
            self._collection, batch_size=_READ_AT_ONCE, output_fields=["id", "mark"]
        )
        while some := rows.next():
            marks |= {row["id"]: row["mark"] for row in some}
        rows.close()
        return marks

    def put(self, rows):
        self._client.upsert(
            self._collection, [{**row._asdict(), "vector": row.vector.tolist()} for row in rows]
        )

    def delete(self, ids):
        self._client.delete(self._collection, ids=ids)

    def search(self, vector, top_k):
        (found,) = self._client.search(
            self._collection, [vector.tolist()], limit=top_k, output_fields=["path", "mark"]
        )
        return [(hit["distance"], hit["entity"]["path"], hit["entity"]["mark"]) for hit in found]

    def close(self):
        self._client.close()
