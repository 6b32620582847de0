"""Drops all files below folders from an index.

    darac forget FOLDER [FOLDER ...] --index=FOLDER

The files themselves stay.
"""

from darac_tf import cli
from darac_tf.index_flags import index_values


def main(arguments):
    values = index_values()
    folders = cli.parse_command(arguments, values, __doc__, "folder")
    cli.start_tensorflow()

    from darac_tf.search.faiss_index import remove_stale
    from darac_tf.search.index import writing
    from darac_tf.search.updates import forget

    with writing(values.index) as index:
        count = forget(index, folders)
        remove_stale(index)
    print(f"{count} images dropped from the index")
