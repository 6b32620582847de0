"""Losses on a batch of embeddings: `loss(labels, embeddings)` gives one float32 number."""

from darac_tf.losses.nra import NRALoss

__all__ = ["NRALoss"]
