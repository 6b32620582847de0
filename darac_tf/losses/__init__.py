"""Losses on a batch of embeddings: `loss(labels, embeddings)` gives one float32 number.

An argument out of the range that its loss names is a ValueError.
"""

import inspect
from functools import partial

from darac_tf.errors import UserError
from darac_tf.losses.classification import ArcFaceLoss, CosFaceLoss, SoftmaxLoss
from darac_tf.losses.contrastive import ContrastiveLoss
from darac_tf.losses.multi_similarity import MultiSimilarityLoss
from darac_tf.losses.nra import NRALoss
from darac_tf.losses.smooth_ap import SmoothAPLoss
from darac_tf.losses.triplet import TripletLoss

LOSSES = {
    "nra": NRALoss,
    "softmax": SoftmaxLoss,
    "triplet": partial(TripletLoss, mining="batch_hard"),
    "triplet_semi_hard": partial(TripletLoss, mining="semi_hard"),
    "contrastive": ContrastiveLoss,
    "arcface": ArcFaceLoss,
    "cosface": CosFaceLoss,
    "multi_similarity": MultiSimilarityLoss,
    "smooth_ap": SmoothAPLoss,
}


def make_loss(
    name,
    num_classes,
    dim,
    margin=None,
    scale=None,
    tuple_size=None,
    squared=None,
    seed=0,
    **nra_options,
):
    """The loss of a run.

    Args:
        name: One of `LOSSES`.
        num_classes: Classes of the training set; like `dim` and `seed` for losses that classify.
        dim: Dimension of the embeddings.
        margin: None for the loss's default.
        scale: None for the loss's default.
        tuple_size: None, or rows of a tuple; for `"contrastive"`.
        squared: None, or whether distances are squared; for triplets.
        seed: int, of the initial class weights.
        **nra_options: Arguments of `NRALoss`; other losses ignore them, since a run has them all.

    Returns:
        The loss: called as `loss(labels, embeddings)`, with its own weights, if any, as
        `trainable_variables`.

    Raises:
        UserError: If there is no such loss, or it has no such setting, or refuses its value.
    """
    if name not in LOSSES:
        raise UserError(f"--loss={name}: choose from {', '.join(LOSSES)}")
    has = inspect.signature(LOSSES[name]).parameters
    options = {"num_classes": num_classes, "dim": dim, "seed": seed} | nra_options
    given = {"margin": margin, "scale": scale, "tuple_size": tuple_size, "squared": squared}
    for setting, value in given.items():
        if value is None:
            continue
        if setting not in has:
            raise UserError(f"--{setting}={value}: --loss={name} has none; leave it out")
        options[setting] = value
    try:
        return LOSSES[name](**{option: options[option] for option in options if option in has})
    except ValueError as error:
        raise UserError(f"--loss={name}: {error}") from error
