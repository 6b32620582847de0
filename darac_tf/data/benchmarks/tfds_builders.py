"""TensorFlow Datasets builders of the benchmarks, from folders that a user has filled.

Importing this module registers them:

    import tensorflow_datasets as tfds
    import darac_tf.data.benchmarks.tfds_builders

    database = tfds.load("darac_oxford5k", split="database")

Nothing is downloaded: put each benchmark's files into `<manual_dir>/<kind>`, such as
`~/tensorflow_datasets/downloads/manual/oxford5k`; `MANUAL_DOWNLOAD_INSTRUCTIONS` says which.

Splits are `database` and `queries`, in the order of the ground truth. Images are stored whole and
as they are. Each example has

- `image`: uint8 `(height, width, 3)`; `name`: the file name without its ending;
- `index`: its row in its split;
- `bbox`: float32 `xmin, ymin, xmax, ymax` in pixels, the part of a query to look at; NaN for
  the whole image;
- `own_row`: of a query, the row of its own image in the database, or -1;
- of a query, the rows in the database of its `positives` and `junk`, or `easy`, `hard` and `junk`,
  as the protocol has them; empty for database images.
"""

from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from darac_tf.data.benchmarks import BENCHMARKS, load_benchmark
from darac_tf.data.benchmarks.published import PUBLISHED
from darac_tf.metrics import PROTOCOLS


class _Benchmark:
    """What the builders share; a mix-in, so that it isn't registered as a data set."""

    VERSION = tfds.core.Version("1.0.0")
    KIND = ""
    # Where TFDS looks for checksums of downloads, of which there are none here. Its own search
    # fails without the package importlib_resources, which TFDS 4.9.10 forgets to require
    # (github.com/tensorflow/datasets/issues/11212).
    code_path = None

    def _info(self):
        published = PUBLISHED[self.KIND]
        row = tfds.features.Scalar(np.int64)
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "name": tfds.features.Text(),
            "index": row,
            "bbox": tfds.features.Tensor(shape=(4,), dtype=np.float32),
            "own_row": row,
            **dict.fromkeys(PROTOCOLS[published.protocol].lists, tfds.features.Sequence(row)),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{published.title}, an image retrieval benchmark.",
            features=tfds.features.FeaturesDict(features),
            citation=published.paper,
            # Relevance lists are rows, so the order must stay.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        benchmark = load_benchmark(self.KIND, Path(dl_manager.manual_dir) / self.KIND)
        return {
            "database": self._generate_examples(benchmark, benchmark.database, False),
            "queries": self._generate_examples(benchmark, benchmark.queries, True),
        }

    def _generate_examples(self, benchmark, images, are_queries):
        for row, path in enumerate(images.paths):
            box = images.box_of(row)
            own = are_queries and benchmark.own_rows is not None
            example = {
                "image": str(path),
                "name": Path(path).stem,
                "index": row,
                "bbox": np.float32([np.nan] * 4 if box is None else box),
                "own_row": int(benchmark.own_rows[row]) if own else -1,
            }
            for kind, lists in benchmark.relevance.items():
                example[kind] = lists[row].tolist() if are_queries else []
            yield row, example


# Making the class registers it with TFDS, under its name in snake case: `darac_oxford5k`.
for _kind in BENCHMARKS:
    _title, _where = PUBLISHED[_kind].title, f"<manual_dir>/{_kind}"
    _lines = [f"Put the files of {_title} into {_where}:", *PUBLISHED[_kind].sources]
    _fields = {"__module__": __name__, "__doc__": f"{_title}.", "KIND": _kind}
    _fields["MANUAL_DOWNLOAD_INSTRUCTIONS"] = "\n".join(_lines)
    type(f"Darac{_kind.capitalize()}", (_Benchmark, tfds.core.GeneratorBasedBuilder), _fields)
