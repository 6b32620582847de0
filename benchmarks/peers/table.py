"""The table of all tasks, and the lines that say who is missing in it."""

import statistics

from darac_tf.reports import markdown

_HEADER = ["task", "contestant", "median", "ratio to the base", "peak MiB"]


def ratio_to_base(result, name):
    """Median over the rounds of a contestant's seconds divided by the base's of the same round."""
    base = next(iter(result.seconds.values()))
    own = result.seconds[name]
    return statistics.median(mine / its for mine, its in zip(own, base, strict=True))


def table(results):
    """One Markdown table.

    Args:
        results: List of `contest.Result`.

    Returns:
        Text without a newline at the end.
    """
    rows = [
        [
            result.title,
            name,
            f"{statistics.median(seconds):.4f}",
            f"{ratio_to_base(result, name):.2f}",
            f"{result.peaks[name]:.0f}",
        ]
        for result in results
        for name, seconds in result.seconds.items()
    ]
    return markdown.table(_HEADER, rows, [False, False, True, True, True])


def left_out(results):
    """Lines that say who was left out, and why; once where it was so in several tasks."""
    lines = [
        f"left out: {name} ({what})" for result in results for name, what in result.absent.items()
    ]
    return list(dict.fromkeys(lines))
