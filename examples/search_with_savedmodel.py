"""Finds the images most like one, with an exported SavedModel and TensorFlow alone.

    python examples/search_with_savedmodel.py SAVED_MODEL QUERY_IMAGE IMAGE [IMAGE ...]

Nothing of darac_tf is imported: this is all that a program needs which uses an exported model.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

BATCH = 16
SHOWN = 5


def describe(served, paths):
    """Unit vectors `(images, dimension)` of image files."""
    vectors = []
    for start in range(0, len(paths), BATCH):
        data = [Path(path).read_bytes() for path in paths[start : start + BATCH]]
        vectors.append(served(image_bytes=tf.constant(data))["descriptor"].numpy())
    return np.concatenate(vectors)


def main(saved_model, query, *paths):
    served = tf.saved_model.load(saved_model).signatures["serving_default"]
    others = [path for path in paths if path != query]
    similarity = describe(served, others) @ describe(served, [query])[0]
    print(f"most like {query}:")
    for index in np.argsort(-similarity, kind="stable")[:SHOWN]:
        print(f"  {similarity[index]:.3f}  {others[index]}")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__.strip())
    main(*sys.argv[1:])
