"""Images a second of a whole training run against its bare steps, in one process.

    python -m benchmarks.training_run --data_dir=photos --backbone=EfficientNetLite0 \
        --image_sizes=128,299

The run reads, decodes and augments photographs, trains, validates at --val_every and at its end,
and writes checkpoints as often; the bare steps are the same step on one batch in memory, before and
after. Counted from the second step on, so without tracing; the first validation, of the untrained
network, is before. Prints a Markdown table.
"""

import statistics
import tempfile
import time
from unittest import mock

from absl import flags

from benchmarks.measuring import random_batch, seconds_of
from benchmarks.peers.training import make_state, train_call
from darac_tf import cli
from darac_tf.choices import DATASETS
from darac_tf.reports import markdown
from darac_tf.training import run
from darac_tf.training.config import TrainConfig

FLAGS = flags.FLAGS
flags.DEFINE_enum("dataset", "folder", list(DATASETS), "Kind of the data set.")
flags.DEFINE_string("data_dir", None, "Its folder or file.", required=True)
flags.DEFINE_integer("val_classes", 10, "Classes to validate on.", lower_bound=1)
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "none times random weights, which cost the same.")
flags.DEFINE_list("image_sizes", ["128"], "Sides of the images, a run each.")
flags.DEFINE_integer("classes_per_batch", 12, "Of four images each.", lower_bound=2)
flags.DEFINE_integer("steps", 100, "Of a run.", lower_bound=3)
flags.DEFINE_integer("val_every", 100, "Steps between validations and checkpoints.", lower_bound=1)
flags.DEFINE_integer("repeats", 5, "Bare steps before, and as many after.", lower_bound=1)


class TimedSteps:
    """In place of `make_train_step`: the same, and when each step began and how long it took."""

    def __init__(self, make):
        self._make, self.started, self.seconds = make, [], []

    def __call__(self, *arguments):
        step = self._make(*arguments)

        def timed(*batch):
            self.started.append(time.perf_counter())
            found = step(*batch)
            float(found[0])  # Waits for it.
            self.seconds.append(time.perf_counter() - self.started[-1])
            return found

        timed.experimental_get_tracing_count = step.experimental_get_tracing_count
        return timed


def whole_run(config):
    """Seconds of a run from its second step on, and of these steps alone."""
    timed = TimedSteps(run.make_train_step)
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(run, "make_train_step", timed),
    ):
        run.train(config, f"{folder}/run")
        ended = time.perf_counter()
    return ended - timed.started[1], sum(timed.seconds[1:])


def row_of(side):
    """Cells of one image size."""
    config = TrainConfig(
        dataset=FLAGS.dataset,
        data_dir=FLAGS.data_dir,
        val_classes=FLAGS.val_classes,
        backbone=FLAGS.backbone,
        backbone_weights=FLAGS.backbone_weights,
        crop_shapes="1:1",
        pooling_steps=0,
        image_size=side,
        classes_per_batch=FLAGS.classes_per_batch,
        steps=FLAGS.steps,
        warmup_steps=0,
        val_every=FLAGS.val_every,
        checkpoint_every=FLAGS.val_every,
    )
    images, labels = random_batch(config.batch_size, side)
    state, replicas = make_state(config, labels)
    bare = train_call(state, config, replicas, images, labels)
    before = seconds_of(bare, FLAGS.repeats)
    whole, steps = whole_run(config)
    one = statistics.median(before + seconds_of(bare, FLAGS.repeats))
    counted = FLAGS.steps - 1
    return [
        f"{config.batch_size} at {side}",
        f"{one:.4g}",
        f"{steps / counted:.4g}",
        f"{whole / counted:.4g}",
        f"{config.batch_size * counted / whole:.1f}",
        f"{one * counted / whole:.3f}",
    ]


def main():
    rows = [row_of(int(side)) for side in FLAGS.image_sizes]
    header = ["batch", "bare step, s", "step in the run, s", "all of the run, s/step", "images/s"]
    print(markdown.table([*header, "ratio"], rows, [False] + [True] * 5))


if __name__ == "__main__":
    cli.run(main)
