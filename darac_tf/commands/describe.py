"""Describes images with an exported model, into files that other tools read.

    darac describe PHOTOS [FOLDER ...] --out=vectors
    darac describe PHOTOS --model=EXPORT/1 --out=vectors.npz

--out gets img_emb/img_emb_0.npy and metadata/metadata_0.parquet, as clip-retrieval and autofaiss
read them, or, where it ends in .npz, a file for darac eval, which finds images by their content.
An interrupted command goes on where it stopped when it is given again.

    darac manifest PHOTOS --out=M.parquet
    darac describe --manifest=M.parquet --model=EXPORT/1 --out=PARTS [--part=i/n] [--engine=ray]
    darac describe --verify PARTS

Of a manifest, --out gets Parquet files of --part_rows images each, made by one process, by an array
of jobs with a --part each, or by workers of Ray (docs/scale.md). --verify counts their ids.
"""

import dataclasses
import functools
import os
import sys
from pathlib import Path

from absl import flags

from darac_tf import cli
from darac_tf.errors import UserError, listing
from darac_tf.parts.settings import PartSettings, RaySettings

_BATCH_BYTES = 64 << 20


def main(arguments):
    values = flags.FlagValues()
    text = "EXPORT/VERSION, hf://USER/NAME or BACKBONE+POOLING; default: as of `darac index`."
    flags.DEFINE_string("model", None, text, values)
    flags.DEFINE_string("out", None, "New folder, or .npz file; of parts, any folder.", values)
    flags.DEFINE_string("manifest", None, "File of ids and URIs, instead of folders.", values)
    flags.DEFINE_string("part", None, "i/n: this share of the parts, i from 1 to n.", values)
    flags.DEFINE_enum("engine", "local", ["local", "ray"], "Who describes a manifest.", values)
    flags.DEFINE_bool("verify", False, "Counts the ids of a folder of parts.", values)
    cli.define_flags(PartSettings, values)
    cli.define_flags(RaySettings, values)
    given = cli.parse_command(
        arguments, values, __doc__, "folder of images, or CSV file", instead="manifest"
    )
    if values.verify:
        cli.start_tensorflow()
        return _verify(values, given)
    _check(values, given)
    cli.start_tensorflow()
    return _describe_parts(values) if values.manifest else _describe(values, given)


def _check(values, folders):
    """Refuses what says nothing together with the other flags."""
    if not values.out:
        raise UserError("--out: name where the vectors go")
    if values.manifest and folders:
        raise UserError(f"--manifest is given instead of {folders[0]}: name one of them")
    of_manifest = [f.name for f in dataclasses.fields(PartSettings)][2:]
    of_ray = [f.name for f in dataclasses.fields(RaySettings)]
    for names, is_meant, what in (
        (["part", "engine", *of_manifest], bool(values.manifest), "--manifest"),
        (of_ray, values.engine == "ray", "--engine=ray"),
    ):
        for name in names:
            if values[name].present and not is_meant:
                raise UserError(f"--{name} is for {what}")


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


def _describe_parts(values):
    import tensorflow as tf

    from darac_tf.parts import ray_engine, run
    from darac_tf.parts.describer import PartDescriber
    from darac_tf.search.exported_model import ExportedModel
    from darac_tf.search.untrained import DEFAULT_MODEL, folder_of_model

    settings = cli.settings_of_flags(PartSettings, values)
    ray_settings = cli.settings_of_flags(RaySettings, values)
    if is_ray := values.engine == "ray":
        tf.config.set_visible_devices([], "GPU")  # They are the workers'.
    model = Path(folder_of_model(values.model or DEFAULT_MODEL)).absolute()
    load = functools.partial(ExportedModel, model)
    out = Path(values.out).absolute()
    describer = PartDescriber(load(), values.manifest, out, settings)
    layout, manifest = describer.layout, describer.manifest
    share = run.share_of(values.part, len(layout))
    run.begin(out, manifest, layout)
    if is_ray:
        done = ray_engine.run_on_ray(
            load, layout, manifest.path, out, share, settings, ray_settings
        )
    else:
        done = run.run_here(describer, out, share)
    print(
        f"{values.out}: {done.images} images, {layout.dim} dimensions, {done.dead} bad, in "
        f"{done.parts - done.found} parts; {done.found} were there"
    )


def _verify(values, folders):
    from darac_tf.parts.verification import verify

    if not folders:
        raise UserError("--verify: name a folder of parts")
    for folder in folders:
        found = verify(folder, values.manifest)
        if found.faults:
            print(listing(found.faults), file=sys.stderr)
            raise UserError(f"{folder}: {len(found.faults)} ids or parts are not there once")
        total = found.described + found.dead
        print(f"{folder}: {total} ids, each once: {found.described} described, {found.dead} bad")


def _by_model(model, batches):
    """Yields what the model gives for each batch; the next is read meanwhile."""
    from concurrent.futures import ThreadPoolExecutor

    from darac_tf.threads import look_ahead

    with ThreadPoolExecutor(1) as pool:
        yield from look_ahead(pool, model, batches, 1)
