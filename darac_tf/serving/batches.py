"""Cutting a list of images into requests that a server takes."""

from darac_tf.serving.retries import ServerError


def split_images(sizes, batch_size, batch_bytes):
    """Cuts images, in their order, into requests of bounded count and size.

    >>> split_images([5, 5, 20, 1, 1, 1], batch_size=2, batch_bytes=12)
    [(0, 2), (2, 3), (3, 5), (5, 6)]

    Args:
        sizes: Bytes of each image.
        batch_size: Most images in a request, 1 or more.
        batch_bytes: Most bytes of images in a request; a larger image goes alone.

    Returns:
        List of `(start, stop)`, which cover all images.
    """
    if batch_size < 1 or batch_bytes < 1:
        raise ValueError(
            f"a request holds at least one image. Received: {batch_size=}, {batch_bytes=}"
        )
    parts, start, held = [], 0, 0
    for index, size in enumerate(sizes):
        full = index - start == batch_size or held + size > batch_bytes
        if index > start and full:
            parts.append((start, index))
            start, held = index, 0
        held += size
    if start < len(sizes):
        parts.append((start, len(sizes)))
    return parts


def check_sizes(sizes, message_bytes):
    """Refuses images that no request can hold.

    Raises:
        ServerError: For the first, by its place in the list.
    """
    for index, size in enumerate(sizes):
        if size > message_bytes:
            raise ServerError(
                f"image {index} has {size} bytes, and a request holds {message_bytes}: leave it "
                "out, or raise --message_bytes here and on the server"
            )
