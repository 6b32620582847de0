"""The 42 regional vectors of images, described once, and what weights of them score."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from darac_tf.describing.extraction import extract_features
from darac_tf.engines.inference_copy import inference_copy
from darac_tf.files import atomic_path
from darac_tf.layers import DARAC
from darac_tf.layers.regional import REGIONS_OF_GRID
from darac_tf.models import build_backbone
from studies.joint_scores import average_precisions

VECTORS = 2 * REGIONS_OF_GRID["fixed"]


class StoredVectors:
    """Regional vectors of images, described once and kept in half precision."""

    def __init__(self, backbone, weights, folder):
        self._backbone, self._folder, self._describe = (backbone, weights), Path(folder), None
        self._known = {}

    def of(self, name, paths, size):
        """float32 `(images, 42 * channels)` of images at a long side."""
        keys = [(str(Path(path).resolve()), size) for path in paths]
        file = self._folder / f"{name.replace(' ', '-')}-{size}.npy"
        if file.exists():
            found = np.load(file)
        else:
            # Sets share images.
            new = [key for key in keys if key not in self._known]
            if new:
                self._describe = self._describe or self._describer()
                described = extract_features(self._describe, np.array(new)[:, 0], [size])[size][""]
                self._known |= zip(new, described.astype(np.float16), strict=True)
            found = np.stack([self._known[key] for key in keys])
            with atomic_path(file) as path, path.open("wb") as opened:
                np.save(opened, found)
        self._known |= zip(keys, found, strict=True)
        return found.astype(np.float32)

    def _describer(self):
        network, preprocessing = build_backbone(*self._backbone)
        fast, pooling = inference_copy(network), DARAC()

        def describe(pixels):
            vectors = pooling.vectors(fast(preprocessing(pixels), training=False))
            return {"": tf.reshape(vectors, [tf.shape(vectors)[0], -1])}

        return describe


def measure(weights, rows, tests):
    """Dictionary of test set to the APs of its queries with a positive."""
    found = {}
    for name, task in tests.items():
        vectors = rows[name].reshape(len(rows[name]), VECTORS, -1)
        summed = np.einsum("nkc,k->nc", vectors, weights[:, 0], optimize=True)
        summed /= np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12)
        ap = average_precisions(summed.astype(np.float32), task)
        found[name] = ap[~np.isnan(ap)]
    return found
