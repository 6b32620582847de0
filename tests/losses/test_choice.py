"""A loss from the settings of a run."""

import pytest

from darac_tf.errors import UserError
from darac_tf.losses import LOSSES, ArcFaceLoss, TripletLoss, make_loss

WITH_MARGIN = {"triplet", "triplet_semi_hard", "contrastive", "arcface", "cosface"}
WITH_SCALE = {"softmax", "arcface", "cosface"}
WITH_TUPLES = {"contrastive"}
WITH_SQUARES = {"triplet", "triplet_semi_hard"}
WITH_CLASSES = {"softmax", "arcface", "cosface"}
NAMES = WITH_MARGIN | WITH_SCALE | {"nra", "multi_similarity", "smooth_ap"}


def test_all_are_there():
    assert set(LOSSES) == NAMES


@pytest.mark.parametrize("name", LOSSES)
def test_defaults(name):
    config = make_loss(name, 7, 5, seed=3, rank="soft").get_config()
    if name in WITH_CLASSES:
        assert (config["num_classes"], config["dim"], config["seed"]) == (7, 5, 3)
    else:
        assert "num_classes" not in config
    if name == "nra":
        assert config["rank"] == "soft"


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    ("setting", "value", "having"),
    [
        ("margin", 0.4, WITH_MARGIN),
        ("scale", 9.0, WITH_SCALE),
        ("tuple_size", 3, WITH_TUPLES),
        ("squared", True, WITH_SQUARES),
    ],
)
def test_settings_reach_the_losses_that_have_them(name, setting, value, having):
    if name in having:
        assert make_loss(name, 7, 5, **{setting: value}).get_config()[setting] == value
    else:
        message = f"^--{setting}={value}: --loss={name} has none; leave it out$"
        with pytest.raises(UserError, match=message):
            make_loss(name, 7, 5, **{setting: value})


def test_names_choose_the_mining():
    for name, mining in (("triplet", "batch_hard"), ("triplet_semi_hard", "semi_hard")):
        loss = make_loss(name, 7, 5)
        assert isinstance(loss, TripletLoss)
        assert loss.mining == mining
    assert isinstance(make_loss("arcface", 7, 5), ArcFaceLoss)


def test_unknown_name_lists_the_names():
    with pytest.raises(UserError, match=r"^--loss=hinge: choose from nra, softmax, triplet, "):
        make_loss("hinge", 7, 5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("triplet", {"margin": -1.0}),
        ("arcface", {"margin": 2.0}),
        ("softmax", {"scale": 0.0}),
        ("contrastive", {"tuple_size": 1}),
        ("nra", {"power": -2.0}),
    ],
)
def test_refused_values_are_one_line_for_the_user(name, options):
    ((setting, value),) = options.items()
    with pytest.raises(UserError, match=f"^--loss={name}: `{setting}` must .*{setting}={value}$"):
        make_loss(name, 7, 5, **options)
