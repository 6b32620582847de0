"""From the APs of a sweep of losses to its tables: what is chosen on one half, scored on the other.

APs of one option are float arrays `(rates, seeds, points, images)`, in [0, 1].
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import t

from darac_tf.reports import markdown
from darac_tf.reports.compare import paired_bootstrap
from studies.loss_options import NRA_ALL, NRA_DEFAULT, option_name


@dataclass(frozen=True)
class Chosen:
    """The best configuration of a loss on the choosing half.

    Attributes:
        option: Index among the options.
        rate: Index among the rates.
        point: Index among the numbers of steps.
        reported: `(seeds, images of the reporting half)`.
    """

    option: int
    rate: int
    point: int
    reported: np.ndarray


def choose(aps, choosing, point=None):
    """The configuration of the highest mean AP on the choosing half.

    Args:
        aps: List of APs, one for each option.
        choosing: bool `(images,)`; the others are the reporting half.
        point: Index of a number of steps, or None to choose that too.
    """
    means = np.stack([ap[..., choosing].mean(axis=(1, 3)) for ap in aps])
    if point is not None:
        means[:, :, [p for p in range(means.shape[2]) if p != point]] = -1
    option, rate, best = np.unravel_index(np.argmax(means), means.shape)
    return Chosen(option, rate, best, aps[option][rate, :, best][:, ~choosing])


def seeds_interval(values):
    """Half the width of Student's 95 % interval of the mean of `values` `(seeds,)`."""
    n = len(values)
    return float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else np.nan


def difference(a, b):
    """`a - b` of two `(seeds, images)`: mean, interval over images, half a width over seeds."""
    both = a - b
    return both.mean(), paired_bootstrap(both.mean(axis=0)), seeds_interval(both.mean(axis=1))


def is_settled(mean, over_images, over_seeds):
    """Whether both intervals of a `difference` are on one side of 0."""
    return over_images[0] * over_images[1] > 0 and abs(mean) > over_seeds


def compared_table(found, configuration, before):
    """Markdown: a row for each loss, NRA first.

    Args:
        found: Dictionary of loss to `Chosen`.
        configuration: Function of a loss and its `Chosen` to the text that names it.
        before: Mean AP before training.
    """
    rows = [["before training", "", markdown.percent(before), *[""] * 4]]
    for loss, chosen in found.items():
        scores = chosen.reported.mean(axis=1)
        row = [loss, configuration(loss, chosen)]
        row += [markdown.percent(scores.mean()), markdown.percent(seeds_interval(scores))]
        rows.append(row + _against(found["nra"], chosen))
    header = ["loss", "chosen", "mAP", "± (seeds)", "NRA against it", "over queries", "± (seeds)"]
    return markdown.table(header, rows, [False, False] + [True] * 5)


def ranks_table(aps, choosing, settings_of):
    """Markdown: each option of NRA at its own rate and steps, against the default.

    Args:
        aps: List of APs in the order of `NRA_ALL`.
        choosing: See `choose`.
        settings_of: Function of a `Chosen` to its rate and steps as text.
    """
    found = [choose([ap], choosing) for ap in aps]
    default = found[NRA_ALL.index(NRA_DEFAULT)]
    rows = []
    for option, own, chosen in zip(NRA_ALL, aps, found, strict=True):
        on_choosing = own[chosen.rate, :, chosen.point][:, choosing].mean()
        scores = chosen.reported.mean(axis=1)
        row = [option_name(option), settings_of(chosen), markdown.percent(on_choosing)]
        row += [markdown.percent(scores.mean()), markdown.percent(seeds_interval(scores))]
        rows.append(row + _against(chosen, default))
    header = ["NRA", "chosen", "choosing half", "mAP", "± (seeds)"]
    header += ["against the default", "over queries", "± (seeds)"]
    return markdown.table(header, rows, [False, False] + [True] * 6)


def gradient_table(aps, choosing):
    """Markdown: with the gradient less without it, by rank, the mean over the transfers.

    Args:
        aps: See `ranks_table`.
        choosing: See `choose`.
    """
    reported = {}
    for option, own in zip(NRA_ALL, aps, strict=True):
        key = option["rank"], option["statistics_gradient"]
        reported.setdefault(key, []).append(choose([own], choosing).reported)
    rows = []
    for rank in dict.fromkeys(rank for rank, _ in reported):
        with_it, without = (np.mean(reported[rank, flag], axis=0) for flag in (True, False))
        scores = [markdown.percent(each.mean()) for each in (with_it, without)]
        rows.append([rank, *scores, *_against(with_it, without)])
    header = ["rank", "with", "without", "difference", "over queries", "± (seeds)"]
    return markdown.table(header, rows, [False] + [True] * 5)


def mean_of_subsets(aps, choosing, count):
    """Mean score of what is chosen among `count` options, over all such subsets of the options.

    Args:
        aps: List of APs, one for each option.
        choosing: See `choose`.
        count: Of options in a subset.
    """
    found = [choose([ap], choosing) for ap in aps]
    best = [ap[c.rate, :, c.point][:, choosing].mean() for ap, c in zip(aps, found, strict=True)]
    scores = [chosen.reported.mean() for chosen in found]
    subsets = combinations(range(len(aps)), count)
    return float(np.mean([scores[max(subset, key=best.__getitem__)] for subset in subsets]))


def _against(a, b):
    """Cells of a difference of two `Chosen` or arrays; bold where it `is_settled`."""
    a, b = (each.reported if isinstance(each, Chosen) else each for each in (a, b))
    if a is b:
        return ["", "", ""]
    mean, over_images, over_seeds = difference(a, b)
    text = markdown.percent(mean, sign=True)
    between = " to ".join(markdown.percent(end, sign=True) for end in over_images)
    settled = is_settled(mean, over_images, over_seeds)
    return [f"**{text}**" if settled else text, between, markdown.percent(over_seeds)]
