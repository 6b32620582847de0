"""A database in memory."""

from darac_tf.databases import Database


class Memory(Database):
    """A database in memory, which fails at a number of puts."""

    failures = (ConnectionError,)

    def __init__(self, fails_at=()):
        super().__init__("memory:", "darac")
        self.rows, self.puts, self._fails_at, self._dimension = {}, 0, fails_at, None

    def dimension(self):
        return self._dimension

    def create(self, dimension):
        self._dimension = dimension

    def marks(self):
        return {row.id: row.mark for row in self.rows.values()}

    def put(self, rows):
        self.puts += 1
        if self.puts in self._fails_at:
            raise ConnectionError("the server\nis away")
        self.rows |= {row.id: row for row in rows}

    def delete(self, ids):
        for each in ids:
            del self.rows[each]

    def search(self, vector, top_k):
        rows = sorted(self.rows.values(), key=lambda row: -float(row.vector @ vector))
        return [(float(row.vector @ vector), row.path, row.mark) for row in rows[:top_k]]
