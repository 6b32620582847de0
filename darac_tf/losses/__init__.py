"""Losses on a batch of embeddings: `loss(labels, embeddings)` gives one float32 number."""

from darac_tf.losses.choice import LOSSES, make_loss
from darac_tf.losses.classification import ArcFaceLoss, CosFaceLoss, SoftmaxLoss
from darac_tf.losses.contrastive import ContrastiveLoss
from darac_tf.losses.multi_similarity import MultiSimilarityLoss
from darac_tf.losses.nra import NRALoss
from darac_tf.losses.smooth_ap import SmoothAPLoss
from darac_tf.losses.triplet import TripletLoss

__all__ = [
    "LOSSES",
    "ArcFaceLoss",
    "ContrastiveLoss",
    "CosFaceLoss",
    "MultiSimilarityLoss",
    "NRALoss",
    "SmoothAPLoss",
    "SoftmaxLoss",
    "TripletLoss",
    "make_loss",
]
