"""Multi-similarity loss, with its mining of pairs."""

import keras
import tensorflow as tf

from darac_tf.losses.pairs import PairLoss, check_above_zero, cosines

# Beyond any cosine; as an exponent, adds nothing to a sum.
_FAR = 1e9


@keras.saving.register_keras_serializable(package="darac_tf")
class MultiSimilarityLoss(PairLoss):
    """Mean over the anchors i of a batch of

    `1/alpha log(1 + sum_p exp(-alpha (S_ip - threshold)))
    + 1/beta log(1 + sum_n exp(beta (S_in - threshold)))`

    with S the cosine. The sums are over mined pairs: negatives more similar than the anchor's least
    similar positive less `epsilon`, positives less similar than its most similar negative plus
    `epsilon`. Mining passes back no gradient.

    An anchor without mined pairs, in particular one without a positive or without a negative, has
    no term and still counts in the mean, as in the paper.

    Args:
        alpha: Sharpness for positives, above 0.
        beta: Sharpness for negatives, above 0.
        threshold: lambda, a cosine.
        epsilon: Tolerance of the mining, above 0, as a cosine.

    Source: Wang et al. (arXiv 1904.06627). The paper sets lambda to 1; its authors' code, and the
    default here, to 0.5.
    """

    def __init__(self, alpha=2.0, beta=50.0, threshold=0.5, epsilon=0.1):
        for name, value in (("alpha", alpha), ("beta", beta), ("epsilon", epsilon)):
            check_above_zero(name, value)
        if not -1 <= threshold <= 1:
            raise ValueError(f"`threshold` must be a cosine. Received: threshold={threshold}")
        self.alpha = alpha
        self.beta = beta
        self.threshold = threshold
        self.epsilon = epsilon

    def _of_pairs(self, embeddings, positives, negatives):
        similarities = cosines(embeddings)
        positives, negatives = self._mined(similarities, positives, negatives)
        above = similarities - self.threshold
        terms = _log_one_plus_sum(-self.alpha * above, positives) / self.alpha
        terms += _log_one_plus_sum(self.beta * above, negatives) / self.beta
        return tf.reduce_mean(terms)

    def _mined(self, similarities, positives, negatives):
        """The pairs that count, of the bool masks `(batch, batch)`."""
        hardest_positive = tf.reduce_min(tf.where(positives, similarities, _FAR), 1, keepdims=True)
        hardest_negative = tf.reduce_max(tf.where(negatives, similarities, -_FAR), 1, keepdims=True)
        return (
            positives & (similarities < hardest_negative + self.epsilon),
            negatives & (similarities > hardest_positive - self.epsilon),
        )


def _log_one_plus_sum(exponents, mask):
    """`log(1 + sum_j exp(exponents_ij))` over the j of `mask`, without overflow: `(batch,)`."""
    masked = tf.where(mask, exponents, -_FAR)
    one = tf.zeros_like(masked[:, :1])
    return tf.reduce_logsumexp(tf.concat([one, masked], axis=1), axis=1)
