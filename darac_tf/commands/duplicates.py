"""Prints pairs of images in an index that are nearly the same.

    darac duplicates --index=FOLDER --threshold=0.95

A line has the cosine similarity and both paths, with a tab between them.
"""

from absl import flags

from darac_tf import cli
from darac_tf.errors import printable
from darac_tf.index_flags import index_values


def main(arguments):
    values = index_values()
    flags.DEFINE_float("threshold", 0.95, "Least cosine similarity.", 0.01, 1.0, values)
    cli.parse_command(arguments, values, __doc__)
    cli.start_tensorflow()

    from darac_tf.search.duplicates import near_duplicates
    from darac_tf.search.index import Index

    with Index(values.index) as index:
        for similarity, *paths in near_duplicates(index, values.threshold):
            print("\t".join([f"{similarity:.4f}", *map(printable, paths)]))
