"""Describes images with an exported model, into files that other tools read.

    darac describe PHOTOS [FOLDER ...] --out=vectors
    darac describe PHOTOS --model=EXPORT/1 --out=vectors.npz

--out gets img_emb/img_emb_0.npy and metadata/metadata_0.parquet, as clip-retrieval and autofaiss
read them, or, where it ends in .npz, a file for darac eval, which finds images by their content.
An interrupted command goes on where it stopped when it is given again.
"""

import functools
import os
import sys
from pathlib import Path

from absl import flags

from darac_tf import cli
from darac_tf.errors import UserError, listing

_BATCH_BYTES = 64 << 20


def main(arguments):
    values = flags.FlagValues()
    text = "EXPORT/VERSION or BACKBONE+POOLING; default: as of `darac index`."
    flags.DEFINE_string("model", None, text, values)
    flags.DEFINE_string("out", None, "New folder, or .npz file.", values, required=True)
    dtypes = ["float32", "float16"]
    flags.DEFINE_enum("dtype", "float32", dtypes, "Of the vectors in a folder.", values)
    flags.DEFINE_integer("batch_images", 32, "Most images described at once.", 1, None, values)
    folders = cli.parse_command(arguments, values, __doc__, "folder of images, or CSV file")
    cli.start_tensorflow()
    _describe(values, folders)


def _describe(values, folders):
    import numpy as np

    from darac_tf.data.labelled import image_files
    from darac_tf.describing.contents import describe_contents
    from darac_tf.describing.feature_file import SUFFIX, FeatureFile
    from darac_tf.describing.vector_files import write_folder
    from darac_tf.files import check_target, remove
    from darac_tf.parquet import load_parquet
    from darac_tf.search.exported_model import ExportedModel
    from darac_tf.search.untrained import DEFAULT_MODEL, folder_of_model
    from darac_tf.serving.client import split_images

    out = Path(values.out)
    if is_file := out.suffix == SUFFIX:
        if values.dtype != "float32":
            raise UserError(f"--dtype={values.dtype} is for a folder: {SUFFIX} files hold float32")
    else:
        load_parquet(out)
    check_target(out)
    found = (path for folder in folders for path in image_files("FOLDER", folder))
    paths = list(dict.fromkeys(map(os.path.abspath, found)))
    model = ExportedModel(folder_of_model(values.model or DEFAULT_MODEL))
    facts = {"model": model.fingerprint}
    facts["orientation"] = "upright" if model.is_upright else "stored"
    kept = out.with_name(f"{out.name}.partial")
    split = functools.partial(
        split_images, batch_size=values.batch_images, batch_bytes=_BATCH_BYTES
    )
    each = functools.partial(_by_model, model)
    vectors, valid, keys = describe_contents(each, paths, kept, facts, split)
    if is_file:
        facts["made_by"] = f"the exported model {model.folder}"
        FeatureFile(np.array(paths), vectors[:], valid, keys, facts).save(out)
    else:
        usable = np.flatnonzero(valid)
        write_folder(out, vectors.of(usable), [paths[row] for row in usable], values.dtype)
    remove(kept)
    if bad := [f"{paths[row]}: {model.no_image}" for row in np.flatnonzero(~valid)]:
        print(listing(bad), file=sys.stderr)
    print(f"{out}: {valid.sum()} images, {vectors.shape[1]} dimensions, {(~valid).sum()} bad")


def _by_model(model, batches):
    """Yields what the model gives for each batch; the next is read meanwhile."""
    from concurrent.futures import ThreadPoolExecutor

    from darac_tf.threads import look_ahead

    with ThreadPoolExecutor(1) as pool:
        yield from look_ahead(pool, model, batches, 1)
