"""Joint training of the last layers and the pooling, by pooling, and what it does to test sets.

    python -m studies.joint_training --data_dir=images --backbone=backbone.keras --layer=conv_head \
        --out=runs/joint

The layers below --layer stay as they are, so that their maps are stored once. Each setting of
--settings has the same learning rates, of which held-out classes of the training set choose one;
that trains --seeds runs. --sizes are measured one by one and, from two on, combined, with and
without whitening. All that is measured is a file in --out: interrupted, or with more seeds, sizes
or settings, the command does what is missing. Prints tables; --out gets joint_training.md and
.json. What is trained and tested on: `joint_sets`.
"""

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from absl import flags
from tqdm import tqdm

from darac_tf import cli
from darac_tf.data.augmentation import CropShapes
from darac_tf.data.images import stored_size
from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.last_layers.joint_head import JointHead, StoredBatches, describer
from darac_tf.last_layers.stored_maps import split_network, store_views, store_whole
from darac_tf.losses import make_loss
from darac_tf.models import POOLINGS
from darac_tf.reports.environment import environment
from studies.joint_scores import KINDS, average_precisions, scores_of, with_files
from studies.joint_sets import (
    LANDMARKS,
    TESTS,
    joined,
    read_kinds,
    read_photographs,
    read_tests,
)
from studies.joint_table import (
    claim_table,
    orientation_table,
    score_table,
    set_table,
    size_table,
)

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder of the sets of `joint_sets`.", required=True)
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "imagenet, none or a weight file.")
flags.DEFINE_string("layer", None, "The first layer that is trained.", required=True)
flags.DEFINE_list("settings", None, "Which; default: all.")
flags.DEFINE_list("rates", ["1e-5", "3e-5", "1e-4", "3e-4"], "Peak learning rates to choose from.")
flags.DEFINE_integer("steps", 60, "Of a training.", lower_bound=21)
flags.DEFINE_integer("image_size", 259, "Side of square views; others have its area.")
flags.DEFINE_string("batch", "8x3", "Classes x images of a batch.")
flags.DEFINE_integer("seeds", 5, "Runs at the chosen rate.", lower_bound=1)
flags.DEFINE_list("sizes", ["299"], "Long sides of the test images in pixels, the first chooses.")
flags.DEFINE_integer("whiten_dim", 256, "Dimensions of the whitening.", lower_bound=1)
flags.DEFINE_string("out", None, "Folder of maps, runs and tables.", required=True)

_SHAPES, _SQUARES = "4:3,3:4", "1:1"
_VIEWS = 2  # Of each image, in all shapes together.


@dataclass(frozen=True)
class Setting:
    """One row of a comparison."""

    pooling: str
    loss: dict = field(default_factory=dict)  # Arguments of `NRALoss`.
    shapes: str = _SHAPES


SETTINGS = {
    "spoc": Setting("spoc"),
    "mac": Setting("mac"),
    "gem": Setting("gem"),
    "rmac": Setting("rmac"),
    "ramac": Setting("ramac"),
    "darac": Setting("darac"),
    "darac gaussian": Setting("darac", {"rank": "gaussian", "statistics_gradient": False}),
    "darac minmax": Setting("darac", {"rank": "minmax", "statistics_gradient": False}),
    "darac squares": Setting("darac", shapes=_SQUARES),
}


class Joint:
    """Trains and measures settings; what it has measured is in files."""

    def __init__(self, options):
        self._options, self.out = options, Path(options["out"])
        self._part = split_network(
            options["backbone"], options["backbone_weights"], options["layer"]
        )
        self._kinds = read_kinds(options["data_dir"], self.out / "drawn")
        self._joint = joined(self._kinds)
        self.tests = read_tests(options["data_dir"])
        training = read_photographs(options["data_dir"], LANDMARKS, "train")
        self._paths = {name: task.images.paths for name, task in self.tests.items()}
        self._paths[LANDMARKS + ":train"] = training.paths
        self._heads, self._views = {}, {}

    def untrained(self, poolings, size):
        """Dictionary of pooling to descriptors of all sets, before training."""
        layers = {name: POOLINGS[name]() for name in poolings}
        for layer in layers.values():
            layer.build(self._part.upper.output_shape)
        describe = describer(self._part.upper, layers)
        found = {name: describe(self._maps(name, size)) for name in self._paths}
        return {p: {name: of_set[p] for name, of_set in found.items()} for p in poolings}

    def described(self, name, rate, seed, size):
        """Descriptors of all sets at a size after a run."""
        head = self._head(name)
        head.set_weights(self.run(name, rate, seed)[0])
        return {each: head.describe(self._maps(each, size))[""] for each in self._paths}

    def run(self, name, rate, seed):
        """`(weights, mAP of the held-out classes of each kind)` of a run, trained once."""
        own = {key: self._options[key] for key in ("backbone", "layer", "steps", "batch")}
        own |= {"image_size": self._options["image_size"], "setting": asdict(SETTINGS[name])}
        file = self.out / "runs" / f"{name.replace(' ', '-')} {rate:g} {seed}.npz"
        if not file.exists():
            head, setting = self._head(name), SETTINGS[name]
            classes, images = map(int, self._options["batch"].split("x"))
            batches = StoredBatches(
                *(
                    self._views_of(setting.shapes),
                    self._joint.labels,
                    setting.shapes,
                    self._options["image_size"],
                ),
                *(classes, images, seed),
            )
            head.train([batches.batch(step) for step in range(self._options["steps"])], rate)
            scores = self._chosen_by(head.describe)
            with atomic_path(file) as path:
                np.savez(path, *head.weights(), scores=scores, own=json.dumps(own))
        with np.load(file) as stored:
            if json.loads(str(stored["own"])) != own:
                raise UserError(f"{file} is of other settings: remove it, or name another --out")
            weights = [stored[f"arr_{i}"] for i in range(len(stored.files) - 2)]
            return weights, stored["scores"]

    def before(self, pooling):
        """mAP of the held-out classes before training."""
        layer = POOLINGS[pooling]()
        layer.build(self._part.upper.output_shape)
        return self._chosen_by(describer(self._part.upper, {"": layer}))

    def _head(self, name):
        if name not in self._heads:
            setting = SETTINGS[name]
            loss = make_loss("nra", 0, 0, **setting.loss)
            self._heads[name] = JointHead(self._part.upper, POOLINGS[setting.pooling](), loss)
        return self._heads[name]

    def _chosen_by(self, describe):
        size, scores = int(self._options["sizes"][0]), []
        for name, kind in self._kinds.items():
            folder = self.out / "maps" / f"choosing-{name}-{size}"
            maps = store_whole(self._part, kind.choosing.images.paths, size, folder)
            scores.append(np.nanmean(average_precisions(describe(maps)[""], kind.choosing)))
        return np.array(scores)

    def _maps(self, name, size):
        folder = self.out / "maps" / f"{name}-{size}"
        return store_whole(self._part, self._paths[name], size, folder)

    def _views_of(self, shapes):
        """Dictionary of `(height, width)` to stored views, of a text of `parse_shapes`."""
        if shapes not in self._views:
            sides = CropShapes(shapes, self._options["image_size"], 0).sides
            count = _VIEWS // len(sides)
            self._views[shapes] = {}
            for height, width in sides:
                folder = self.out / "maps" / f"views-{height}x{width}"
                maps = store_views(self._part, self._joint, (height, width), count, 0, folder)
                self._views[shapes][height, width] = maps
        return self._views[shapes]


class Measured:
    """APs of settings at several sizes, from files or measured.

    Attributes:
        rows: Dictionary of `(row, sizes, plain or whitened)` to a dictionary of set to a list of
            `(queries,)`, one for each seed.
    """

    def __init__(self, joint, sizes, dim):
        self._joint, self._dim = joint, dim
        self._groups = [[size] for size in sizes] + ([sizes] if len(sizes) > 1 else [])
        self.texts = ["+".join(map(str, group)) for group in self._groups]
        self._rows, self._untrained = {}, {}

    def before(self, poolings):
        for pooling in poolings:

            def describe(size, pooling=pooling):
                if size not in self._untrained:
                    self._untrained[size] = self._joint.untrained(poolings, size)
                return self._untrained[size][pooling]

            self._measure(f"before {pooling}", describe, f"before-{pooling}")

    def after(self, name, rate, seed):
        self._measure(
            name,
            lambda size: self._joint.described(name, rate, seed, size),
            f"{name.replace(' ', '-')} {rate:g} {seed}",
        )

    def _measure(self, row, describe, stem):
        out = self._joint.out
        for text, group in zip(self.texts, self._groups, strict=True):

            def make(group=group):
                descriptors = [
                    with_files(out / "descriptors", f"{stem} {size}", lambda s=size: describe(s))
                    for size in group
                ]
                aps = scores_of(descriptors, self._joint.tests, self._dim)
                return {" ".join(key): ap for key, ap in aps.items()}

            aps = with_files(out / "scores", f"{stem} {text} {self._dim}", make)
            for kind in KINDS:
                found = self._rows.setdefault((row, text, kind), {each: [] for each in TESTS})
                for each in TESTS:
                    ap = aps[f"{each} {kind}"]
                    found[each].append(ap[~np.isnan(ap)])

    @property
    def rows(self):
        """Dictionary of `(row, sizes, plain or whitened)` to what `joint_table` takes."""
        return {
            key: {name: np.stack(aps) for name, aps in row.items()}
            for key, row in self._rows.items()
        }


def orientations(tests):
    """Which queries with a positive are portraits and which landscapes, by set."""
    masks = {"portrait": {}, "landscape": {}}
    for name, task in tests.items():
        asked = [task.queries[i] for i in range(len(task.queries)) if task.n_positives(i)]
        height, width = np.array([stored_size(task.images.paths[row]) for row in asked]).T
        masks["portrait"][name], masks["landscape"][name] = height > width, width > height
    return masks


def check_flags():
    names = FLAGS.settings or list(SETTINGS)
    if unknown := set(names) - set(SETTINGS):
        raise UserError(f"--settings={','.join(unknown)}: choose from {list(SETTINGS)}")
    if not all(size.isdigit() and int(size) for size in FLAGS.sizes):
        raise UserError(f"--sizes={','.join(FLAGS.sizes)}: must be whole numbers above 0")
    return names


def choose_rates(joint, names, rates):
    """Dictionary of setting to rate, and lines that say by which scores."""
    chosen, lines = {}, []
    for name in tqdm(names, "choose rates", unit="setting"):
        scores = [np.mean(joint.run(name, rate, 0)[1]) for rate in rates]
        chosen[name] = rates[int(np.argmax(scores))]
        found = ", ".join(f"{100 * score:.2f}" for score in scores)
        before = 100 * joint.before(SETTINGS[name].pooling).mean()
        lines.append(f"- {name}: held-out classes {before:.2f} before; {found}: {chosen[name]:g}")
    return chosen, lines


def main():
    options = {flag.name: flag.value for flag in FLAGS.get_key_flags_for_module(sys.argv[0])}
    names, joint = check_flags(), Joint(options)
    chosen, lines = choose_rates(joint, names, [float(rate) for rate in FLAGS.rates])
    measured = Measured(joint, [int(size) for size in FLAGS.sizes], FLAGS.whiten_dim)
    measured.before(list(dict.fromkeys(SETTINGS[name].pooling for name in names)))
    runs = [(seed, name) for seed in range(FLAGS.seeds) for name in names]
    for seed, name in tqdm(runs, "measure", unit="run"):
        measured.after(name, chosen[name], seed)
    rows, texts = measured.rows, measured.texts
    columns = [(text, kind) for text in texts for kind in KINDS]
    parts = [
        "# Joint training\n\n" + "\n".join(lines),
        "## Mean over the test sets\n\n" + score_table(rows, columns),
        "## Differences\n\n" + claim_table(rows, columns),
        "## Whitening and several sizes\n\n" + size_table(rows, texts, KINDS),
        *(f"## Each set: {', '.join(c)}\n\n" + set_table(rows, c) for c in columns),
        "## Shapes of crops\n\n" + orientation_table(rows, columns[0], orientations(joint.tests)),
    ]
    page = "\n\n".join(parts)
    facts = {"settings": options, "environment": environment(), "rates": chosen}
    facts["mAP"] = {
        " ".join(key): {name: ap.mean(axis=1).tolist() for name, ap in row.items()}
        for key, row in rows.items()
    }
    for ending, text in (("md", page), ("json", json.dumps(facts, indent=1))):
        with atomic_path(joint.out / f"joint_training.{ending}") as path:
            path.write_text(text + "\n", encoding="utf-8")
    print(page)


if __name__ == "__main__":
    cli.run(main)
