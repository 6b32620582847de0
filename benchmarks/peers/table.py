"""The table of all tasks, and the lines that say who is missing in it."""

import statistics

from benchmarks.peers.peak import peak_rates
from darac_tf.reports import markdown

_HEADER = ["task", "contestant", "median", "ratio to the base", "share of peak", "peak MiB"]
# Their networks are others than those whose multiply-adds were counted.
_OTHERS = "torchvision"


def ratios_to_base(seconds, name):
    """A contestant's seconds divided by the base's of the same round: list, one a round.

    Of a dictionary of contestant to seconds, the base first.
    """
    base = next(iter(seconds.values()))
    return [mine / its for mine, its in zip(seconds[name], base, strict=True)]


def ratio_to_base(result, name):
    """The median of `ratios_to_base` over the rounds."""
    return statistics.median(ratios_to_base(result.seconds, name))


def share_of_peak(result, name, rates):
    """Multiply-adds of the network / time / peak of the precision; None where it can't be said.

    `rates` are `peak.peak_rates`.
    """
    precision = next((each for each in rates if each in name), "float32")
    if not result.work or precision not in rates or name.startswith(_OTHERS):
        return None
    return result.work / statistics.median(result.seconds[name]) / rates[precision]


def table(results):
    """One Markdown table.

    Args:
        results: List of `contest.Result`.

    Returns:
        Text without a newline at the end.
    """
    rates = peak_rates(results)
    shares = {
        (result.title, name): share_of_peak(result, name, rates)
        for result in results
        for name in result.seconds
    }
    rows = [
        [
            result.title,
            name,
            f"{statistics.median(seconds):.4f}",
            f"{ratio_to_base(result, name):.2f}",
            "-" if (share := shares[result.title, name]) is None else f"{share:.0%}",
            f"{result.peaks[name]:.0f}",
        ]
        for result in results
        for name, seconds in result.seconds.items()
    ]
    return markdown.table(_HEADER, rows, [False, False, True, True, True, True])


def left_out(results):
    """Lines that say who was left out, and why; once where it was so in several tasks."""
    lines = [
        f"left out: {name} ({what})" for result in results for name, what in result.absent.items()
    ]
    return list(dict.fromkeys(lines))
