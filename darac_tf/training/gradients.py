"""The gradient of a batch's loss: at once, or in chunks whose memory is bounded."""

import tensorflow as tf


def whole_batch(model, loss, variables):
    """Function of `(images, labels)` to the loss and its gradients, in one pass."""

    def compute(images, labels):
        with tf.GradientTape() as tape:
            value = loss(labels, model(images, training=True))
        return value, tape.gradient(value, variables)

    return compute


def in_chunks(model, loss, variables, chunk_size):
    """The same by gradient caching: memory grows with the chunk, not with the batch.

    Embeddings of all chunks come first, without a tape. The loss of the whole batch gives their
    gradients, and each chunk is passed through the network again to hand them on. Values are those
    of `whole_batch` up to rounding, for networks whose batch normalisation rests and that have no
    dropout; it costs one more forward pass.

    Args:
        model: Descriptor.
        loss: Called as `loss(labels, embeddings)`.
        variables: Keras variables of the model, then those of the loss.
        chunk_size: Images in a chunk; batches must be multiples of it.

    Returns:
        Function of `(images, labels)` to the loss and its gradients.

    Source: Gao, Zhang, Han, Callan, "Scaling deep contrastive learning batch size under memory
    limited setup" (arXiv 2101.06983).
    """
    of_loss = {id(variable.value) for variable in loss.trainable_variables}
    own = [variable for variable in variables if id(variable) in of_loss]
    of_model = [variable for variable in variables if id(variable) not in of_loss]
    own_places = [id(variable) in of_loss for variable in variables]

    def compute(images, labels):
        shape = tf.shape(images)
        chunks = tf.reshape(images, tf.concat([[-1, chunk_size], shape[1:]], 0))
        chunks = tf.ensure_shape(chunks, [None, chunk_size, *images.shape[1:]])
        embeddings = tf.map_fn(
            lambda chunk: model(chunk, training=True),
            chunks,
            parallel_iterations=1,
            fn_output_signature=tf.TensorSpec([chunk_size, model.output_shape[-1]]),
        )
        embeddings = tf.reshape(embeddings, [-1, model.output_shape[-1]])
        with tf.GradientTape() as tape:
            tape.watch(embeddings)
            value = loss(labels, embeddings)
        of_embeddings, *of_own = tape.gradient(value, [embeddings, *own])
        handed_on = tf.reshape(of_embeddings, [-1, chunk_size, model.output_shape[-1]])
        sums = _summed(model, chunks, handed_on, of_model)
        rest, mine = iter(sums), iter(of_own)
        return value, [next(mine) if is_own else next(rest) for is_own in own_places]

    return compute


def _summed(model, chunks, handed_on, variables):
    """Sum over the chunks of each one's gradients."""

    def add(number, sums):
        with tf.GradientTape() as tape:
            embeddings = model(chunks[number], training=True)
        found = tape.gradient(embeddings, variables, handed_on[number])
        return number + 1, [a if b is None else a + b for a, b in zip(sums, found, strict=True)]

    start = [tf.zeros_like(variable) for variable in variables]
    _, sums = tf.while_loop(
        lambda number, _: number < tf.shape(chunks)[0],
        add,
        (tf.constant(0), start),
        parallel_iterations=1,
    )
    return sums
