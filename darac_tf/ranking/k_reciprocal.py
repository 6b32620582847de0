"""k-reciprocal re-ranking: images that are each other's neighbours move to the front.

Zhong, Zheng, Cao and Li, Re-ranking person re-identification with k-reciprocal encoding, CVPR 2017.
"""

import numpy as np
from scipy.sparse import csr_array

from darac_tf.ranking.exact_search import search
from darac_tf.rows import finite_rows


def k_reciprocal(queries, database, rows, scores, shortlist=1000, k1=20, k2=6, weight=0.3):
    """Ranks what a search found anew, by k-reciprocal encoding (Zhong et al., CVPR 2017).

    With d the squared Euclidean distance, divided by the largest one from the same image:

    - `N(p, k)`: p itself and its k nearest others; `R(p, k) = {g in N(p, k): p in N(g, k)}`.
    - `R*(p) = R(p, k1)`, joined with `R(g, k1/2)` for each g in `R(p, k1)` for which
      `|R(p, k1) ∩ R(g, k1/2)| > 2/3 |R(g, k1/2)|`.
    - `V(p)_g = exp(-d(p, g))` for g in `R*(p)`, else 0, scaled to the sum 1; then the mean of V
      over the first k2 of p and its nearest others (local query expansion).
    - `d_J(p, g) = 1 - sum min(V(p), V(g)) / sum max(V(p), V(g))`, the Jaccard distance.
    - Ranked by `d* = (1 - weight) d_J + weight d` (lambda in the paper). The scores are `1 - d*`.

    Where the text of the paper leaves room (p in its own sets, the sum of 1, the strict >, the
    division of d, k1/2 rounded to even), this follows the authors' program.

    Each query is ranked by itself, in the set of the query and the first `shortlist` images it
    found: other queries are not used, and neighbours are searched for in this set only, so that
    the cost does not depend on N. Memory is `O(shortlist^2)`. A query that is a row of the database
    must not be in its own ranking: search with `exclude`. Images behind the shortlist share no
    neighbour with the query as far as is known: they have d_J = 1, which puts them behind it, in
    the order they were found in.

    Args:
        queries: `(Q, D)` unit vectors.
        database: `(N, D)` unit vectors, array, memmap or what reads like one.
        rows: `(Q, K)` database rows, best first, from `search`.
        scores: `(Q, K)` their similarities. Places at the end with row -1 or score -inf hold
            nothing that was found and stay as they are.
        shortlist: Images of each query that are re-ranked, at least 1.
        k1: Neighbours of an image, at least 1.
        k2: Images in the local query expansion, at least 1, which leaves it out.
        weight: Weight of the original distance, in [0, 1].

    Returns:
        Tuple of `(Q, K)` int64 database rows, best first, and `(Q, K)` float32 scores; equal
        ones keep the order they were found in. UserError for queries with NaN or infinity.
    """
    if min(shortlist, k1, k2) < 1 or not 0 <= weight <= 1:
        raise ValueError(
            "shortlist, k1, k2 must be at least 1, weight in [0, 1]. "
            f"Received: {shortlist}, {k1}, {k2}, {weight}"
        )
    queries, rows = finite_rows(queries, "query descriptors"), np.asarray(rows, np.int64)
    scores = np.asarray(scores)
    new_rows, new_scores = rows.copy(), scores.astype(np.float32)
    for query, (own_rows, own_scores) in enumerate(zip(rows, scores, strict=True)):
        found = np.count_nonzero((own_rows >= 0) & (own_scores > -np.inf))
        if found:
            distances = _scaled(_distances(own_scores[:found]), shortlist)
            near = np.asarray(database[own_rows[: min(found, shortlist)]], np.float64)
            jaccard = np.ones(found)
            jaccard[: len(near)] = _jaccard_to_first(np.vstack([queries[query], near]), k1, k2)
            similarity = 1 - ((1 - weight) * jaccard + weight * distances)
            order = np.argsort(-similarity, kind="stable")
            new_rows[query, :found] = own_rows[order]
            new_scores[query, :found] = similarity[order]
    return new_rows, new_scores


def _distances(similarities):
    """Squared Euclidean distances of unit vectors; rounding may have made some negative."""
    return np.maximum(2 - 2 * similarities.astype(np.float64), 0)


def _scaled(distances, first=None):
    """Divides by the largest of the first; where these are all zero, nothing changes."""
    largest = distances[..., :first].max(axis=-1, keepdims=True)
    return distances / np.where(largest == 0, 1, largest)


def _jaccard_to_first(members, k1, k2):
    """Jaccard distances `(P - 1,)` of the first of `(P, D)` unit vectors to the others."""
    count = len(members)
    rows, _ = search(members, members, max(k1, k2), exclude=np.arange(count))
    # The image itself is first, even where copies of it tie with it.
    neighbours = np.column_stack([np.arange(count), rows])
    encoded = _encode(members, neighbours[:, : k1 + 1], k1)
    near = neighbours[:, :k2]
    first = encoded[near[0]].mean(axis=0)
    # A minimum with zero is zero, so the other columns don't count.
    columns = np.flatnonzero(first)
    encoded = encoded[:, columns]
    expanded = sum(encoded[rank] for rank in near.T) / near.shape[1]
    shared = np.minimum(expanded, first[columns]).sum(axis=1)[1:]
    # Both sum to 1, and min + max is the sum of the two.
    return 1 - shared / (2 - shared)


def _encode(members, neighbours, k1):
    """V before the local query expansion, `(P, P)`."""
    distances = _distances((members @ members.T).astype(np.float32))
    np.fill_diagonal(distances, 0)
    weights = np.where(_expanded_sets(neighbours, k1), np.exp(-_scaled(distances)), 0)
    return weights / weights.sum(axis=1, keepdims=True)


def _expanded_sets(neighbours, k1):
    """R*(p) of all images as a boolean matrix `(P, P)`."""
    # Python rounds a half to the even number, as the authors' program does.
    mutual, near = _mutual(neighbours), _mutual(neighbours[:, : round(k1 / 2) + 1])
    is_mutual = mutual.toarray() > 0
    shared, sizes = (mutual @ near.T).toarray(), near.sum(axis=1)
    joins = is_mutual & (3 * shared > 2 * sizes)
    return is_mutual | ((csr_array(joins, dtype=np.int32) @ near).toarray() > 0)


def _mutual(neighbours):
    """Sparse 0/1 matrix `(P, P)`: each image's neighbours `(P, k)` that have it as theirs."""
    count, k = neighbours.shape
    ones, starts = np.ones(count * k, np.int32), np.arange(0, count * k + 1, k)
    listed = csr_array((ones, neighbours.ravel(), starts), shape=(count, count))
    return listed.multiply(listed.T).tocsr()
