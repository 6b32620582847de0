"""Scores of INRIA Holidays, from rankings and from the result files of its own tool.

Jegou, Douze and Schmid, "Hamming embedding and weak geometric consistency for large scale image
search", ECCV 2008.
"""

from pathlib import Path

import numpy as np

from darac_tf.errors import UserError
from darac_tf.metrics.oxford import average_precision, trapezoid_area
from darac_tf.metrics.scores import Scores, means_of

PROTOCOL = "Holidays"

# No ranking is as long as 10^9, and a longer number is an image name or a score.
_RANK_DIGITS = 9


def holidays_average_precision(ranking, positives, query):
    """The trapezoid average precision of the ranking without the query's own image.

    `AP = average_precision(ranking - {q}, P - {q})`. The query is one of the database's images and
    mostly comes first; it takes no rank and is no positive, so the search gains nothing by it.

    Ranking `q b a` with the positive a: without q, a has rank 2 and `AP = (0/1 + 1/2) / 2`:

    >>> holidays_average_precision(["q", "b", "a"], {"a"}, "q")
    0.25

    Args:
        ranking: As `average_precision` takes it.
        positives: Collection of the other images of the query's group; repetitions count once.
        query: The query's own item, whether the ranking has it or not.

    Returns:
        As `average_precision`, which also says what is raised.
    """
    others = [item for item in positives if item != query]
    return average_precision(ranking, others, junk=[query])


def score_holidays_results(path, positives):
    """Scores a result file in the format of the Holidays evaluation package.

    Each line is a query's name and then pairs of a rank, counted from 0, and a name:
    `100000.jpg 0 100000.jpg 1 100002.jpg`. As in the official tool the numbers are the ranks: their
    order on the line doesn't matter, and a number that is left out stands for an image that is not
    named. The query itself is ignored, and what ranks behind it moves up by one.

    A query with a line but no results scores 0.

    Args:
        path: The file.
        positives: For the name of each query the collection of its positives' names.

    Returns:
        `Scores`: "ap" in the order of `positives`, and "mAP (Holidays)".

    Raises:
        UserError: If the file can't be read, lacks or repeats a query, has a name that is not in
            Holidays, or a line where ranks and names don't alternate or one comes twice.
    """
    known = set(positives).union(*positives.values())
    results = _read_results(path, positives, known)
    missing = [query for query in positives if query not in results]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of {len(positives)} queries have no line, the first is "
            f"{missing[0]}: add a line for each query, if only with its name"
        )
    ap = [_ranked_average_precision(results[q], set(positives[q]) - {q}, q) for q in positives]
    per_query = {"ap": np.array(ap)}
    return Scores(per_query, means_of(path, per_query, PROTOCOL))


def _ranked_average_precision(rank_of, positives, query):
    own_rank = rank_of.get(query, np.inf)
    found = [rank_of[name] for name in positives if name in rank_of]
    ranks = np.array(sorted(rank - (rank > own_rank) for rank in found), dtype=np.int64)
    return trapezoid_area(ranks, len(positives))


def _read_results(path, queries, known):
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as a Holidays result file: {error}") from error
    results = {}
    for number, line in enumerate(lines, start=1):
        query, *fields = line.split() or [None]
        if query is None:
            continue
        where = f"{path}, line {number}"
        if query not in queries:
            raise UserError(f"{where}: {query} is not a query of Holidays: remove the line")
        if query in results:
            raise UserError(f"{where}: a second line for the query {query}: keep one")
        results[query] = _rank_of_each(where, fields, known)
    if not any(0 in rank_of.values() for rank_of in results.values()) and any(results.values()):
        raise UserError(f"{path}: no result has rank 0: count the ranks from 0")
    return results


def _rank_of_each(where, fields, known):
    """Dict of name to rank for the pairs of one line."""
    if len(fields) % 2:
        raise UserError(f"{where}: ranks and names must alternate after the query: correct it")
    rank_of, used = {}, set()
    for rank, name in zip(fields[::2], fields[1::2], strict=True):
        if not (rank.isascii() and rank.isdecimal() and len(rank) <= _RANK_DIGITS):
            raise UserError(f"{where}: {rank!r} stands where a rank is expected: correct it")
        if name not in known:
            raise UserError(f"{where}: {name} is not an image of Holidays: remove it")
        if name in rank_of or int(rank) in used:
            raise UserError(f"{where}: the rank {rank} or the name {name} comes twice: keep one")
        rank_of[name] = int(rank)
        used.add(int(rank))
    return rank_of
