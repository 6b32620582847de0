"""Retrieval metrics in NumPy, each named with the protocol it belongs to.

| module | what |
| --- | --- |
| `plain` | plain average precision, precision and recall at k, for labelled collections |
| `trapezoid` | the Oxford buildings tool's average precision (Oxford5k, Paris6k) |
| `revisited` | ROxford and RParis: easy, medium, hard |
| `holidays` | INRIA Holidays, and its tool's result files |
| `landmarks` | GLDv2 retrieval, mAP@100 |
| `gpr1200` | GPR1200 |
| `scoring` | any benchmark by its own protocol |

`hits` has what they share, and `scores` the result.
"""

from darac_tf.metrics.gpr1200 import gpr1200_average_precision, gpr1200_domains
from darac_tf.metrics.holidays import (
    holidays_average_precision,
    score_holidays_results,
)
from darac_tf.metrics.landmarks import (
    landmarks_average_precision,
    mean_landmarks_scores,
)
from darac_tf.metrics.plain import (
    mean_scores,
    plain_average_precision,
    precision_at_k,
    recall_at_k,
    retrieval_scores,
)
from darac_tf.metrics.revisited import revisited_scores
from darac_tf.metrics.scores import Scores
from darac_tf.metrics.scoring import score_set, verdicts
from darac_tf.metrics.trapezoid import average_precision

__all__ = [
    "Scores",
    "average_precision",
    "gpr1200_average_precision",
    "gpr1200_domains",
    "holidays_average_precision",
    "landmarks_average_precision",
    "mean_landmarks_scores",
    "mean_scores",
    "plain_average_precision",
    "precision_at_k",
    "recall_at_k",
    "retrieval_scores",
    "revisited_scores",
    "score_holidays_results",
    "score_set",
    "verdicts",
]
