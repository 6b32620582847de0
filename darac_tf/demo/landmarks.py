"""The demo on drawn landmarks: draw, describe, train, whiten, measure, export, search.

The layers below the last convolution stay as ImageNet made them, so that each image passes them
once: their maps are kept, and training, all poolings and both measurements start from there.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from darac_tf.data.content_keys import keys_of_images
from darac_tf.data.demo.landmarks import generate_landmarks
from darac_tf.data.labelled import read_folder
from darac_tf.demo.searching import index_and_search
from darac_tf.describing.feature_file import FeatureFile
from darac_tf.describing.sizes import LongSide
from darac_tf.evaluation.evaluator import Settings, evaluate
from darac_tf.evaluation.task import labelled_task
from darac_tf.evaluation.whitening_source import FittingImages, WhiteningSource
from darac_tf.export import ExportSettings, publish
from darac_tf.files import atomic_path, remove
from darac_tf.last_layers.joint_head import JointHead, StoredBatches, describer
from darac_tf.last_layers.stored_maps import split_network, store_whole
from darac_tf.losses import make_loss
from darac_tf.models.descriptor import compose, make_pooling

# Before training, DARAC's weights are equal, and it is RAMAC.
UNTRAINED = {"global average": "spoc", "R-MAC": "rmac", "RAMAC = DARAC before training": "ramac"}
TRAINED = "DARAC trained"
_INDEXED_CLASSES, _QUERIES = 8, 4


@dataclass(frozen=True)
class Shown:
    """What the page shows."""

    rows: list  # `(Measured, Measured)` of each descriptor, plain and whitened.
    model: keras.Model  # The trained descriptor.
    search: Path  # The page of a search with the export.


def run(config, say):
    """Does all that the page shows, by a `DemoConfig`; `say` is called with a line for each part.

    Models, images and the index are written to `OUT-files`, the landmarks of which are kept between
    runs. Returns `Shown`. `UserError` if something can't be written, or settings don't fit.
    """
    out, files = Path(config.out), Path(f"{config.out}-files")
    keras.utils.set_random_seed(config.seed)
    part = split_network(config.backbone, None, config.layer)
    training, others, tested = _images(config, files, say)
    remove(files / "export")
    say(f"describing them with {config.backbone}, ImageNet weights")
    with tempfile.TemporaryDirectory() as scratch:
        maps = [
            store_whole(part, images.paths, config.image_size, Path(scratch) / name)
            for name, images in (("train", training), ("whiten", others), ("test", tested))
        ]
        layers = {name: make_pooling(pooling) for name, pooling in UNTRAINED.items()}
        for layer in layers.values():
            layer.build(part.upper.output_shape)
        untrained = describer(part.upper, layers)
        found = [untrained(each) for each in maps[1:]]
        say(f"training from {config.layer} on, and DARAC's weights: {config.steps} steps of NRA")
        head = _train(config, part, training, maps[0])
        for vectors, each in zip(found, maps[1:], strict=True):
            vectors[TRAINED] = head.describe(each)[""]
    say("whitening, and measuring on landmarks never trained on")
    rows = _measure(config, others, tested, found)
    part.upper.set_weights(head.upper.get_weights())
    model = compose(part.network, part.preprocessing, head.pooling)
    with atomic_path(files / "darac.keras") as path:
        model.save(path)
    whitening = rows[-1][1].whitening
    whitening.save(files / "whitening.npz")
    say("exporting, indexing and searching")
    how = ExportSettings((config.image_size,), whitening)
    exported = publish(model, files / "export", how)
    folders = sorted({str(Path(path).parent) for path in tested.paths})[:_INDEXED_CLASSES]
    asked, search = [min(Path(each).iterdir()) for each in folders[:_QUERIES]], out / "search.html"
    index_and_search(exported.folder, folders, asked, files / "index", search)
    return Shown(rows, model, search)


def _images(config, files, say):
    """Images to train on, to learn whitening on and to measure on: each of other landmarks.

    Vectors of landmarks that were trained on differ less than those of others, which is no measure
    for a whitening.
    """
    classes = config.trained_classes + config.whitening_classes + config.tested_classes
    say(f"drawing {classes * config.views} images of {classes} landmarks")
    folder = files / f"landmarks-{config.seed}"
    drawn = generate_landmarks(folder, classes, config.views, config.image_size, config.seed)
    rest, tested = read_folder(drawn).hold_out_classes(config.tested_classes, config.seed)
    training, others = rest.hold_out_classes(config.whitening_classes, config.seed)
    return training, replace(others, name="other landmarks"), replace(tested, name="landmarks")


def _train(config, part, training, maps):
    """A `JointHead` trained on stored maps, all of one shape, of the training images."""
    ((places, of_all),) = maps
    size = config.image_size
    views = {(size, size): np.asarray(of_all)[np.argsort(places)][np.newaxis]}
    batch = config.classes_per_batch, config.images_per_class, config.seed
    batches = StoredBatches(views, training.labels, "1:1", size, *batch)
    head = JointHead(part.upper, make_pooling("darac"), make_loss("nra", 0, 0, rank=config.rank))
    head.train([batches.batch(step) for step in range(config.steps)], config.learning_rate)
    return head


def _measure(config, others, tested, found):
    """A pair of `Measured`, plain and whitened, for each descriptor of dictionaries of vectors."""
    paths = np.concatenate([others.paths, tested.paths])
    keys, valid = keys_of_images(paths), np.ones(len(paths), bool)
    made = {
        "resolutions": [str(config.image_size)],
        "orientation": "upright",
        "made_by": "the demo",
    }
    files = [
        FeatureFile(paths, np.concatenate([x[name] for x in found]), valid, keys, made, name=name)
        for name in found[0]
    ]
    whitening = WhiteningSource(
        FittingImages.of(others, "learned"),
        kind="learned",
        dim=config.whiten_dim,
        shrinkage=config.whiten_shrinkage,
    )
    settings = Settings(((LongSide(config.image_size),),), whitening=whitening)
    measured = list(evaluate(files, labelled_task(tested), settings))
    return list(zip(measured[::2], measured[1::2], strict=True))
