"""How well digits are told apart by their embeddings, and the table of it."""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from darac_tf.layers import l2_normalize
from darac_tf.metrics import mean_scores, retrieval_scores
from darac_tf.ranking.exact_search import search
from darac_tf.reports import markdown
from studies.digit_training import CIRCLE

# Of scores in the table: where it was measured.
SCORES = {
    "accuracy": "k-NN accuracy where drawn, %",
    "accuracy on the circle": "k-NN accuracy on the circle, %",
    "mAP": "mAP on the circle, %",
}


def placed(embeddings, space):
    """Embeddings where they are drawn and measured: as they are, or on the circle.

    Args:
        embeddings: `(images, 2)`.
        space: `digit_training.PLANE` or `CIRCLE`.

    Returns:
        float32 `(images, 2)`.
    """
    return np.asarray(l2_normalize(embeddings) if space == CIRCLE else embeddings, np.float32)


def knn_accuracy(train, train_labels, test, test_labels, neighbours=5):
    """Share of test embeddings whose nearest training embeddings vote for their class, in [0, 1].

    Args:
        train: `(images, dim)`.
        train_labels: `(images,)`.
        test: `(others, dim)`.
        test_labels: `(others,)`.
        neighbours: How many vote; fewer where there are fewer.
    """
    classifier = KNeighborsClassifier(min(neighbours, len(train)))
    return float(classifier.fit(train, train_labels).score(test, test_labels))


def mean_ap(embeddings, labels):
    """mAP of test embeddings on the circle, leave-one-out (`metrics.plain`)."""
    vectors = placed(embeddings, CIRCLE)
    own = np.arange(len(vectors))
    rankings, _ = search(vectors, vectors, exclude=own)
    return mean_scores(retrieval_scores(rankings, labels, labels, own))["mAP (plain)"]


def score(train, test, digits, space, neighbours=5):
    """Scores of one trained network.

    Args:
        train: Embeddings `(images, 2)` of the training digits, of any length.
        test: Likewise of the test digits.
        digits: `digit_data.Digits`.
        space: Where the loss's embeddings lie.
        neighbours: k of k-NN.

    Returns:
        Dictionary of the keys of `SCORES` to numbers in [0, 1].
    """
    labels = (digits.train_labels, digits.test_labels)
    accuracies = [
        knn_accuracy(placed(train, where), labels[0], placed(test, where), labels[1], neighbours)
        for where in (space, CIRCLE)
    ]
    return dict(zip(SCORES, [*accuracies, mean_ap(test, labels[1])], strict=True))


def mean_and_deviation(values):
    """Mean and sample deviation of the seeds, in percent, as text.

    >>> mean_and_deviation([0.5, 0.7]), mean_and_deviation([0.5])
    ('60.00 ± 14.14', '50.00')

    Args:
        values: Non-empty list of numbers in [0, 1].
    """
    mean = markdown.percent(float(np.mean(values)))
    return mean if len(values) < 2 else f"{mean} ± {100 * np.std(values, ddof=1):.2f}"


def score_table(spaces, scores):
    """Markdown: a row for each loss.

    Args:
        spaces: Dictionary of loss to where its embeddings are drawn.
        scores: Dictionary of loss to a list, one for each seed, of what `score` gives.
    """
    rows = [
        [name, spaces[name], *(mean_and_deviation([s[key] for s in found]) for key in SCORES)]
        for name, found in scores.items()
    ]
    return markdown.table(["Loss", "Drawn on", *SCORES.values()], rows, [False] * 2 + [True] * 3)
