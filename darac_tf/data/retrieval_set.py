"""A retrieval benchmark: a database, queries, and what is right for each query."""

from dataclasses import dataclass

import numpy as np

from darac_tf.data.views import ImageList


@dataclass(frozen=True)
class RetrievalSet:
    """A benchmark with its ground truth, before anything is described.

    Attributes:
        name: What reports call it, such as "Oxford5k".
        protocol: A key of `metrics.PROTOCOLS`: how rankings of it are scored.
        database: The images that are searched, `(N,)` of them.
        queries: The images that are searched for, `(Q,)` of them, with their boxes where the
            benchmark has boxes.
        own_rows: int64 `(Q,)`, the database row that is the query's own image, -1 where it is not
            in the database; None where no query is.
        relevance: For each of the `lists` of its protocol a list of `(Q,)` int64 arrays, the
            database rows that are so for each query.
        notes: Sentences for the report: orientation, cropping and the like.
    """

    name: str
    protocol: str
    database: ImageList
    queries: ImageList
    own_rows: np.ndarray | None
    relevance: dict[str, list[np.ndarray]]
    notes: tuple[str, ...] = ()
