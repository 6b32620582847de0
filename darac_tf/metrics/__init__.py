"""Retrieval metrics in NumPy, each named with the protocol it belongs to.

| module | what |
| --- | --- |
| `plain` | plain average precision, precision and recall at k, for labelled collections |
| `oxford` | the Oxford buildings tool's average precision (Oxford5k, Paris6k) |
| `revisited` | ROxford and RParis: easy, medium, hard |
| `holidays` | INRIA Holidays, and its tool's result files |
| `gpr1200` | GPR1200 |
| `landmarks` | GLDv2 retrieval, mAP@100 |
| `protocols` | all that is known of the protocol of each benchmark, and its scores |

`scores` has what they share.
"""

from darac_tf.metrics.gpr1200 import gpr1200_domains
from darac_tf.metrics.holidays import (
    holidays_average_precision,
    score_holidays_results,
)
from darac_tf.metrics.landmarks import (
    landmarks_average_precision,
    mean_landmarks_scores,
)
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
