"""Qdrant: a server by its URL, or a folder, where all is compared in NumPy."""

import re

from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException

from darac_tf.databases.database import Database

_READ_AT_ONCE = 4096


def connect(name, where, collection):
    """The `Database` at a URL, or in a folder."""
    return _QdrantDatabase(name, where, collection)


class _QdrantDatabase(Database):
    # RuntimeError: another process has the folder. ValueError: of a folder's collections.
    failures = (ApiException, QdrantException, OSError, RuntimeError, ValueError)

    def __init__(self, name, where, collection):
        super().__init__(name, collection)
        is_url = re.match(r"https?://", where)
        with self.reached():
            place = {"url" if is_url else "path": where}
            self._client = QdrantClient(**place, check_compatibility=False)

    def dimension(self):
        if not self._client.collection_exists(self._collection):
            return None
        vectors = self._client.get_collection(self._collection).config.params.vectors
        return getattr(vectors, "size", 0)  # Others' collections may have vectors of many names.

    def create(self, dimension):
        how = models.VectorParams(size=dimension, distance=models.Distance.COSINE)
        self._client.create_collection(self._collection, vectors_config=how)

    def marks(self):
        marks, offset = {}, None
        while True:
            points, offset = self._client.scroll(
                self._collection, limit=_READ_AT_ONCE, offset=offset, with_payload=["mark"]
            )
            marks |= {str(point.id): (point.payload or {}).get("mark") for point in points}
            if offset is None:
                return marks

    def put(self, rows):
        points = [
            models.PointStruct(
                id=row.id, vector=row.vector.tolist(), payload={"path": row.path, "mark": row.mark}
            )
            for row in rows
        ]
        self._client.upsert(self._collection, points, wait=True)

    def delete(self, ids):
        self._client.delete(self._collection, models.PointIdsList(points=ids), wait=True)

    def search(self, vector, top_k):
        found = self._client.query_points(self._collection, vector.tolist(), limit=top_k).points
        return [(point.score, point.payload["path"], point.payload["mark"]) for point in found]

    def close(self):
        self._client.close()
