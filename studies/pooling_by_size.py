"""Average against maximum pooling, of the whole map and of regions, over growing images.

    python -m studies.pooling_by_size --backbone=ResNet50V2 --dataset=folder --data_dir=photos \
        --sizes=150,300,600,1200 --out=runs/pooling_by_size

Seven pooled vectors of the same feature maps, without training: average, maximum and both (the sum
of the two unit vectors), of the whole map and of DARAC's 21 regions, and GeM. Prints a table of
mAP; --out gets pooling_by_size.png, .md and .json.
"""

import sys

from absl import flags

from darac_tf import cli
from darac_tf.choices import BENCHMARKS, DATASETS, DEFAULT_BATCH_PIXELS
from darac_tf.describing.sizes import LongSide, parse_sizes
from darac_tf.errors import UserError
from darac_tf.evaluation.config import EvalConfig
from darac_tf.evaluation.evaluator import Settings, evaluate
from darac_tf.evaluation.options import read_task
from darac_tf.reports.markdown import is_missing
from studies.figures import write_study
from studies.poolings import pooling_source
from studies.size_plot import draw_by_size, main_metric, size_table

FLAGS = flags.FLAGS
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "Of keras.applications: imagenet, none, a file.")
flags.DEFINE_enum("dataset", "folder", [*DATASETS, *BENCHMARKS], "Kind of data set.")
flags.DEFINE_string("data_dir", None, "Folder of class folders, CSV, or benchmark folder.")
flags.DEFINE_string("split", None, "Use this split of the CSV only.")
flags.DEFINE_string("query_split", None, "This split's images are queries, the rest database.")
flags.DEFINE_string("sizes", "150,212,300,424,600,848", "Long sides in pixels.")
flags.DEFINE_integer("batch_pixels", DEFAULT_BATCH_PIXELS, "Pixels a batch.", lower_bound=1)
flags.DEFINE_string("cache_dir", None, "Keep descriptors here, and describe nothing twice.")
flags.DEFINE_string("out", None, "Folder of the picture and the numbers.", required=True)


def read_sizes(text):
    """Rising list of `LongSide`."""
    sizes = parse_sizes(text)
    if not all(isinstance(size, LongSide) for size in sizes):
        raise UserError(f"--sizes={text}: give long sides in pixels only, such as 150,300")
    return sorted(sizes, key=lambda size: size.pixels)


def as_row(result):
    """One measurement for the JSON file."""
    return {
        "pooling": result.descriptor,
        "size": int(result.resolutions[0]),
        "dimension": result.dimension,
        "scores": result.scores,
        "per_query": [
            {key: None if key != "path" and is_missing(v) else v for key, v in query.items()}
            for query in result.per_query
        ],
    }


def main():
    options = {flag.name: flag.value for flag in FLAGS.get_key_flags_for_module(sys.argv[0])}
    sizes = read_sizes(FLAGS.sizes)
    names = ("dataset", "data_dir", "split", "query_split")
    data = {name: options[name] for name in names}
    task = read_task(EvalConfig(descriptors=[FLAGS.backbone], **data))
    settings = Settings(
        resolutions=tuple((size,) for size in sizes),
        batch_pixels=FLAGS.batch_pixels,
        cache_dir=FLAGS.cache_dir,
    )
    source = pooling_source(FLAGS.backbone, FLAGS.backbone_weights)
    rows = [measured.result for measured in evaluate([source], task, settings)]
    metric, pixels = main_metric(rows[0].scores), [size.pixels for size in sizes]
    # The evaluator goes through the sizes of one descriptor after the other.
    scores = {name: [] for name in source.names}
    for row in rows:
        scores[row.descriptor].append(row.scores[metric])
    kept = [as_row(row) for row in rows]
    table = size_table(pixels, scores)
    queries = len(rows[0].per_query)
    lone = sum(task.n_positives(query) == 0 for query in range(queries))
    about = f"{task.name}: {metric}, {task.protocol}; {queries} queries"
    about += f", {lone} of them without a positive" if lone else ""
    figure = draw_by_size(f"Pooled vectors against image size\n{about}", metric, pixels, scores)
    page = f"# Pooled vectors against image size\n\n{about}.\n\n{table}"
    write_study(FLAGS.out, "pooling_by_size", figure, page, kept, options)
    print(table)


if __name__ == "__main__":
    cli.run(main)
