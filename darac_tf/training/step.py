"""One training step, traced once a shape, on one replica or several, at once or in chunks.

The loss needs the embeddings of the whole batch; the network does not need its images at once. So a
step has three parts: images to embeddings, the loss and its gradient with respect to the
embeddings, and that gradient handed on to the weights. Replicas and chunks only change the first
and the last.
"""

import tensorflow as tf

from darac_tf.models.descriptor import backbone_of
from darac_tf.training.precision import computing_in


def make_train_step(state, config, replicas):
    """The compiled training step of a `TrainState`, a `TrainConfig` and `Replicas`.

    Every replica passes its share of the images through the network. All of them gather all
    embeddings and compute the same loss, so that NRA ranks among the whole batch; each hands on the
    gradient of its own share, and the sum over replicas is the gradient of the whole.

    Returns:
        Function of `(images (batch, height, width, 3), labels (batch,))`, with several replicas of
        their distributed values, to the float32 loss and the float32 norm of the gradient, before
        it is clipped. It has one trace for each height and width.
    """
    compute = _make_gradients(state, config)
    scale, strategy = state.loss_scale, replicas.strategy

    @tf.function(autograph=False)
    def train_step(images, labels):
        value, norm, gradients = strategy.run(compute, (images, labels))
        value, norm = (strategy.experimental_local_results(each)[0] for each in (value, norm))
        if scale is None:
            strategy.run(state.update, (gradients,))
            return value, norm
        # Outside the replicas: an update inside may not be in a branch.
        is_finite = tf.math.is_finite(norm)

        def update():
            strategy.run(state.update, (gradients,))
            return True

        tf.cond(is_finite, update, lambda: False)
        strategy.run(scale.update, (is_finite,))
        return value, norm

    return train_step


def _make_gradients(state, config):
    """Function of a replica's share to the loss, the gradient's norm, and the gradients."""
    loss, scale = state.loss, state.loss_scale
    of_model = [variable.value for variable in state.model.trainable_variables]
    of_loss = [variable.value for variable in loss.trainable_variables]
    embed = embedder(state.model, config.precision, config.jit_compile)
    embed_batch = whole_batch(embed, of_model)
    if config.chunk_size is not None:
        embed_batch = in_chunks(embed, of_model, config.chunk_size)

    def compute(images, labels):
        context = tf.distribute.get_replica_context()
        embeddings, backward = embed_batch(images)
        all_embeddings = _gathered(context, embeddings)
        with tf.GradientTape() as tape:
            tape.watch(all_embeddings)
            value = loss(_gathered(context, labels), all_embeddings)
        of_embeddings, *loss_gradients = tape.gradient(value, [all_embeddings, *of_loss])
        size = tf.shape(embeddings)[0]
        start = context.replica_id_in_sync_group * size
        factor = 1.0 if scale is None else scale.scale.value()
        share = backward(of_embeddings[start : start + size] * factor)
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, share)
        if scale is not None:
            gradients = [each / factor for each in gradients]
        gradients = [*gradients, *loss_gradients]
        norm = tf.linalg.global_norm(gradients)
        if config.clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, config.clip_norm, norm)
        # Keras' optimisers add up what the replicas give them.
        count = context.num_replicas_in_sync
        return value, norm, [each / count for each in gradients] if count > 1 else gradients

    return compute


def _gathered(context, values):
    """The rows of all replicas, in their order.

    Each adds its rows to zeros in the places of the others': `all_gather` refuses tensors without
    a device, which is what several workers have.
    """
    size = tf.shape(values)[0]
    before = context.replica_id_in_sync_group * size
    after = context.num_replicas_in_sync * size - before - size
    padding = [[before, after], *([[0, 0]] * (len(values.shape) - 1))]
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.pad(values, padding))


def embedder(model, precision="float32", jit_compile=False):
    """Function of images `(batch, height, width, 3)` to float32 embeddings `(batch, dim)`.

    The backbone computes in a precision of `choices.TRAINING_PRECISIONS`.
    """
    network, _ = backbone_of(model)

    def embed(images):
        with computing_in(network, precision):
            return model(images, training=True)

    return tf.function(embed, jit_compile=True, autograph=False) if jit_compile else embed


def whole_batch(embed, variables):
    """Function of images to `(embeddings, backward)`, in one pass.

    `backward` turns the gradient with respect to the embeddings, `(batch, dim)`, into a list of
    those with respect to the variables.
    """

    def run(images):
        with tf.GradientTape() as tape:
            embeddings = embed(images)

        def backward(gradient):
            return tape.gradient(embeddings, variables, gradient, unconnected_gradients="zero")

        return embeddings, backward

    return run


def in_chunks(embed, variables, chunk_size):
    """As `whole_batch`, but by gradient caching: memory grows with the chunk, not with the batch.

    Embeddings of all chunks come first, without a tape. Each chunk passes the network again to hand
    its gradients on. Values are the same up to rounding, for networks whose batch normalisation
    rests and that have no dropout; it costs one more forward pass.

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

        def backward(gradient):
            return _summed(embed, chunks, tf.reshape(gradient, [-1, chunk_size, dim]), variables)

        return tf.reshape(embeddings, [-1, dim]), backward

    return run


def _summed(embed, chunks, upstream, variables):
    """Sum over the chunks of each one's gradients."""
    hand_on = whole_batch(embed, variables)

    def add(number, sums):
        _, backward = hand_on(chunks[number])
        of_chunk = backward(upstream[number])
        return number + 1, [a + b for a, b in zip(sums, of_chunk, strict=True)]

    start = tf.constant(0), [tf.zeros_like(variable) for variable in variables]
    count = tf.shape(chunks)[0]
    return tf.while_loop(lambda number, _: number < count, add, start, parallel_iterations=1)[1]
