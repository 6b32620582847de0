"""TensorFlow Datasets builders of GLDv2-clean and the cleaned Landmarks, from a filled folder.

Importing this module registers them:

    import tensorflow_datasets as tfds
    import darac_tf.data.training_sets.tfds_builders

    train = tfds.load("darac_gldv2_clean", split="train")

Nothing is downloaded: put the files of a set into `<manual_dir>/<kind>`, such as
`~/tensorflow_datasets/downloads/manual/gldv2_clean`; `MANUAL_DOWNLOAD_INSTRUCTIONS` says which.

Images are stored as they are, in the order of the lists. Each example has `image`: uint8
`(height, width, 3)`; `name`: the file name without its ending; `label`: int64, the number of its
class among the sorted names of all; `class_name`: the landmark's number or name in the list.
"""

from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from darac_tf.data.training_sets.published import TRAINING_SETS
from darac_tf.data.training_sets.readers import load_training_set


def _instructions(kind):
    lines = [f"Put the files of {TRAINING_SETS[kind].title} into <manual_dir>/{kind}:"]
    return "\n".join([*lines, *TRAINING_SETS[kind].sources])


class _TrainingSet:
    """What the builders share; a mix-in, so that it isn't registered as a data set."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}  # noqa: RUF012 - the name TFDS asks for
    KIND = ""
    # As of the benchmarks' builders: TFDS' own search for checksums needs a package it forgets.
    code_path = None

    def _info(self):
        published = TRAINING_SETS[self.KIND]
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "name": tfds.features.Text(),
            "label": tfds.features.Scalar(np.int64),
            "class_name": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{published.title}, a training set for image retrieval.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            citation=published.paper,
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        images = load_training_set(self.KIND, Path(dl_manager.manual_dir) / self.KIND)
        names = sorted(set(images.splits))
        return {name or "train": self._generate_examples(images, name) for name in names}

    def _generate_examples(self, images, split):
        for row in np.flatnonzero(images.splits == split):
            path, label = str(images.paths[row]), int(images.labels[row])
            yield (
                int(row),
                {
                    "image": path,
                    "name": Path(path).stem,
                    "label": label,
                    "class_name": images.class_names[label],
                },
            )


class DaracGldv2Clean(_TrainingSet, tfds.core.GeneratorBasedBuilder):
    """GLDv2-clean."""

    KIND = "gldv2_clean"
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions(KIND)


class DaracLandmarksClean(_TrainingSet, tfds.core.GeneratorBasedBuilder):
    """The cleaned Landmarks."""

    KIND = "landmarks_clean"
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions(KIND)
