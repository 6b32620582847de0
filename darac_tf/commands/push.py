"""Brings a vector database up to date with an index of images.

    darac push --to=lancedb:DIR
    darac push --to=qdrant:http://127.0.0.1:6333 --index=FOLDER --collection=photos

Databases are lancedb:DIR, milvus:FILE_OR_URL, pgvector:DSN and qdrant:URL_OR_DIR, each with its
client (pip install 'darac-tf[lancedb]', ...). A row is an id, path, mark and vector. What is new or
changed in the index is sent, what is gone is deleted; one collection is for one index. A push may
be ended at any moment. `darac query --from=lancedb:DIR` searches there.
"""

from absl import flags

from darac_tf import cli
from darac_tf.index_flags import index_values


def main(arguments):
    values = index_values()
    flags.DEFINE_string("to", None, "The database, KIND:PLACE.", values, required=True)
    flags.DEFINE_string("collection", "darac", "Collection or table there.", values)
    flags.DEFINE_integer("batch_rows", 256, "Rows that are sent at once.", 1, None, values)
    cli.parse_command(arguments, values, __doc__)
    cli.start_tensorflow()

    from darac_tf.databases import connect
    from darac_tf.search.index import Index
    from darac_tf.search.push import push

    with Index(values.index) as index, connect(values.to, values.collection) as database:
        pushed = push(index, database, values.batch_rows)
        name = database.name
    print(f"{name}: {pushed.total} images: {pushed.put} put, {pushed.deleted} deleted")
