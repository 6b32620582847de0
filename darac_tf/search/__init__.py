"""Search in a user's own collection with an exported model.

`python -m darac_tf.search index PHOTOS --model=EXPORT/1 --index=FOLDER` describes what is new or
changed, `... query IMAGE --index=FOLDER` finds the images most like one.
"""

from darac_tf.search.describer import ExportedDescriber
from darac_tf.search.index_folder import IndexFolder, writing
from darac_tf.search.query import Query, find_similar
from darac_tf.search.updating import forget, update

__all__ = [
    "ExportedDescriber",
    "IndexFolder",
    "Query",
    "find_similar",
    "forget",
    "update",
    "writing",
]
