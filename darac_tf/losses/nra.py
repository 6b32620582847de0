"""NRA loss: nonlinear rank approximation."""

import keras
import tensorflow as tf

from darac_tf.choices import RANKS, STATISTICS
from darac_tf.errors import check_choice
from darac_tf.losses import ranks
from darac_tf.losses.pairs import FAR, PairLoss, check_above_zero, pairwise_distances

# `choices.TRANSFERS`: (function, default of `power`)
TRANSFERS = {
    "logistic": (ranks.logistic_transfer, 2.0),
    "power": (ranks.power_transfer, 4.0),
    "exponential": (ranks.exponential_transfer, 10.0),
}


@keras.saving.register_keras_serializable(package="darac_tf")
class NRALoss(PairLoss):
    """`J = -1/m * sum_i (log s+_i,max + log(1 - s-_i,min))` over the m images of a batch.

    For anchor i, s+_i,max is the similarity of its positive of the largest approximated rank (the
    hardest positive), s-_i,min that of its negative of the smallest rank (the hardest negative). A
    similarity is a nonlinear decreasing transfer of the rank: similar images contract, dissimilar
    ones disperse. Only the two selected pairs, and what their ranks are measured against, get a
    gradient.

    An anchor without a positive or without a negative counts with the term it has; a batch with
    neither gives 0. Value and gradient are finite for equal images and for collapsed embeddings.

    Args:
        rank: `"soft"` (`ranks.soft_ranks`), `"gaussian"` (`ranks.gaussian_ranks`) or `"minmax"`
            (`ranks.minmax_ranks`).
        statistics: For `"gaussian"` and `"minmax"`: mean and deviation, or the largest distance, of
            the `"batch"` or of the `"anchor"`.
        statistics_gradient: Whether what a distance is measured against passes back a gradient:
            what is taken from the batch or anchor, or for `"soft"` the distances of the others.
        transfer: `"logistic"`, `"power"` or `"exponential"` (`ranks`).
        power: Steepness of the transfer, above 0; `None` is 2 for logistic, 4 for power and 10 for
            exponential.
        r0: For `"logistic"`: the rank of similarity 1/2, in (0, 1). `None` is (K - 0.5) / (n - 1)
            for an anchor with K images of its class (itself included) in a batch of n: between the
            last rank a positive can have and the first a negative can have. That is a share of
            images; with `"minmax"`, whose ranks are shares of a distance, None is 1/2, half of the
            largest distance.
        temperature: For `"soft"`: width of its steps, as a distance above 0.

    Source: DARAC (arXiv 1909.09420), NRA loss (arXiv 1909.09427). Rank approximations, transfers
    and their constants are reconstructions, chosen by measurement (docs/reconstruction.md).
    """

    def __init__(
        self,
        rank="soft",
        statistics="batch",
        statistics_gradient=True,
        transfer="logistic",
        power=None,
        r0=None,
        temperature=0.05,
    ):
        check_choice("rank", rank, RANKS)
        check_choice("statistics", statistics, STATISTICS)
        check_choice("transfer", transfer, TRANSFERS)
        if power is not None:
            check_above_zero("power", power)
        if r0 is not None and not 0 < r0 < 1:
            raise ValueError(f"`r0` must lie between 0 and 1, or be None. Received: r0={r0}")
        check_above_zero("temperature", temperature)
        self.rank = rank
        self.statistics = statistics
        self.statistics_gradient = statistics_gradient
        self.transfer = transfer
        self.power = power
        self.r0 = r0
        self.temperature = temperature

    def _of_pairs(self, embeddings, positives, negatives):
        distances = pairwise_distances(embeddings)
        # All approximated ranks grow with the anchor's distances: farthest is largest rank. The
        # distances are the better order, since ranks near 0 and 1 round to the same number.
        hardest = [tf.where(positives, distances, -1.0), -tf.where(negatives, distances, FAR)]
        chosen = tf.one_hot(tf.argmax(tf.stack(hardest), axis=2), tf.shape(distances)[0])
        similarity = self._similarity(distances, chosen, self._r0(positives))
        log_positive, log_negative = similarity.log_similar[0], similarity.log_dissimilar[1]
        terms = tf.where(tf.reduce_any(positives, axis=1), log_positive, 0.0)
        terms += tf.where(tf.reduce_any(negatives, axis=1), log_negative, 0.0)
        return -tf.reduce_mean(terms)

    def _r0(self, positives):
        """Rank of similarity 1/2 for each anchor, `(batch,)`, or one for all."""
        if self.r0 is not None or self.rank == "minmax":
            return tf.constant(0.5 if self.r0 is None else self.r0, tf.float32)
        of_class = 1.0 + tf.reduce_sum(tf.cast(positives, tf.float32), axis=1)
        others = tf.cast(tf.maximum(tf.shape(positives)[0] - 1, 1), tf.float32)
        return (of_class - 0.5) / others

    def _similarity(self, distances, chosen, r0):
        if self.rank == "soft":
            rank = ranks.soft_ranks(distances, chosen, self.temperature, self.statistics_gradient)
        else:
            make = ranks.gaussian_ranks if self.rank == "gaussian" else ranks.minmax_ranks
            rank = make(distances, chosen, self.statistics, self.statistics_gradient)
        transfer, default_power = TRANSFERS[self.transfer]
        return transfer(rank, default_power if self.power is None else self.power, r0)
