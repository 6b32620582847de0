"""What constrains DARAC's weights: free, non-negative, 8 or 2, trained alone on stored vectors.

    python -m studies.weight_constraints --data_dir=images --backbone=backbone.keras \
        --out=runs/weights

The network stays as it is, as with `train.py --pooling_steps=1500 --steps=0`: the regional vectors
of all sets are described once, then each constraint is trained on each training set with each seed.
Tested on the sets of `joint_sets` and on flat pictures somewhere in a photograph
(`flat_pictures`). Prints tables; --out gets weight_constraints.md and .json, and the weights.
"""

import json
import sys
from pathlib import Path

import numpy as np
from absl import flags
from tqdm import tqdm

from darac_tf import cli
from darac_tf.data import load_dataset
from darac_tf.files import atomic_path
from darac_tf.layers import DARAC
from darac_tf.reports import markdown
from darac_tf.reports.environment import environment
from darac_tf.reports.figures import save_png
from darac_tf.reports.region_weights import RegionWeights
from darac_tf.reports.weight_plot import draw_weights
from darac_tf.training.config import TrainConfig
from darac_tf.training.pooling_weights import fit_on_vectors
from studies.flat_pictures import read_flat_pictures
from studies.joint_scores import with_files
from studies.joint_sets import LANDMARKS, read_photographs, read_tests, some_of_each
from studies.joint_table import difference_cells, mean_score, with_spread
from studies.regional_vectors import VECTORS, StoredVectors, measure

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder of the sets of `joint_sets`.", required=True)
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "imagenet, none or a weight file.")
flags.DEFINE_integer("steps", 1500, "Of a training, at most.", lower_bound=1)
flags.DEFINE_integer("seeds", 5, "Of the batches.", lower_bound=1)
flags.DEFINE_integer("image_size", 299, "Long side of the test images and landmarks.")
flags.DEFINE_string("out", None, "Folder of vectors, weights and tables.", required=True)

FLAT = "flat pictures"
# Name: arguments of DARAC.
CONSTRAINTS = {
    "free": {},
    "non-negative": {"non_negative": True},
    "8": {"sharing": "level_kind"},
    "2": {"sharing": "kind"},
}
_OBJECTS, _OBJECTS_SIZE = 24, 192
_OBJECTS_HELD_OUT, _PLACES_HELD_OUT = 10, 12
_MAPS = (7, 10), (10, 7)


def read_trainings(data_dir):
    """Dictionary of name to `(training images, held-out images, long side)`."""
    places = read_photographs(data_dir, LANDMARKS, "train")
    places = places.select(np.bincount(places.labels)[places.labels] > 1)
    objects = load_dataset("folder", Path(data_dir) / "objects")
    objects = some_of_each(objects, _OBJECTS)
    return {
        "objects": (*objects.hold_out_classes(_OBJECTS_HELD_OUT, 0), _OBJECTS_SIZE),
        "landmarks": (*places.hold_out_classes(_PLACES_HELD_OUT, 0), FLAGS.image_size),
    }


def trained(constraint, seed, rows, training, held_out):
    """`(weights of the 42 vectors, a line about the training)`."""
    pooling, channels = DARAC(**CONSTRAINTS[constraint]), rows[0].shape[1] // VECTORS
    pooling.build((None, None, None, channels))
    config = TrainConfig(pooling_steps=FLAGS.steps, seed=seed)
    fit = fit_on_vectors(pooling, channels, rows[0], training, rows[1], held_out, config)
    return pooling.vector_weights().numpy(), str(fit)


def draw(weights, training, constraint, folder):
    """Writes the mean weights of the seeds, drawn on a landscape's and on a portrait's map."""
    scaled = [each / np.mean(each) for each in weights]
    maximum, average = np.split(np.mean(scaled, axis=0), 2)
    drawn = RegionWeights("fixed", "long_axis", maximum, average, 1)
    for shape in _MAPS:
        title = (
            f"DARAC's weights ({constraint}), trained on {training}, mean of {len(weights)} seeds"
        )
        title += f"\nmap of {shape[0]} x {shape[1]} cells; the mean weight is 1"
        name = f"{training}-{constraint}-{shape[0]}x{shape[1]}.png"
        save_png(draw_weights(title, drawn, *shape), folder / name)


def score_tables(rows):
    """Markdown: mAP of each set, and the differences of the mean over the sets.

    Args:
        rows: Dictionary of `(training set, constraint)` to a dictionary of set to APs `(seeds,
            queries)`; `("", "equal")` is before training.
    """
    sets = next(iter(rows.values()))
    cells = [
        [
            *key,
            *(with_spread(of_set.mean(axis=1)) for of_set in row.values()),
            with_spread(mean_score(row)),
        ]
        for key, row in rows.items()
    ]
    header = ["trained on", "weights", *sets, "mean"]
    parts = [markdown.table(header, cells, [False, False] + [True] * (len(sets) + 1))]
    trainings = list(dict.fromkeys(training for training, _ in rows if training))
    # The mean over the training sets of each query's AP.
    equal, both = rows["", "equal"], {}
    for name in CONSTRAINTS:
        every = [rows[training, name] for training in trainings]
        both[name] = {each: np.mean([row[each] for row in every], axis=0) for each in sets}
    compared = [(name, both[name], equal) for name in CONSTRAINTS]
    compared += [
        (f"{name} against free", both[name], both["free"]) for name in list(CONSTRAINTS)[1:]
    ]
    cells = [[name, *difference_cells(mine, other)] for name, mine, other in compared]
    for training in trainings:
        for name in CONSTRAINTS:
            for each in sets:
                mine, other = rows[training, name][each], rows["", "equal"][each]
                between = difference_cells({each: mine}, {each: other})
                cells.append([f"{name}, {training}, {each}", *between])
    header = ["weights against equal ones, or as said", "difference", "95 % interval"]
    parts.append(markdown.table(header, cells, [False, True, True]))
    return "\n\n".join(parts)


def main():
    options = {flag.name: flag.value for flag in FLAGS.get_key_flags_for_module(sys.argv[0])}
    out, size = Path(FLAGS.out), FLAGS.image_size
    trainings, tests = read_trainings(FLAGS.data_dir), read_tests(FLAGS.data_dir)
    tests[FLAT] = read_flat_pictures(FLAGS.data_dir, out / "flat")
    stored = StoredVectors(FLAGS.backbone, FLAGS.backbone_weights, out / "vectors")
    tested = {name: stored.of(name, task.images.paths, size) for name, task in tests.items()}
    of_equal = measure(np.ones((VECTORS, 1), np.float32), tested, tests)
    rows, notes, weights = {("", "equal"): {name: [ap] for name, ap in of_equal.items()}}, [], {}
    vectors = {
        training: [
            stored.of(f"{training} {part}", each.paths, own_size)
            for part, each in (("training", images), ("held out", held_out))
        ]
        for training, (images, held_out, own_size) in trainings.items()
    }
    # All of a seed before the next, so that what is there when it is interrupted is comparable.
    runs = [(k, t, name) for k in range(FLAGS.seeds) for t in trainings for name in CONSTRAINTS]
    for seed, training, name in tqdm(runs, unit="run"):

        def make(seed=seed, training=training, name=name):
            images, held_out, _ = trainings[training]
            found, note = trained(name, seed, vectors[training], images, held_out)
            return {"weights": found, "note": note} | measure(found, tested, tests)

        kept = with_files(out / "runs", f"{training} {name} {seed} {FLAGS.steps}", make)
        weights[f"{training} {name} {seed}"] = kept["weights"][:, 0].tolist()
        notes.append(f"- {training}, {name}, seed {seed}: {kept['note']}")
        row = rows.setdefault((training, name), {each: [] for each in tests})
        for each in tests:
            row[each].append(kept[each])
    rows = {key: {each: np.stack(aps) for each, aps in row.items()} for key, row in rows.items()}
    for training in trainings:
        for name in CONSTRAINTS:
            own = [weights[f"{training} {name} {seed}"] for seed in range(FLAGS.seeds)]
            draw(own, training, name, out / "pictures")
    page = "# What constrains DARAC's weights\n\n" + score_tables(rows) + "\n\n" + "\n".join(notes)
    facts = {"settings": options, "environment": environment(), "weights": weights}
    for ending, text in (("md", page), ("json", json.dumps(facts))):
        with atomic_path(out / f"weight_constraints.{ending}") as path:
            path.write_text(text + "\n", encoding="utf-8")
    print(page)


if __name__ == "__main__":
    cli.run(main)
