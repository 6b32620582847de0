"""From vectors to rankings: search, expansion, re-ranking, and images that could not be read."""

from dataclasses import dataclass, replace

import numpy as np

from darac_tf.choices import EXPANSIONS, RERANKINGS
from darac_tf.errors import UserError
from darac_tf.ranking.approximate_search import approximate_search, recall_against_exact
from darac_tf.ranking.exact_search import search
from darac_tf.ranking.k_reciprocal import k_reciprocal
from darac_tf.ranking.query_expansion import alpha_expansion, augment_database, average_expansion

# Without --top_k: an index gives the first ranks, not all.
_APPROXIMATE_RANKS = 100
# Queries that the recall of an index is measured on.
_RECALL_QUERIES = 100


@dataclass(frozen=True)
class RankingSettings:
    """How vectors become rankings."""

    # Ranks to keep; None for all. Positives beyond them count as never found.
    top_k: int | None = None
    expansion: str = "none"  # One of `EXPANSIONS`, see `query_expansion`.
    expansion_n: int = 10  # Neighbours that expand a query.
    expansion_alpha: float = 3.0  # Exponent of alpha-QE.
    augmentation_n: int = 0  # Neighbours of database-side augmentation; 0 for none.
    rerank: str = "none"  # One of `RERANKINGS`: `k_reciprocal.k_reciprocal`.
    # Text for faiss' index factory; None searches exactly. An index gives the first `top_k` ranks,
    # 100 by default.
    faiss_index: str | None = None

    def describe(self):
        """A few words for the table, or None for plain exact search."""
        parts = []
        if self.augmentation_n:
            parts.append(f"database augmentation ({self.augmentation_n})")
        if self.expansion == "average":
            parts.append(f"average QE ({self.expansion_n})")
        if self.expansion == "alpha":
            parts.append(f"alpha-QE ({self.expansion_n}, alpha = {self.expansion_alpha:g})")
        if self.rerank == "k_reciprocal":
            parts.append("k-reciprocal re-ranking")
        if self.faiss_index:
            parts.append(f"faiss {self.faiss_index}")
        return ", ".join(parts) or None

    def check(self):
        """Refuses settings that are unknown (ValueError) or don't fit each other (UserError)."""
        if self.expansion not in EXPANSIONS or self.rerank not in RERANKINGS:
            raise ValueError(f"unknown expansion or re-ranking. Received: {self}")
        if self.expansion_alpha != RankingSettings.expansion_alpha and self.expansion != "alpha":
            raise UserError("--expansion_alpha is for --expansion=alpha")


@dataclass(frozen=True)
class Rankings:
    """What was found."""

    rows: np.ndarray  # int64 `(Q, K)`, database rows, best first; -1 as padding at the end.
    scores: np.ndarray  # float32 `(Q, K)`, what they were ranked by; -inf where there is none.
    notes: tuple[str, ...] = ()  # Sentences for the report.

    def with_last(self, is_last, top_k=None):
        """Moves images, bool `(N,)`, behind the others with score -inf; keeps `top_k` ranks.

        They come in the order of the database, before the padding.
        """
        n_ranks, is_moved = self.rows.shape[1], (self.rows >= 0) & is_last[self.rows]
        place = np.where(is_moved, n_ranks + self.rows, np.arange(n_ranks))
        place[self.rows < 0] = n_ranks + len(is_last)
        order = np.argsort(place, axis=1, kind="stable")[:, :top_k]
        scores = np.where(is_moved, np.float32(-np.inf), self.scores)
        rows, scores = (np.take_along_axis(x, order, axis=1) for x in (self.rows, scores))
        return replace(self, rows=rows, scores=scores)


def rank(vectors, task, settings, usable):
    """Ranks the database of a `Task` for each query, by `RankingSettings`: `Rankings`.

    Of `Vectors` of `task.images`, and bool `(images,)`, False for images that could not be read:
    these come last, in the order of the database, and as a query they find nothing. `UserError` if
    the settings don't fit each other, or a vector is not finite.
    """
    settings.check()
    database = vectors.of(np.arange(task.n_database)).in_memory()
    queries = np.asarray(vectors.of(task.queries))
    if settings.augmentation_n:
        database = augment_database(database, settings.augmentation_n)
    if settings.expansion != "none":
        queries = _expanded(queries, database, task.exclude, settings)
    is_bad = ~usable[: task.n_database]
    # Images that are to come last may be among the first of the search.
    more = np.count_nonzero(is_bad)
    if settings.faiss_index:
        k = (settings.top_k or _APPROXIMATE_RANKS) + more
        found = _approximate(queries, database, task.exclude, settings.faiss_index, k)
    else:
        k = None if settings.top_k is None else settings.top_k + more
        found = Rankings(*search(queries, database, k, exclude=task.exclude))
    if is_bad.any():
        found = found.with_last(is_bad, settings.top_k)
    if settings.rerank == "k_reciprocal":
        rows, scores = k_reciprocal(queries, database, found.rows, found.scores)
        found = replace(found, rows=rows, scores=scores)
    finds_nothing = ~usable[task.queries]
    found.rows[finds_nothing], found.scores[finds_nothing] = -1, -np.inf
    return found


def _expanded(queries, database, exclude, settings):
    rows, scores = search(queries, database, settings.expansion_n, exclude=exclude)
    if settings.expansion == "average":
        return average_expansion(queries, database, rows)
    return alpha_expansion(queries, database, rows, scores, settings.expansion_alpha)


def _approximate(queries, database, exclude, index, k):
    """The approximate search, and how much of the exact one it finds."""
    rows, scores = approximate_search(queries, database, k + (exclude is not None), index)
    # The exact search of a few queries tells the recall without costing what the index saves.
    asked = np.unique(np.linspace(0, len(queries) - 1, _RECALL_QUERIES).astype(int))
    own = None
    if exclude is not None:
        rows, scores = _without(rows, scores, exclude)
        own = exclude[asked]
    exact, _ = search(queries[asked], database, k, exclude=own)
    recall = recall_against_exact(rows[asked, : exact.shape[1]], exact)
    note = (
        f"faiss {index} finds {100 * recall:.2f} % of the exact first {k} ranks "
        f"of {len(asked)} queries."
    )
    return Rankings(rows, scores, (note,))


def _without(rows, scores, exclude):
    """Takes one row out of each ranking; where it is not there, the last goes."""
    keep = rows != exclude[:, None]
    keep[keep.all(axis=1), -1] = False
    shape = (len(rows), rows.shape[1] - 1)
    return rows[keep].reshape(shape), scores[keep].reshape(shape)
