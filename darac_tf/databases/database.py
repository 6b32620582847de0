"""What every database does for a search: keep rows by their ids, and find the nearest."""

import contextlib
from typing import NamedTuple

from darac_tf.errors import UserError


class Row(NamedTuple):
    """An image in a database."""

    id: str  # A UUID.
    path: str  # Of its file.
    mark: str  # What the vector was made of and by: another mark is another vector.
    vector: object  # float32 `(dim,)`, of unit length.


class Database(contextlib.AbstractContextManager):
    """One collection of a database; `with` closes it.

    Args:
        name: What messages call it.
        collection: Its name.

    Attributes:
        failures: Types of exceptions, what the client raises where the database fails.
    """

    failures = (OSError,)

    def __init__(self, name, collection):
        self.name = f"{name} ({collection})"
        self._collection = collection

    def __exit__(self, *_):
        self.close()

    @contextlib.contextmanager
    def reached(self):
        """Turns a failure of the database in the block into a `UserError` of one line."""
        try:
            yield
        except UserError:
            raise
        except self.failures as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            advice = "see that it runs and takes this; a push goes on where it stopped"
            raise UserError(f"{self.name} failed: {reason}; {advice}") from error

    def prepare(self, dimension):
        """Makes the collection where there is none; `UserError` if it has another dimension."""
        found = self.dimension()
        if found is None:
            self.create(dimension)
        elif found != dimension:
            raise UserError(
                f"{self.name} holds vectors of {found} dimensions, not {dimension}: name another "
                "--collection"
            )

    def dimension(self):
        """That of the collection's vectors; None where there is no such collection.

        0 where it holds something else.
        """

    def create(self, dimension):
        """Makes the collection."""

    def marks(self):
        """Dictionary of the id of every row to its mark, None of a row that has none."""

    def put(self, rows):
        """Adds a list of `Row`, or replaces those of the same ids; they last when it returns."""

    def delete(self, ids):
        """Removes the rows of a list of ids."""

    def search(self, vector, top_k):
        """The rows nearest to a unit vector by cosine: list of `(similarity, path, mark)`."""

    def close(self):
        """Ends the connection."""
