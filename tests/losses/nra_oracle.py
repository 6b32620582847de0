"""The NRA loss once more, in float64 and plain loops: what the TensorFlow loss must equal."""

import math

import numpy as np

DEFAULT_POWER = {"logistic": 2.0, "power": 4.0, "exponential": 10.0}


def nra(
    labels,
    embeddings,
    rank="gaussian",
    statistics="batch",
    statistics_gradient=True,
    transfer="logistic",
    power=None,
    r0=None,
    temperature=0.05,
    frozen=None,
):
    """The loss. `frozen` embeddings, where given, are what a distance is measured against."""
    n = len(labels)
    d = _distances(embeddings)
    of_statistics = d if frozen is None or statistics_gradient else _distances(frozen)
    power = DEFAULT_POWER[transfer] if power is None else power
    total = 0.0
    batch_scale = _scale(of_statistics, None) if statistics == "batch" else None
    for i in range(n):
        scale = batch_scale or _scale(of_statistics, i)
        ranks = {"positive": [], "negative": []}
        for j in range(n):
            if j == i:
                continue
            if rank == "gaussian":
                pair = _gaussian(d[i][j], scale)
            elif rank == "minmax":
                pair = _minmax(d[i][j], scale)
            else:
                pair = _soft(d[i][j], of_statistics[i], i, j, temperature)
            ranks["positive" if labels[i] == labels[j] else "negative"].append(pair)
        of_class = 1 + len(ranks["positive"])
        default = 0.5 if rank == "minmax" else (of_class - 0.5) / max(n - 1, 1)
        half = r0 if r0 is not None else default
        if ranks["positive"]:
            total += math.log(_transfer(*max(ranks["positive"]), transfer, power, half)[0])
        if ranks["negative"]:
            hardest = min(ranks["negative"], key=lambda pair: (pair[0], -pair[1]))
            total += math.log(_transfer(*hardest, transfer, power, half)[1])
    return -total / n


def gradient(labels, embeddings, step=1e-6, **options):
    """Central differences of `nra` for every number of `embeddings`."""
    embeddings = np.asarray(embeddings, np.float64)
    result = np.zeros_like(embeddings)
    for index in np.ndindex(embeddings.shape):
        values = []
        for sign in (1, -1):
            moved = embeddings.copy()
            moved[index] += sign * step
            values.append(nra(labels, moved, frozen=embeddings, **options))
        result[index] = (values[0] - values[1]) / (2 * step)
    return result


def _distances(embeddings):
    unit = [np.asarray(e, np.float64) / np.linalg.norm(np.float64(e)) for e in embeddings]
    return [[math.dist(a, b) for b in unit] for a in unit]


def _scale(d, i):
    """Mean, deviation and largest of the distances of anchor i, or of all."""
    n = len(d)
    if n == 1:
        return math.nan, math.nan, math.nan  # which nothing is measured by
    sample = [d[a][b] for a in (range(n) if i is None else [i]) for b in range(n) if a != b]
    mean = math.fsum(sample) / len(sample)
    return mean, math.sqrt(math.fsum((x - mean) ** 2 for x in sample) / len(sample)), max(sample)


def _gaussian(distance, scale):
    """r and 1 - r."""
    mean, deviation, _ = scale
    z = (distance - mean) / max(deviation, 1e-4)
    return 0.5 * math.erfc(-z / math.sqrt(2)), 0.5 * math.erfc(z / math.sqrt(2))


def _minmax(distance, scale):
    """r and 1 - r. The smallest distance of a batch is that of an image from itself."""
    low, high = -1e-3, scale[2] + 1e-3
    return (distance - low) / (high - low), (high - distance) / (high - low)


def _soft(distance, from_anchor, i, j, temperature):
    """r and 1 - r."""
    others = [d for k, d in enumerate(from_anchor) if k not in (i, j)]
    near = [1 / (1 + math.exp((d - distance) / temperature)) for d in others]
    far = [1 / (1 + math.exp((distance - d) / temperature)) for d in others]
    return (sum(near) / len(near), sum(far) / len(far)) if near else (0.5, 0.5)


def _transfer(r, complement, transfer, power, r0):
    """s and 1 - s."""
    if transfer == "logistic":
        odds = (r / r0) ** power
        return 1 / (1 + odds), odds / (1 + odds)
    if transfer == "power":
        return complement**power, -math.expm1(power * math.log1p(-r))
    return math.exp(-power * r), -math.expm1(-power * r)
