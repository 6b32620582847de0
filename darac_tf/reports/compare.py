"""Compares two reports query by query, with an interval for the difference of their means.

The queries of a benchmark are few, and hard or easy for every descriptor alike. Differences on the
same query leave that out, so that smaller improvements can be told from chance.
"""

from pathlib import Path

import numpy as np

from darac_tf.errors import UserError
from darac_tf.files import common_folder
from darac_tf.reports import markdown
from darac_tf.reports.markdown import escaped, percent
from darac_tf.reports.saved_report import read_result

_LISTED_QUERIES = 10
# Resampled differences that are held at once: about 64 MB with their indices.
_BLOCK_ENTRIES = 1 << 22


def compare(*reports, resamples=10_000, seed=0):
    """Compares two rows of reports on the same queries: B minus A.

    Queries are matched by path. Where the folders differ, as on another machine, by the path below
    the folder that holds all queries of a report; the text says so.

    Args:
        *reports: Two, A and B: each the path of a report.json, or `PATH#3` for its third row.
        resamples: Bootstrap samples, at least 1.
        seed: Of their random numbers: the same reports give the same text.

    Returns:
        Markdown text: means, their differences with the interval, and the queries with the largest
        gains and losses, for each setting of the protocol.

    Raises:
        UserError: If they are not two, one can't be read, or they differ in the data set, protocol,
            size of the database or queries.
    """
    if len(reports) != 2:
        raise UserError(f"--compare takes two reports, as A.json,B.json, not {len(reports)}")
    a, b = map(read_result, reports)
    notes = [f"Only {name}: {note}" for name, note in _other_notes(a, b)]
    pairs = {}
    for setting in _same_settings(a, b):
        names, pairs[setting], note = _paired(a, b, setting)
        notes += [note] if note and note not in notes else []
    parts = [
        "# Comparison",
        "\n".join(_head(a, b, notes)),
        "## Means in %",
        _means_table(a, b),
        f"## Differences B - A in % points, 95 % interval of {resamples} bootstrap samples",
        _differences_table(pairs, resamples, seed),
    ]
    for setting, values in pairs.items():
        parts += _extremes(setting, names, values)
    return "\n\n".join(parts) + "\n"


def paired_bootstrap(differences, resamples=10_000, seed=0, level=0.95):
    """Percentile interval of the mean of paired differences: floats (low, high).

    Queries are drawn with replacement, as many as there are; the interval holds the middle `level`
    of the means of such samples (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
    chapter 13; for retrieval Sakai, "Evaluating Evaluation Metrics based on the Bootstrap", SIGIR
    2006). It speaks of other queries of the same kind, and is too narrow for fewer than about 20.

    >>> paired_bootstrap([0.25, 0.25, 0.25])
    (0.25, 0.25)

    Of `(Q,)` finite numbers, at least one, and at least one sample; `level` is in (0, 1), and the
    `seed` that of the random numbers. `ValueError` if one has the wrong shape or range.
    """
    differences = np.asarray(differences, np.float64)
    if differences.ndim != 1 or not differences.size or not np.isfinite(differences).all():
        raise ValueError(f"differences must be (Q,), Q > 0, finite. Received: {differences}")
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(f"resamples > 0, level in (0, 1). Received: {resamples}, {level}")
    generator = np.random.default_rng(seed)
    n = differences.size
    block = max(1, _BLOCK_ENTRIES // n)
    means = [
        differences[generator.integers(n, size=(min(block, resamples - start), n))].mean(axis=1)
        for start in range(0, resamples, block)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _same_settings(a, b):
    for name in ("dataset", "protocol", "database_size"):
        mine, other = getattr(a, name), getattr(b, name)
        if mine != other:
            raise _differ(a, b, f"they differ in {name}: {mine!r}, {other!r}; evaluate both alike")
    if a.ap.keys() != b.ap.keys():
        settings = f"{list(a.ap)}, {list(b.ap)}; evaluate both alike"
        raise _differ(a, b, f"they differ in the settings of the protocol: {settings}")
    return list(a.ap)


def _differ(a, b, why):
    return UserError(f"{a.source} and {b.source} can't be compared, {why}")


def _paired(a, b, setting):
    """Names of all queries, `(Q, 2)` APs (NaN without a positive), and a note or None."""
    mine, other, note = a.ap[setting], b.ap[setting], None
    if mine.keys() != other.keys():
        (folder, mine), (other_folder, other) = _below(mine), _below(other)
        note = f"Queries are matched below the folders {folder} (A) and {other_folder} (B)."
    strange = sorted(mine.keys() ^ other.keys())
    if strange:
        found = f"{len(strange)} queries are in one of them only, such as {strange[0]!r}"
        raise _differ(a, b, f"{found}; evaluate both on the same queries")
    values = np.array([(mine[name], other[name]) for name in mine], np.float64)
    lacking = np.isnan(values).any(axis=1) & ~np.isnan(values).all(axis=1)
    if lacking.any():
        found = f"the query {list(mine)[int(np.argmax(lacking))]!r} has a positive in one of them"
        raise _differ(a, b, f"{found} only; evaluate both with the same ground truth")
    return list(mine), values, note


def _below(by_path):
    """The folder that holds all paths, and the same dictionary by the paths below it."""
    folder = common_folder(by_path) or ""
    if not folder:
        return folder, by_path
    return folder, {str(Path(path).relative_to(folder)): ap for path, ap in by_path.items()}


def _other_notes(a, b):
    yield from (("A", note) for note in a.notes if note not in b.notes)
    yield from (("B", note) for note in b.notes if note not in a.notes)
    if a.n_skipped != b.n_skipped:
        yield "A", f"{a.n_skipped} images could not be read, in B {b.n_skipped}."


def _head(a, b, notes):
    yield escaped(f"- A: {a.label} ({a.source})")
    yield escaped(f"- B: {b.label} ({b.source})")
    n_queries = len(next(iter(a.ap.values())))
    database = f"{a.database_size} database images, {n_queries} queries"
    yield escaped(f"- {a.dataset}: {a.protocol}; {database}.")
    yield from (escaped(f"- {note}") for note in notes)


def _means_table(a, b):
    rows = []
    for name in dict.fromkeys([*a.scores, *b.scores]):
        mine, other = a.scores.get(name), b.scores.get(name)
        both = mine is not None and other is not None
        change = percent(other - mine, sign=True) if both else markdown.ABSENT
        rows.append([name, percent(mine), percent(other), change])
    return markdown.table(["Metric", "A", "B", "B - A"], rows, [False, True, True, True])


def _differences_table(pairs, resamples, seed):
    header = ["AP", "Queries", "Mean", "95 % interval", "B better", "Equal", "B worse"]
    rows = []
    for setting, values in pairs.items():
        differences = (values[:, 1] - values[:, 0])[~np.isnan(values[:, 0])]
        if not differences.size:
            rows.append([setting, "0", *["-"] * 5])
            continue
        interval = paired_bootstrap(differences, resamples, seed)
        signs = [(differences > 0).sum(), (differences == 0).sum(), (differences < 0).sum()]
        between = " to ".join(percent(end, sign=True) for end in interval)
        mean = percent(differences.mean(), sign=True)
        rows.append([setting, str(differences.size), mean, between, *map(str, signs)])
    return markdown.table(header, rows, [False] + [True] * 6)


def _extremes(setting, names, values):
    """Tables of the queries that B improves and worsens most."""
    differences = values[:, 1] - values[:, 0]
    gains = np.argsort(-differences, kind="stable")
    losses = np.argsort(differences, kind="stable")
    for title, order, sign in [("gains", gains, 1), ("losses", losses, -1)]:
        # NaN, without a positive, is neither.
        listed = [query for query in order if sign * differences[query] > 0][:_LISTED_QUERIES]
        rows = [
            [names[query], *map(percent, values[query]), percent(differences[query], sign=True)]
            for query in listed
        ]
        yield escaped(f"## Largest {title}: {setting}")
        header = ["Query", "A", "B", "B - A"]
        yield markdown.table(header, rows, [False, True, True, True]) if rows else "None."
