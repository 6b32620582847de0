"""The training step against a plain loop: loss, norm of the gradient, weights, average."""

import pytest
import tensorflow as tf

from darac_tf.losses import LOSSES
from darac_tf.models import build_descriptor
from darac_tf.training.replicas import make_replicas
from darac_tf.training.step import in_chunks
from tests.helpers import slow_but
from tests.training.step_oracle import SIDE, check_step, config_of, write_network


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("step") / "tiny.keras")


def _check_sgd(backbone, loss):
    check_step(config_of(backbone, loss, "sgd"), make_replicas(), clip_share=0.4)


@pytest.mark.parametrize("loss", slow_but(["nra"], LOSSES))
def test_sgd_and_clipping_are_those_of_a_plain_loop(backbone, loss):
    _check_sgd(backbone, loss)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "nra"])
def test_a_step_of_every_other_loss_out_of_a_graph(backbone, loss):
    _check_sgd(backbone, loss)


@pytest.mark.parametrize("loss", slow_but(["cosface"], LOSSES))
def test_adamw_is_that_of_a_plain_loop(backbone, loss):
    check_step(config_of(backbone, loss, "adamw"), make_replicas())


@pytest.mark.parametrize(
    ("loss", "chunk_size"),
    [
        ("softmax", 4),
        pytest.param("nra", 1, marks=pytest.mark.slow),
        pytest.param("contrastive", 12, marks=pytest.mark.slow),
    ],
)
def test_chunks_after_a_warmup_are_the_whole_batch(backbone, loss, chunk_size):
    config = config_of(backbone, loss, "sgd", chunk_size=chunk_size, warmup_steps=1)
    check_step(config, make_replicas())


def test_chunks_hold_one_chunk_in_the_network(backbone):
    """The network never sees more than a chunk: what bounds its memory."""
    model, seen = build_descriptor(backbone, pooling="gem"), []

    def embed(images):
        seen.append(images.shape[0])
        return model(images, training=True)

    run = in_chunks(embed, [v.value for v in model.trainable_variables], 3)

    @tf.function(autograph=False)
    def both_ways(images):
        embeddings, backward = run(images)
        return backward(tf.ones_like(embeddings))

    both_ways(tf.zeros([12, SIDE, SIDE, 3]))
    assert set(seen) == {3} and len(seen) >= 2
