"""The learned weights of a trained DARAC, drawn over an image.

    python -m studies.region_weights --descriptor=runs/photos --image=photo.jpg \
        --out=runs/region_weights

Panels for each level of the grid, for maxima and averages, and bars in the order of the grid. The
descriptor does not change with the scale of all weights together: what counts is their ratio.
Prints a table; --out gets region_weights.png, .md and .json.
"""

import sys
from pathlib import Path

import numpy as np
from absl import flags

from darac_tf import cli
from darac_tf.data.images import check_images, decode_upright, resize_long_side
from darac_tf.models import load_descriptor
from darac_tf.models.descriptor import backbone_of
from darac_tf.reports.region_weights import region_weights, weight_rows, weight_table
from darac_tf.reports.weight_plot import draw_weights
from studies.figures import write_study

FLAGS = flags.FLAGS
flags.DEFINE_string("descriptor", None, "Run directory or .keras descriptor.", required=True)
flags.DEFINE_string("image", None, "Draw over it; default: over the outline of a map.")
flags.DEFINE_integer("size", 299, "Long side the image is resized to.", lower_bound=1)
flags.DEFINE_integer("map_rows", 7, "Without --image: rows of the map.", lower_bound=1)
flags.DEFINE_integer("map_columns", 10, "Without --image: columns of the map.", lower_bound=1)
flags.DEFINE_string("out", None, "Folder of the picture and the numbers.", required=True)


def map_of(model, image):
    """Rows and columns of the backbone's feature map of an image."""
    network, _ = backbone_of(model)
    return network.compute_output_shape((1, *image.shape))[1:3]


def main():
    options = {flag.name: flag.value for flag in FLAGS.get_key_flags_for_module(sys.argv[0])}
    model = load_descriptor(FLAGS.descriptor)
    weights = region_weights(model, FLAGS.descriptor)
    image, shape = None, (FLAGS.map_rows, FLAGS.map_columns)
    if FLAGS.image:
        check_images([FLAGS.image])
        stored = decode_upright(Path(FLAGS.image).read_bytes())
        image = np.asarray(resize_long_side(stored, FLAGS.size))
        shape = map_of(model, image)
    title = f"Region weights of DARAC on a map of {shape[0]} x {shape[1]} cells"
    if weights.channels > 1:
        title += f", mean over {weights.channels} channels"
    rows = weight_rows(weights, *shape)
    table = weight_table(rows)
    figure = draw_weights(f"{title}\n{FLAGS.descriptor}", weights, *shape, image)
    page = f"# {title}\n\nRegions are in cells, from the top left.\n\n{table}"
    results = {"map": list(shape), "channels": weights.channels, "regions": rows}
    write_study(FLAGS.out, "region_weights", figure, page, results, options)
    print(table)


if __name__ == "__main__":
    cli.run(main)
