"""A batch's embeddings, and the way back: at once, or in chunks whose memory is bounded.

The loss needs the embeddings of the whole batch; the network does not need its images at once. So a
step has three parts: images to embeddings, the loss and its gradient with respect to the
embeddings, and that gradient handed on to the weights. Replicas and chunks only change the first
and the last.
"""

import tensorflow as tf

from darac_tf.models.descriptor import backbone_of
from darac_tf.training.precision import computing_in

_ZERO = tf.UnconnectedGradients.ZERO


def embedder(model, precision="float32", jit_compile=False):
    """Function of images `(batch, size, size, 3)` to float32 embeddings `(batch, dim)`.

    Args:
        model: Descriptor.
        precision: Of its backbone, one of `precision.PRECISIONS`.
        jit_compile: Whether XLA compiles it, and its gradient.
    """
    network, _ = backbone_of(model)

    def embed(images):
        with computing_in(network, precision):
            return model(images, training=True)

    return tf.function(embed, jit_compile=True) if jit_compile else embed


def whole_batch(embed, variables):
    """Function of images to their embeddings and the way back, in one pass.

    Args:
        embed: Of `embedder`.
        variables: TensorFlow variables of the model.

    Returns:
        Function of `images` to `(embeddings, hand_on)`; `hand_on` turns a gradient with respect to
        the embeddings, `(batch, dim)`, into a list of those of the variables.
    """

    def run(images):
        with tf.GradientTape() as tape:
            embeddings = embed(images)

        def hand_on(gradient):
            return tape.gradient(embeddings, variables, gradient, unconnected_gradients=_ZERO)

        return embeddings, hand_on

    return run


def in_chunks(embed, variables, chunk_size):
    """The same by gradient caching: memory grows with the chunk, not with the batch.

    Embeddings of all chunks come first, without a tape. Each chunk passes the network again to hand
    its gradients on. Values are those of `whole_batch` up to rounding, for networks whose batch
    normalisation rests and that have no dropout; it costs one more forward pass.

    Args:
        embed: As for `whole_batch`.
        variables: As for `whole_batch`.
        chunk_size: Images in a chunk; batches must be multiples of it.

    Returns:
        Function as of `whole_batch`.

    Source: Gao, Zhang, Han, Callan, "Scaling deep contrastive learning batch size under memory
    limited setup" (arXiv 2101.06983).
    """

    def run(images):
        shape = tf.shape(images)
        chunks = tf.reshape(images, tf.concat([[-1, chunk_size], shape[1:]], 0))
        chunks = tf.ensure_shape(chunks, [None, chunk_size, *images.shape[1:]])
        spec = tf.TensorSpec([chunk_size, None])
        embeddings = tf.map_fn(embed, chunks, parallel_iterations=1, fn_output_signature=spec)
        dim = tf.shape(embeddings)[-1]

        def hand_on(gradient):
            return _summed(embed, chunks, tf.reshape(gradient, [-1, chunk_size, dim]), variables)

        return tf.reshape(embeddings, [-1, dim]), hand_on

    return run


def _summed(embed, chunks, handed_on, variables):
    """Sum over the chunks of each one's gradients."""

    def add(number, sums):
        with tf.GradientTape() as tape:
            embeddings = embed(chunks[number])
        found = tape.gradient(embeddings, variables, handed_on[number], unconnected_gradients=_ZERO)
        return number + 1, [a + b for a, b in zip(sums, found, strict=True)]

    start = [tf.zeros_like(variable) for variable in variables]
    _, sums = tf.while_loop(
        lambda number, _: number < tf.shape(chunks)[0],
        add,
        (tf.constant(0), start),
        parallel_iterations=1,
    )
    return sums
