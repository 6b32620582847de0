"""Retrieval metrics in NumPy, one protocol a file, each named with the protocol it belongs to.

`protocols` has all that is known of each benchmark's protocol; `scores` what the metrics share.
"""

from darac_tf.metrics.gpr1200 import gpr1200_domains
from darac_tf.metrics.holidays import holidays_average_precision, score_holidays_results
from darac_tf.metrics.landmarks import landmarks_average_precision, mean_landmarks_scores
from darac_tf.metrics.oxford import average_precision
from darac_tf.metrics.plain import (
    mean_scores,
    plain_average_precision,
    precision_at_k,
    recall_at_k,
    retrieval_scores,
)
from darac_tf.metrics.protocols import PROTOCOLS, query_truth, score_set, verdicts
from darac_tf.metrics.revisited import revisited_scores
from darac_tf.metrics.scores import Scores

__all__ = [
    "PROTOCOLS",
    "Scores",
    "average_precision",
    "gpr1200_domains",
    "holidays_average_precision",
    "landmarks_average_precision",
    "mean_landmarks_scores",
    "mean_scores",
    "plain_average_precision",
    "precision_at_k",
    "query_truth",
    "recall_at_k",
    "retrieval_scores",
    "revisited_scores",
    "score_holidays_results",
    "score_set",
    "verdicts",
]
