"""Start-up time and memory of training at landmark scale: opening an index, and the sampler.

    python -m benchmarks.sampler_scale --images=1580470 --classes=81313

Makes up an index of that many records with a long tail of class sizes, over shards that are holes
in files and take no disk. A fresh process then imports TensorFlow, opens the index, writes the list
of images that a run keeps, makes the sampler and draws the first batches. Prints the seconds of
each, and that process' peak memory (VmHWM, which counts mapped pages of the index). Needs Linux.
"""

import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import flags

from benchmarks.measuring import peak_mib
from darac_tf import cli
from darac_tf.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_integer("images", 1_580_470, "Records; the default is GLDv2-clean's.", lower_bound=1)
flags.DEFINE_integer("classes", 81_313, "Classes.", lower_bound=1)
flags.DEFINE_float("alpha", 0.5, "Power of the class sizes.", 0, 1)
flags.DEFINE_integer("classes_per_batch", 12, "P.", lower_bound=1)
flags.DEFINE_integer("images_per_class", 4, "K.", lower_bound=1)
flags.DEFINE_integer("batches", 100, "Batches that are drawn.", lower_bound=1)
flags.DEFINE_string("records", None, "Prepared set whose images the index repeats.")
flags.DEFINE_string("out", None, "Keep the index in this folder, which must not be there.")
flags.DEFINE_string("index", None, "Measure this index: what the fresh process is called with.")

_RECORD_BYTES = 40_000
_RECORDS_PER_SHARD = 4096


def long_tail(images, classes):
    """Class sizes that fall as a power of the rank, at least 2 each, `images` in all."""
    if images < 2 * classes:
        raise UserError(f"--images={images}: must be at least twice --classes={classes}")
    share = 1 / np.arange(1, classes + 1) ** 0.8
    up_to = np.floor(np.cumsum(share) / share.sum() * (images - 2 * classes) + 0.5)
    return 2 + np.diff(up_to.astype(np.int64), prepend=0)


def make_index(folder):
    from darac_tf.data.training_sets.record_index import RecordIndex

    counts = np.random.default_rng(0).permutation(long_tail(FLAGS.images, FLAGS.classes))
    records = np.arange(FLAGS.images)
    make = _repeated if FLAGS.records else _of_holes
    RecordIndex(
        labels=np.repeat(np.arange(FLAGS.classes), counts),
        splits=np.zeros(FLAGS.images),
        sources=np.char.mod(b"/data/gldv2/train/0/1/2/%016x.jpg", records),
        name="made up",
        class_names=[str(number) for number in range(FLAGS.classes)],
        split_names=[""],
        **make(folder, records),
    ).write(folder)


def _of_holes(folder, records):
    """Where the records lie, by the fields of `RecordIndex`, in shards that it makes."""
    shards, place = records // _RECORDS_PER_SHARD, records % _RECORDS_PER_SHARD
    names = [f"shard-{number:05d}.tfrecord" for number in range(shards[-1] + 1)]
    for name in names:
        with (folder / name).open("wb") as file:
            file.truncate(_RECORDS_PER_SHARD * _RECORD_BYTES)
    lengths = np.full(len(records), _RECORD_BYTES - 16)
    checksums = np.zeros(len(records), np.uint32)
    fields = {"shards": shards, "offsets": place * _RECORD_BYTES + 12, "lengths": lengths}
    return fields | {"checksums": checksums, "shard_names": names}


def _repeated(folder, records):
    """As `_of_holes`, in links to the shards of `--records`."""
    from darac_tf.data.training_sets.record_index import RecordIndex

    own = RecordIndex.open(FLAGS.records)
    for name in own.shard_names:
        (folder / name).symlink_to(Path(FLAGS.records).resolve() / name)
    rows, fields = records % len(own.labels), ("shards", "offsets", "lengths", "checksums")
    return {field: getattr(own, field)[rows] for field in fields} | {"shard_names": own.shard_names}


def measure(folder):
    """What the fresh process does: seconds of each part, and MiB."""
    marks = [("start", time.perf_counter())]
    from darac_tf.data.samplers import TemperedSampler
    from darac_tf.data.training_sets.prepared import read_prepared

    marks.append(("import", time.perf_counter()))
    images = read_prepared(folder)
    images.check_for_training()
    marks.append(("open", time.perf_counter()))
    images.write_csv(Path(folder) / "train.csv")
    marks.append(("train.csv", time.perf_counter()))
    sampler = TemperedSampler(
        images.labels, FLAGS.classes_per_batch, FLAGS.images_per_class, FLAGS.alpha
    )
    marks.append(("sampler", time.perf_counter()))
    for step in range(FLAGS.batches):
        sampler.batch(step)
        if step == 0:
            marks.append(("first batch", time.perf_counter()))
    marks.append(("other batches", time.perf_counter()))
    result = {name: now - before for (_, before), (name, now) in itertools.pairwise(marks)}
    result["until first batch"] = marks[-2][1] - marks[0][1]
    result["peak MiB"] = peak_mib()
    return result


def main():
    if not Path("/proc/self/status").exists():
        raise UserError("this benchmark reads memory from /proc: run it on Linux")
    if FLAGS.records and not FLAGS.out:
        raise UserError(f"--records={FLAGS.records}: name --out, where the index is to be kept")
    if FLAGS.out and Path(FLAGS.out).exists():
        raise UserError(f"--out={FLAGS.out}: is there already; name a new folder")
    if FLAGS.index:
        print(json.dumps(measure(FLAGS.index)))
        return
    if FLAGS.out:
        Path(FLAGS.out).mkdir(parents=True)
        make_index(Path(FLAGS.out))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_index(Path(folder))
        command = [sys.executable, "-m", "benchmarks.sampler_scale", f"--index={folder}"]
        names = ("alpha", "classes_per_batch", "images_per_class", "batches")
        command += [f"--{name}={FLAGS[name].value}" for name in names]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    print(f"{FLAGS.images:,} images, {FLAGS.classes:,} classes, alpha {FLAGS.alpha}")
    for name, value in json.loads(done.stdout).items():
        print(f"{name}: {value:.0f}" if name == "peak MiB" else f"{name}: {value:.2f} s")


if __name__ == "__main__":
    cli.run(main)
