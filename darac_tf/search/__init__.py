"""Search in a user's own collection with an exported model.

`darac index PHOTOS --model=EXPORT/1 --index=FOLDER` describes what is new or
changed, `... query IMAGE --index=FOLDER` finds the images most like one.
"""

from darac_tf.search.exported_model import ExportedModel
from darac_tf.search.index import Index, writing
from darac_tf.search.query import Query, find_similar
from darac_tf.search.updates import forget, update

__all__ = ["ExportedModel", "Index", "Query", "find_similar", "forget", "update", "writing"]
