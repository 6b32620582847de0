"""How weights that were trained alone serve pictures in photographs: by their share and place.

    python -m studies.flat_places --data_dir=images --backbone=EfficientNetLite2 \
        --weights=runs/weights/weight_constraints.json --out=runs/flat_places

The weights are those of `studies.weight_constraints`, of all its seeds. Each placement is drawn
--drawings times on other photographs; the AP of a query is its mean over them. Prints a table;
--out gets flat_places.md.
"""

import json
from pathlib import Path

import numpy as np
from absl import flags
from tqdm import tqdm

from darac_tf import cli
from darac_tf.files import atomic_path
from darac_tf.reports import markdown
from studies.flat_pictures import Placement, read_flat_pictures
from studies.joint_table import difference_cells, with_spread
from studies.regional_vectors import VECTORS, StoredVectors, measure

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder of the sets of `joint_sets`.", required=True)
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "imagenet, none or a weight file.")
flags.DEFINE_string("weights", None, "JSON of studies.weight_constraints.", required=True)
flags.DEFINE_list("constraints", ["free", "non-negative"], "Of the weights that are measured.")
flags.DEFINE_list("sizes", ["192", "299"], "Long sides of the images.")
flags.DEFINE_integer("drawings", 3, "Of each placement.", lower_bound=1)
flags.DEFINE_string("out", None, "Folder of photographs, vectors and the table.", required=True)

_ANYWHERE, _MIDDLE = (0.0, 1.0), (0.35, 0.65)
PLACEMENTS = {
    f"{where}, {100 * shares[0]:.0f} to {100 * shares[1]:.0f} %": Placement(shares, places)
    for shares in ((0.08, 0.4), (0.15, 0.3), (0.25, 0.6))
    for where, places in (("anywhere", _ANYWHERE), ("in the middle", _MIDDLE))
}


def by_setting(path, constraints):
    """Dictionary of "TRAINING, CONSTRAINT" to weights, a list of `(42, 1)` of each seed."""
    found = {}
    for name, values in json.loads(Path(path).read_text(encoding="utf-8"))["weights"].items():
        training, constraint, _ = name.split()
        if constraint in constraints:
            weights = np.array(values, np.float32)[:, np.newaxis]
            found.setdefault(f"{training}, {constraint}", []).append(weights)
    return found


def mean_precisions(all_weights, drawn):
    """`(seeds, queries)` mean APs over `(vectors, task)` of each drawing."""
    aps = [
        [measure(weights, {"": vectors}, {"": task})[""] for weights in all_weights]
        for vectors, task in drawn
    ]
    return np.mean(aps, axis=0)


def main():
    out, settings = Path(FLAGS.out), by_setting(FLAGS.weights, FLAGS.constraints)
    stored = StoredVectors(FLAGS.backbone, FLAGS.backbone_weights, out / "vectors")
    equal, rows = [np.ones((VECTORS, 1), np.float32)], []
    for number, (name, placement) in enumerate(tqdm(PLACEMENTS.items(), unit="placement")):
        folders = [out / f"{number}-{drawing}" for drawing in range(FLAGS.drawings)]
        tasks = [
            read_flat_pictures(FLAGS.data_dir, folder, placement, drawing)
            for drawing, folder in enumerate(folders)
        ]
        for size in map(int, FLAGS.sizes):
            drawn = [
                (stored.of(folder.name, task.images.paths, size), task)
                for folder, task in zip(folders, tasks, strict=True)
            ]
            before = mean_precisions(equal, drawn)
            for setting, weights in settings.items():
                after = mean_precisions(weights, drawn)
                between = difference_cells({"": after}, {"": before})
                scores = with_spread(before.mean(axis=1)), with_spread(after.mean(axis=1))
                rows.append([name, str(size), setting, *scores, *between])
    header = ["a picture lies, and covers", "at", "weights", "equal", "learned", "difference"]
    page = markdown.table([*header, "95 %"], rows, [False, True, False, True, True, True, True])
    with atomic_path(out / "flat_places.md") as path:
        path.write_text(page + "\n", encoding="utf-8")
    print(page)


if __name__ == "__main__":
    cli.run(main)
