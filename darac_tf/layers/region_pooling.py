"""Maximum and average of every region of a grid, vectorised over images and regions.

Both are worked out one axis at a time. A level of the grid is a product of row windows and column
windows, so its maxima are the maxima over the rows, then over the columns: the map is read about
four times in all, where cutting out each region would copy it twenty times. Averages of all regions
are one matrix product.
"""

import tensorflow as tf


def regional_max(feature_maps, grid):
    """The maximum of each channel in each region.

    Args:
        feature_maps: `(batch, height, width, channels)`.
        grid: Pairs of row and column `Windows`, one a level (see `region_grid`).

    Returns:
        `(batch, regions, channels)` in the dtype of `feature_maps`.
    """
    return tf.concat([_level_max(feature_maps, *level) for level in grid], axis=1)


def regional_mean(feature_maps, grid):
    """The average of each channel in each region. Arguments and result as in `regional_max`."""
    shape = tf.shape(feature_maps)
    cells = tf.reshape(feature_maps, [shape[0], shape[1] * shape[2], feature_maps.shape[-1]])
    share = tf.concat([_level_shares(shape[1], shape[2], *level) for level in grid], axis=0)
    return tf.matmul(tf.cast(share, feature_maps.dtype), cells)


def _level_max(feature_maps, rows, columns):
    row_maxima = tf.reduce_max(tf.gather(feature_maps, _cells(rows), axis=1), axis=2)
    maxima = tf.reduce_max(tf.gather(row_maxima, _cells(columns), axis=2), axis=3)
    regions = tf.shape(rows.start)[0] * tf.shape(columns.start)[0]
    return tf.reshape(maxima, [tf.shape(maxima)[0], regions, feature_maps.shape[-1]])


def _cells(windows):
    """`(count, size)` indices of the cells; a smaller window repeats its last cell."""
    cells = windows.start[:, tf.newaxis] + tf.range(windows.size)
    return tf.minimum(cells, windows.stop[:, tf.newaxis] - 1)


def _level_shares(height, width, rows, columns):
    """`(regions, height * width)`: what each cell counts for in each region's average."""
    shares = tf.einsum("rh,cw->rchw", _axis_shares(height, rows), _axis_shares(width, columns))
    regions = tf.shape(rows.start)[0] * tf.shape(columns.start)[0]
    return tf.reshape(shares, [regions, height * width])


def _axis_shares(length, windows):
    cell = tf.range(length)[tf.newaxis, :]
    start, stop = windows.start[:, tf.newaxis], windows.stop[:, tf.newaxis]
    inside = tf.cast((cell >= start) & (cell < stop), tf.float32)
    return inside / tf.cast(stop - start, tf.float32)
