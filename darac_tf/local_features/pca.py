"""The PCA of local features: the project's own, on some features of each image."""

import numpy as np

from darac_tf.errors import UserError
from darac_tf.whitening import fit_pca_whitening

DIM = 40


def fit_local_pca(features, dim=DIM, per_image=100, seed=0, provenance=None, image_keys=None):
    """Learns the reduction of local features (Noh et al., ICCV 2017, section 4.1): no whitening.

    Args:
        features: Iterable of `LocalFeatures` that are not reduced, such as a `LocalExtractor`
            without reduction, of images that are not in the test set.
        dim: Dimensions to keep.
        per_image: Features drawn from each image, at most.
        seed: Of the draw.
        provenance: See `fit_pca_whitening`.
        image_keys: uint64 `(images, 2)`, see `data.content_keys`; or None.

    Returns:
        `Whitening` with a projection `(dim, channels)`; `save` and `load_whitening` keep it.

    Raises:
        UserError: If there are no features, or fewer independent ones than `dim`.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for image in features:
        chosen = rng.permutation(len(image))[:per_image]
        drawn.append(np.asarray(image.descriptors)[np.sort(chosen)])
    if not sum(map(len, drawn)):
        raise UserError("the PCA of local features needs images, and none has a feature")
    keys = None
    if image_keys is not None:
        keys = np.repeat(image_keys, [len(rows) for rows in drawn], axis=0)
    facts = {**(provenance or {}), "per_image": per_image}
    return fit_pca_whitening(np.concatenate(drawn), dim, facts, power=0.0, image_keys=keys)
