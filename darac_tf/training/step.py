"""One training step, traced once, on one replica or several."""

import tensorflow as tf

from darac_tf.training.gradients import embedder, in_chunks, whole_batch


def make_train_step(state, config, replicas):
    """The compiled training step.

    Every replica passes its share of the images through the network. All of them gather all
    embeddings and compute the same loss, so that NRA ranks among the whole batch; each hands on the
    gradient of its own share, and the sum over replicas is the gradient of the whole.

    Args:
        state: `TrainState`.
        config: `TrainConfig`.
        replicas: `Replicas`.

    Returns:
        Function of `(images (batch, size, size, 3), labels (batch,))`, with several replicas of
        their distributed values, to the float32 loss and the float32 norm of the gradient, before
        it is clipped. It has one trace.
    """
    gradients = _make_gradients(state, config)
    scale, strategy = state.loss_scale, replicas.strategy

    @tf.function
    def train_step(images, labels):
        value, norm, found = strategy.run(gradients, (images, labels))
        value, norm = (strategy.experimental_local_results(each)[0] for each in (value, norm))
        if scale is None:
            strategy.run(state.update, (found,))
            return value, norm
        # Outside the replicas: an update inside may not be in a branch.
        is_finite = tf.math.is_finite(norm)

        def update():
            strategy.run(state.update, (found,))
            return True

        tf.cond(is_finite, update, lambda: False)
        strategy.run(scale.update, (is_finite,))
        return value, norm

    return train_step


def _make_gradients(state, config):
    """Function of a replica's share to the loss, the gradient's norm, and the gradients."""
    loss, scale = state.loss, state.loss_scale
    of_model = [variable.value for variable in state.model.trainable_variables]
    own = [variable.value for variable in loss.trainable_variables]
    embed = embedder(state.model, config.precision, config.jit_compile)
    if config.chunk_size is None:
        embed_batch = whole_batch(embed, of_model)
    else:
        embed_batch = in_chunks(embed, of_model, config.chunk_size)

    def gradients(images, labels):
        context = tf.distribute.get_replica_context()
        embeddings, hand_on = embed_batch(images)
        everyones = _gathered(context, embeddings)
        with tf.GradientTape() as tape:
            tape.watch(everyones)
            value = loss(_gathered(context, labels), everyones)
        of_embeddings, *of_own = tape.gradient(value, [everyones, *own])
        size = tf.shape(embeddings)[0]
        start = context.replica_id_in_sync_group * size
        factor = 1.0 if scale is None else scale.scale.value()
        share = hand_on(of_embeddings[start : start + size] * factor)
        found = context.all_reduce(tf.distribute.ReduceOp.SUM, share)
        found = [each / factor for each in found] if scale is not None else found
        found = [*found, *of_own]
        norm = tf.linalg.global_norm(found)
        if config.clip_norm is not None:
            found, _ = tf.clip_by_global_norm(found, config.clip_norm, norm)
        # Keras' optimisers add up what the replicas give them.
        count = context.num_replicas_in_sync
        return value, norm, [each / count for each in found] if count > 1 else found

    return gradients


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
