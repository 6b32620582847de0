"""How describing, whitening and indexing in parts grow, and a plan for as many images as wanted.

    python -m benchmarks.scale --what=parts --rows=10000,100000,1000000 --dim=256 --folder=scale
    python -m benchmarks.scale --what=index --rows=1000000,10000000 --dim=64 --dtype=float16 \
        --memory=1GiB --folder=scale
    python -m benchmarks.scale --what=plan --rows=100000000 --dim=2048 --rates=rates.json \
        --described_per_second=48

`parts` takes made-up images through `darac describe --manifest` with a model that looks at their
last bytes only: manifest, ranges of a file, hashes, parts; reads the parts, and whitens them to 16
dimensions. `index` indexes made-up vectors, near 16 directions each, and measures recall@10. Each
number of rows is measured in processes of its own; memory is the most that one held (VmHWM). Files
are removed afterwards. Slopes are of a straight line through the logarithms; the ideal is 1 for
seconds, 0 for memory.

`plan` divides by rates: --described_per_second, which is that of a node with the network
(`benchmarks.parts`), and those that the others write by --save_rates for vectors of the same
length: rows a second of a node that whitens, indexes and searches exactly, and the seconds of
training. Needs Linux.
"""

import io
import json
import shutil
import time
from pathlib import Path

import numpy as np
from absl import flags

from benchmarks.measuring import figures_of, peak_mib
from darac_tf import cli
from darac_tf.errors import UserError
from darac_tf.memory import parse_bytes
from darac_tf.reports import markdown
from darac_tf.rows import unit_rows

FLAGS = flags.FLAGS
flags.DEFINE_enum("what", "parts", ["parts", "index", "plan"], "What is measured or planned.")
flags.DEFINE_list("rows", ["10000", "100000", "1000000"], "Numbers of images.")
flags.DEFINE_integer("dim", 256, "Numbers of a vector.", 16)
flags.DEFINE_enum("dtype", "float32", ["float32", "float16"], "Of the vectors on disk.")
flags.DEFINE_string("memory", "1GiB", "For the index.")
flags.DEFINE_string("faiss_index", "auto", "Kind of the index.")
flags.DEFINE_string("folder", "scale", "For the parts; removed afterwards.")
flags.DEFINE_string("save_rates", None, "File that rates are added to, for --what=plan.")
flags.DEFINE_string("rates", None, "File with rates, for --what=plan.")
flags.DEFINE_float("described_per_second", None, "Images, of one node, for --what=plan.", 1e-3)
flags.DEFINE_list("nodes", ["1", "4", "16", "64"], "Machines, for --what=plan.")
flags.DEFINE_float("node_price", 1.0, "Of an hour of one; 1: cost is in hours of a node.")
flags.DEFINE_float("image_kb", 200.0, "Of an image file, for --what=plan.")
flags.DEFINE_string("step", None, "One measurement, as JSON; used by the others.")

_PART_ROWS = 10_000
# Of a row of a part beside its vector, and of a row of an index with the longest codes.
_ROW_BYTES, _CODE_BYTES = 52, 72
_INSIDE = 16
# Different pictures of made-up images, and their side in pixels.
_CONTENTS, _SIDE = 1000, 64


def made_up(generator, basis, rows):
    """Unit vectors near a subspace, float32 `(rows, dim)`: some are more alike than others."""
    inside = generator.standard_normal((rows, len(basis)), np.float32) @ basis
    noise = generator.standard_normal((rows, basis.shape[1]), np.float32)
    return unit_rows(inside + np.float32(0.3) * noise)


class MadeUpModel:
    """In place of an exported model: vectors near a subspace, by the last bytes of an image."""

    folder, fingerprint, is_upright, no_image = "made up", "0" * 32, True, "can't be decoded"

    def __init__(self, dim):
        self.dimension = dim
        generator = np.random.default_rng(0)
        self._vectors = made_up(generator, generator.standard_normal((_INSIDE, dim)), _CONTENTS)

    def prepared(self, data):
        """The bytes as they are."""
        return data

    def __call__(self, data):
        """Vectors of a list of bytes, and that all are images."""
        numbers = [int.from_bytes(each[-8:], "little") for each in data]
        return self._vectors[numbers], np.ones(len(data), bool)


def write_manifest_of(folder, rows):
    """A manifest of so many images, which are ranges of one file of small pictures."""
    from PIL import Image

    from darac_tf.parts.fetching import byte_range
    from darac_tf.parts.manifest import write_manifest

    generator, places, at = np.random.default_rng(0), [], 0
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "images").open("wb") as file:
        for number in range(_CONTENTS):
            buffer = io.BytesIO()
            pixels = generator.integers(0, 256, (_SIDE, _SIDE, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(buffer, "jpeg")
            buffer.write(number.to_bytes(8, "little"))
            places.append((at, file.write(buffer.getvalue())))
            at += places[-1][1]
    uris = [byte_range(str((folder / "images").absolute()), *place) for place in places]
    named = ((f"image {row}", uris[row % _CONTENTS]) for row in range(rows))
    write_manifest(folder / "manifest.parquet", named)
    return folder / "manifest.parquet"


def describe(folder, rows):
    """Describes made-up images in parts."""
    from darac_tf.parts.describer import PartDescriber
    from darac_tf.parts.run import run_here
    from darac_tf.parts.settings import PartSettings

    started = time.perf_counter()
    manifest = write_manifest_of(Path(f"{folder}-images"), rows)
    listed = time.perf_counter()
    settings = PartSettings(dtype=FLAGS.dtype)
    describer = PartDescriber(MadeUpModel(FLAGS.dim), manifest, folder, settings)
    describer.layout.begin(folder)
    run_here(describer, folder, range(len(describer.layout)), show=False)
    return {"manifest s": listed - started, "seconds": time.perf_counter() - listed}


def write(folder, rows):
    """Writes parts of made-up vectors."""
    from darac_tf.parts.part_files import Layout, write_part

    layout = Layout(
        **{"model": "made up", "dim": FLAGS.dim, "dtype": FLAGS.dtype, "part_rows": _PART_ROWS},
        **{"rows": rows, "manifest": "made up", "manifest_path": "", "facts": {}},
    )
    layout.begin(folder)
    generator = np.random.default_rng(0)
    basis = generator.standard_normal((_INSIDE, FLAGS.dim), np.float32)
    for part in range(len(layout)):
        start, stop = layout.rows_of(part)
        count = stop - start
        columns = {"id": [f"image {row}" for row in range(start, stop)]}
        columns["vector"] = made_up(generator, basis, count)
        columns |= {"sha256": [bytes(32)] * count, "bytes": [0] * count}
        write_part(folder, layout, part, columns | {"width": [0] * count, "height": [0] * count})
    return {}


def read(folder, rows):
    """Reads all of them once."""
    from darac_tf.parts.part_files import Parts
    from darac_tf.parts.part_rows import PartRows

    vectors = PartRows(Parts.open(folder))
    total = sum(float(vectors[at : at + 4096].sum()) for at in range(0, rows, 4096))
    return {"total": total}


def whiten(folder, rows):
    """Learns a whitening to 16 dimensions, and applies it."""
    from darac_tf.parts.part_files import Parts
    from darac_tf.parts.whitened import learn_whitening, whiten_parts

    parts = Parts.open(folder)
    started = time.perf_counter()
    whitening = learn_whitening(parts, _INSIDE)
    learned = time.perf_counter() - started
    whiten_parts(parts, whitening, f"{folder}-whitened")
    return {"learning s": learned, "seconds": time.perf_counter() - started}


def index(folder, rows):
    """Indexes the parts."""
    from darac_tf.parts.indexing import Request, build_parts_index
    from darac_tf.parts.part_files import Parts

    request = Request(parse_bytes(FLAGS.memory), FLAGS.faiss_index, 1, 64, 1000)
    started = time.time()
    plan = build_parts_index(Parts.open(folder), f"{folder}-index", request)
    if plan is None:
        return {"kind": "exact", "training s": 0.0}
    trained = Path(f"{folder}-index", "trained.faiss").stat().st_mtime - started
    return {"kind": plan.kind, "training s": trained}


def recall(folder, rows):
    """Searches the index for 100 vectors that its training has not seen."""
    from darac_tf.parts.indexing import measure_recall

    found = measure_recall(f"{folder}-index", 100)
    return {"recall@10": found.recall, "ms a query": 1000 * found.seconds}


STEPS = {
    "describe": describe,
    "write": write,
    "read": read,
    "whiten": whiten,
    "index": index,
    "recall": recall,
}


def measured(step, rows):
    """Figures of one step in a process of its own: seconds of it, MiB, and what it says."""
    names = ("dim", "dtype", "memory", "faiss_index", "folder")
    given = [f"--{name}={FLAGS[name].value}" for name in names]
    return figures_of("benchmarks.scale", f"--step={step}", f"--rows={rows}", *given)


def run_step():
    """Prints the figures of `--step`."""
    (rows,) = map(int, FLAGS.rows)
    started = time.perf_counter()
    found = STEPS[FLAGS.step](f"{FLAGS.folder}/{rows}", rows)
    figures = {"seconds": time.perf_counter() - started, "peak_mib": peak_mib(), **found}
    print(json.dumps(figures))


def slope(counts, values):
    """Exponent of the growth."""
    if len(counts) < 2:
        return float("nan")
    return np.polyfit(np.log(counts), np.log(values), 1)[0]


def measure(steps):
    """Measures steps for each number of rows; `{step: [figures]}`."""
    counts, found = [int(rows) for rows in FLAGS.rows], {step: [] for step in steps}
    for rows in counts:
        needed = rows * FLAGS.dim * np.dtype(FLAGS.dtype).itemsize * 2
        Path(FLAGS.folder).mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(FLAGS.folder).free < needed:
            raise UserError(f"--folder={FLAGS.folder}: {needed / 1e9:.0f} GB are not free there")
        try:
            for step in steps:
                found[step].append(measured(step, rows))
        finally:
            for path in Path(FLAGS.folder).glob(f"{rows}*"):
                shutil.rmtree(path)
    return counts, found


def table(counts, step, found):
    """Lines of a Markdown table, with the slopes at its end."""
    extra = [name for name in found[0] if name not in ("seconds", "peak_mib", "total")]
    rows = [
        [
            f"{n:,}",
            f"{each['seconds']:.1f}",
            f"{n / each['seconds']:,.0f}",
            f"{each['peak_mib']:.0f}",
        ]
        + [f"{each[x]:.4g}" if isinstance(each[x], float) else str(each[x]) for x in extra]
        for n, each in zip(counts, found, strict=True)
    ]
    slopes = [slope(counts, [each[name] for each in found]) for name in ("seconds", "peak_mib")]
    rows.append(
        ["slope (ideal 1, 0)", f"{slopes[0]:.2f}", "", f"{slopes[1]:.2f}", *[""] * len(extra)]
    )
    return markdown.table([step, "s", "rows/s", "MiB", *extra], rows, [True] * (4 + len(extra)))


def known_rates():
    """What --save_rates has already; `UserError` if that is of vectors of another length."""
    path = Path(FLAGS.save_rates)
    rates = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"dim": FLAGS.dim}
    if rates["dim"] != FLAGS.dim:
        raise UserError(f"--save_rates={path}: has those of --dim={rates['dim']} already")
    return rates


def plan():
    """Prints disk, and hours and cost by the number of machines."""
    rates = json.loads(Path(FLAGS.rates).read_text(encoding="utf-8"))
    if rates["dim"] != FLAGS.dim:
        raise UserError(f"--rates={FLAGS.rates}: they are of --dim={rates['dim']}")
    rates["describe"] = FLAGS.described_per_second
    for rows in map(int, FLAGS.rows):
        size = rows * (FLAGS.dim * np.dtype(FLAGS.dtype).itemsize + _ROW_BYTES)
        print(
            f"{rows:,} images: {rows * FLAGS.image_kb / 1e9:.1f} TB of files, read once; "
            f"{size / 1e9:.0f} GB of parts, {rows * _CODE_BYTES / 1e9:.1f} GB of index and as much "
            "again while pieces are merged\n"
        )
        hours = {
            name: rows / rates[name] / 3600 for name in ("describe", "whiten", "index", "recall")
        }
        hours["training"] = rates["training"] / 3600
        one = sum(hours[name] for name in ("whiten", "training", "index", "recall"))
        lines = []
        for nodes in map(int, FLAGS.nodes):
            described = hours["describe"] / nodes
            cost = (hours["describe"] + one) * FLAGS.node_price
            mbit = rows * FLAGS.image_kb * 8e-3 / (described * 3600)
            lines.append(
                [str(nodes), *(f"{x:,.1f}" for x in (described, one, described + one, cost))]
            )
            lines[-1].append(f"{mbit:,.0f}")
        head = ["nodes", "describing, h", "the rest on one, h", "all, h", "cost", "Mbit/s read"]
        print(markdown.table(head, lines, [True] * len(head)))
        print(
            "\nthe rest: "
            + ", ".join(f"{name} {hours[name]:.1f} h" for name in hours if name != "describe")
        )


def main():
    if FLAGS.step:
        run_step()
        return
    if FLAGS.what == "plan":
        if not (FLAGS.rates and FLAGS.described_per_second):
            raise UserError("--what=plan: needs --rates and --described_per_second")
        plan()
        return
    if FLAGS.save_rates:
        known_rates()
    steps = (
        ["describe", "read", "whiten"] if FLAGS.what == "parts" else ["write", "index", "recall"]
    )
    counts, found = measure(steps)
    for step in steps:
        print(table(counts, step, found[step]), end="\n\n")
    if FLAGS.save_rates:
        rates = known_rates()
        for step, figures in found.items():
            training = figures[-1].get("training s", 0)
            rates[step] = counts[-1] / (figures[-1]["seconds"] - training)
            if training:
                rates["training"] = training
        Path(FLAGS.save_rates).write_text(json.dumps(rates, indent=1), encoding="utf-8")


if __name__ == "__main__":
    cli.run(main)
