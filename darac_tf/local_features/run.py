"""A training run of local features: attention, then PCA, in a run directory."""

from pathlib import Path

import keras
import numpy as np

from darac_tf.data.image_list import ImageList
from darac_tf.evaluation.whitening import keys_of_images
from darac_tf.local_features.extraction import LocalExtractor
from darac_tf.local_features.model import DELF_MODEL, load_delf, save_delf
from darac_tf.local_features.pca import fit_local_pca
from darac_tf.local_features.training import AttentionSettings, train_attention
from darac_tf.models import Preprocessing, build_backbone
from darac_tf.training.run import RunResult, check_run_dir, start_run_dir, training_images

PCA_FILE = "pca.npz"
# Images that the PCA is fitted on; each gives up to a hundred features.
_PCA_IMAGES = 1000


def train_local_features(config, run_dir, resume=False):
    """Trains attention on classes and fits the PCA, on the same images.

    Writes config.json, train.csv (and val.csv, which is not used here), delf.keras and pca.npz.

    Args:
        config: `TrainConfig` with `matching` "local". The backbone rests; `head_learning_rate` is
            that of the attention.
        run_dir: Run directory; a new one unless `resume`.
        resume: Whether to go on after the last file that is there.

    Returns:
        `RunResult`.

    Raises:
        UserError: If settings, data or an earlier run do not allow it.

    Source: Noh et al., ICCV 2017 (arXiv 1612.06321), sections 3.3 and 4.1.
    """
    run_dir = Path(run_dir)
    check_run_dir(config, run_dir, resume)
    keras.utils.set_random_seed(config.seed)
    training, validation = training_images(config)
    if not resume:
        start_run_dir(run_dir, config, training, validation)
    losses = np.zeros(0)
    if not (run_dir / DELF_MODEL).exists():
        model, losses = _train(config, training)
        save_delf(model, run_dir / DELF_MODEL)
    if not (run_dir / PCA_FILE).exists():
        _fit_pca(config, load_delf(run_dir), training, run_dir / PCA_FILE)
    return RunResult(config.steps, np.asarray(losses), None, 1)


def _train(config, images):
    network, mode = build_backbone(config.backbone, config.backbone_weights)
    settings = AttentionSettings(
        layer=config.layer,
        image_size=config.image_size,
        classes_per_batch=config.classes_per_batch,
        images_per_class=config.images_per_class,
        steps=config.steps,
        learning_rate=config.head_learning_rate,
        min_crop_area=config.min_crop_area,
        flip=config.flip,
        light=config.light,
        seed=config.seed,
    )
    return train_attention(network, Preprocessing(mode), images, settings)


def _fit_pca(config, model, images, path):
    random = np.random.default_rng(config.seed)
    chosen = np.sort(random.permutation(len(images))[:_PCA_IMAGES])
    paths = images.paths[chosen]
    pca = fit_local_pca(
        LocalExtractor(model, ImageList(paths)),
        config.local_dim,
        seed=config.seed,
        provenance={"images": images.name},
        image_keys=keys_of_images(paths),
    )
    pca.save(path)
