"""PostgreSQL with the extension pgvector. A search compares with every row until it has an index.

pgvector's indexes take at most 2,000 dimensions: https://github.com/pgvector/pgvector.
"""

import psycopg
from psycopg import sql

from darac_tf.databases.database import Database


def connect(name, where, collection):
    """The `Database` at a connection string of libpq, as `postgresql://HOST/DB`."""
    return _PostgresDatabase(name, where, collection)


class _PostgresDatabase(Database):
    failures = (psycopg.Error,)

    def __init__(self, name, where, collection):
        # A connection string may hold a password.
        super().__init__(name.partition(":")[0], collection)
        self._table = sql.Identifier(collection)
        with self.reached():
            self._connection = psycopg.connect(where, autocommit=True)

    def _run(self, statement, values=None):
        text = sql.SQL(statement).format(table=self._table)
        return self._connection.execute(text, values)

    def dimension(self):
        found = self._run(
            "SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass(%s) "
            "AND attname = 'vector'",
            [self._table.as_string(self._connection)],
        ).fetchone()
        return found and found[0]

    def create(self, dimension):
        self._run("CREATE EXTENSION IF NOT EXISTS vector")
        self._run(
            "CREATE TABLE {table} (id uuid PRIMARY KEY, path text NOT NULL, mark text, "
            f"vector vector({int(dimension)}) NOT NULL)"
        )

    def marks(self):
        return {str(id_): mark for id_, mark in self._run("SELECT id, mark FROM {table}")}

    def put(self, rows):
        statement = sql.SQL(
            "INSERT INTO {table} VALUES (%s, %s, %s, %s::vector) ON CONFLICT (id) DO UPDATE "
            "SET path = EXCLUDED.path, mark = EXCLUDED.mark, vector = EXCLUDED.vector"
        ).format(table=self._table)
        values = [(*row[:3], _text(row.vector)) for row in rows]
        # All of a batch or none.
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(statement, values)

    def delete(self, ids):
        self._run("DELETE FROM {table} WHERE id = ANY(%s::uuid[])", [ids])

    def search(self, vector, top_k):
        return self._run(
            "SELECT 1 - (vector <=> %(vector)s::vector), path, mark FROM {table} "
            "ORDER BY vector <=> %(vector)s::vector, id LIMIT %(top_k)s",
            {"vector": _text(vector), "top_k": top_k},
        ).fetchall()

    def close(self):
        self._connection.close()


def _text(vector):
    """A vector as pgvector reads it, without loss."""
    return f"[{','.join(f'{x:.9g}' for x in vector.tolist())}]"
