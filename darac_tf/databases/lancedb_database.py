"""LanceDB: a folder, without a server. A search compares with every row until it has an index."""

import contextlib

import lancedb
import pyarrow as pa

from darac_tf.databases.database import Database


def connect(name, where, collection):
    """The `Database` in a folder, or at any other place that LanceDB knows."""
    return _LanceDatabase(name, where, collection)


class _LanceDatabase(Database):
    # Its library raises these for whatever goes wrong on disk.
    failures = (OSError, RuntimeError, ValueError)

    def __init__(self, name, where, collection):
        super().__init__(name, collection)
        with self.reached():
            self._lance = lancedb.connect(where)
        self._table, self._is_changed = None, False

    def dimension(self):
        try:
            self._table = self._lance.open_table(self._collection)
        except ValueError:
            return None
        kinds = {field.name: field.type for field in self._table.schema}
        return getattr(kinds.get("vector"), "list_size", 0)

    def create(self, dimension):
        fields = {name: pa.string() for name in ("id", "path", "mark")}
        schema = pa.schema({**fields, "vector": pa.list_(pa.float32(), dimension)})
        self._table = self._lance.create_table(self._collection, schema=schema)

    def marks(self):
        found = self._table.search().select(["id", "mark"]).to_batches()
        return {row["id"]: row["mark"] for batch in found for row in batch.to_pylist()}

    def put(self, rows):
        columns = dict(zip(rows[0]._fields, map(list, zip(*rows, strict=True)), strict=True))
        table = pa.table(columns, self._table.schema)
        merge = self._table.merge_insert("id").when_matched_update_all()
        merge.when_not_matched_insert_all().execute(table)
        self._is_changed = True

    def delete(self, ids):
        quoted = ", ".join(f"'{each}'" for each in ids)
        self._table.delete(f"id IN ({quoted})")

    def search(self, vector, top_k):
        query = self._table.search(vector).distance_type("cosine").limit(top_k)
        found = query.select(["path", "mark", "_distance"]).to_list()
        return [(1 - row["_distance"], row["path"], row["mark"]) for row in found]

    def close(self):
        if self._is_changed:
            # Each batch is a file of its own until now, which only takes longer to read.
            with contextlib.suppress(*self.failures):
                self._table.optimize()
