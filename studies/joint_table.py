"""From the APs of joint training to its tables and differences.

APs of one row are a dictionary of set to float `(seeds, queries)` in [0, 1], of queries that have a
positive; before training there is one seed.
"""

import numpy as np

from darac_tf.reports import markdown
from studies.paired import seeds_and_queries

# What the claims compare: (words, row, the one it is better than); "before" is untrained.
CLAIMS = [
    ("regions against the global average", "darac", "spoc"),
    ("regions against the global maximum", "darac", "mac"),
    ("regions against GeM", "darac", "gem"),
    ("average and maximum against the maximum", "ramac", "rmac"),
    ("learned weights against equal ones", "darac", "ramac"),
    ("DARAC after training against before", "darac", "before darac"),
    ("global average after training against before", "spoc", "before spoc"),
    ("GeM after training against before", "gem", "before gem"),
    ("R-MAC after training against before", "rmac", "before rmac"),
    ("gaussian ranks against soft ones", "darac gaussian", "darac"),
    ("min-max ranks against soft ones", "darac minmax", "darac"),
    ("crops of several shapes against squares", "darac", "darac squares"),
]


def mean_score(row):
    """Mean over the sets of the mean AP, `(seeds,)`."""
    return np.mean([of_set.mean(axis=1) for of_set in row.values()], axis=0)


def with_spread(values):
    """Mean and deviation of seeds in percent; one seed has no deviation."""
    text = markdown.percent(np.mean(values))
    return text if len(values) < 2 else f"{text} ± {100 * np.std(values, ddof=1):.2f}"


def difference(row, other, masks=None):
    """Mean difference of two rows over their sets, and its interval over seeds and queries.

    Seeds are those that both have; a row of one seed is compared with each. `masks` chooses some
    queries, a dictionary of set to bool `(queries,)`; sets of which none is left don't count.
    """
    parts = []
    for name, mine in row.items():
        count = min(len(mine), len(other[name])) if len(other[name]) > 1 else len(mine)
        both = mine[:count] - other[name][: max(1, min(count, len(other[name])))]
        both = both if masks is None else both[:, masks[name]]
        parts += [both] if both.shape[1] else []
    return seeds_and_queries(parts) if parts else None


def difference_cells(row, other, masks=None):
    """Cells of a `difference`; bold where the interval leaves out 0."""
    found = difference(row, other, masks)
    if found is None:
        return ["", ""]
    mean, ends = found
    text = markdown.percent(mean, sign=True)
    between = " to ".join(markdown.percent(end, sign=True) for end in ends)
    return [f"**{text}**" if ends[0] * ends[1] > 0 else text, between]


def score_table(rows, columns):
    """Markdown: the mean over the sets of each row, `columns` of `(sizes, plain or whitened)`."""
    names = dict.fromkeys(name for name, *_ in rows)
    cells = [
        [
            name,
            *(
                with_spread(mean_score(rows[name, *c])) if (name, *c) in rows else ""
                for c in columns
            ),
        ]
        for name in names
    ]
    header = ["pooling", *(f"{sizes}, {kind}" for sizes, kind in columns)]
    return markdown.table(header, cells, [False] + [True] * len(columns))


def set_table(rows, column):
    """Markdown: the mAP of each row and set in one column."""
    cells = [
        [name, *(with_spread(of_set.mean(axis=1)) for of_set in row.values())]
        for (name, *own), row in rows.items()
        if tuple(own) == column
    ]
    header = ["pooling", *next(iter(rows.values()))]
    return markdown.table(header, cells, [False] + [True] * (len(header) - 1))


def claim_table(rows, columns):
    """Markdown: the difference of each of `CLAIMS` in each column, with its interval."""
    cells = []
    for words, mine, other in CLAIMS:
        for column in columns:
            pair = (mine, *column), (other, *column)
            if all(key in rows for key in pair):
                seeds = len(next(iter(rows[pair[0]].values())))
                between = difference_cells(*(rows[key] for key in pair))
                cells.append([words, ", ".join(column), *between, str(seeds)])
    header = ["what", "where", "difference", "95 % interval", "seeds"]
    return markdown.table(header, cells, [False, False, True, True, True])


def size_table(rows, sizes, kinds):
    """Markdown: whitening, and all sizes against the first one, for each row."""
    cells = []
    for name in dict.fromkeys(name for name, *_ in rows):
        for words, mine, other in (
            *((f"whitened, at {size}", (size, kinds[1]), (size, kinds[0])) for size in sizes),
            *(
                (f"{sizes[-1]} against {sizes[0]}, {k}", (sizes[-1], k), (sizes[0], k))
                for k in kinds
            ),
        ):
            pair = (name, *mine), (name, *other)
            if mine != other and all(key in rows for key in pair):
                cells.append([name, words, *difference_cells(*(rows[key] for key in pair))])
    header = ["pooling", "what", "difference", "95 % interval"]
    return markdown.table(header, cells, [False, False, True, True])


def orientation_table(rows, column, masks):
    """Markdown: crops of several shapes against squares, by the orientation of the query.

    Args:
        rows: As the others.
        column: Of the rows.
        masks: Dictionary of orientation to a dictionary of set to bool `(queries,)`.
    """
    mine, other = (rows.get((name, *column)) for name in ("darac", "darac squares"))
    if mine is None or other is None:
        return ""
    cells = []
    for name, own in masks.items():
        counts = sum(int(mask.sum()) for mask in own.values())
        cells.append([name, str(counts), *difference_cells(mine, other, own)])
    header = ["queries", "number", "shapes against squares", "95 % interval"]
    return markdown.table(header, cells, [False, True, True, True])
