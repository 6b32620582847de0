"""Exports a descriptor as a version for TensorFlow Serving or OpenVINO.

    darac export --model=runs/photos --resolutions=299,540,1020 \
        --whitening=runs/photos/eval/04-photos-299-540-1020-whitened.npz --out=export/photos

writes export/photos/1/, and the next time export/photos/2/. Any TensorFlow loads it, without this
project. Signatures: serving_default, robust, pixels; docs/export.md says what each does.
--format=openvino writes a model from pixels to vectors, in int8 too, for OpenVINO and darac index.
"""

import shlex
import sys
from pathlib import Path

from absl import flags

from darac_tf import cli
from darac_tf.choices import (
    ANTIALIAS,
    COMBINATIONS,
    DEFAULT_MAX_PIXELS,
    EXACT,
    EXPORT_COMPUTES,
    EXPORT_FORMATS,
    EXPORT_PRECISIONS,
    SHAPES,
)


def main(arguments):
    values = flags.FlagValues()
    _define(values)
    cli.parse_command(arguments, values, __doc__)
    cli.start_tensorflow()
    _publish(values, shlex.join(["darac", "export", *arguments]))


def _define(values):
    flags.DEFINE_string(
        "model",
        None,
        "Run directory, .keras descriptor, hf://USER/NAME, or BACKBONE+POOLING.",
        values,
        True,
    )
    flags.DEFINE_string("out", None, "Folder of the versions.", values, True)
    flags.DEFINE_integer("version", None, "Number; the next free one by default.", 1, None, values)
    flags.DEFINE_string("name", None, "Name on the model card; that of --out by default.", values)
    flags.DEFINE_string(
        "resolutions", "299", "Long sides or factors: 299,540,1020 or 0.25..1.", values
    )
    flags.DEFINE_enum("shapes", EXACT, SHAPES, "Of resized images, as eval.py has them.", values)
    flags.DEFINE_enum("combination", "sum", COMBINATIONS, "How resolutions are combined.", values)
    flags.DEFINE_float("exponent", None, "Of the generalised mean.", 1, None, values)
    flags.DEFINE_string(
        "whitening",
        None,
        "A .npz of eval.py, fitted at the same resolutions, or a converted run with its own.",
        values,
    )
    flags.DEFINE_enum(
        "precision", "float32", EXPORT_PRECISIONS, "What weights are stored in.", values
    )
    flags.DEFINE_enum("format", "savedmodel", EXPORT_FORMATS, "What it is for.", values)
    flags.DEFINE_enum(
        "compute",
        "float32",
        EXPORT_COMPUTES,
        "What a SavedModel's convolutions compute in; bfloat16 for CPUs with AVX512_BF16 or AMX, "
        "and GPUs.",
        values,
    )
    flags.DEFINE_string(
        "calibration", None, "For int8: folder or CSV of photographs, as of training.", values
    )
    flags.DEFINE_integer("calibration_images", 300, "How many at most.", 1, None, values)
    flags.DEFINE_integer(
        "max_pixels",
        DEFAULT_MAX_PIXELS,
        "Images of more pixels are refused, from their header; the default is eval.py's limit.",
        1,
        None,
        values,
    )
    cli.define_orientation(values)
    flags.DEFINE_string(
        "verify", None, "Folder or CSV of images to compare with the source on.", values
    )
    flags.DEFINE_integer("verify_images", 100, "How many of them at most.", 1, None, values)
    flags.DEFINE_float(
        "verify_threshold",
        None,
        "Smallest cosine; below it nothing is written. Default: 0.99999, 0.999 with float16, 0.98 "
        "with bfloat16, 0.9 with int8.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "report", None, "report.json of eval.py, for the scores on the model card.", values
    )


def _publish(values, command):
    from darac_tf.data.labelled import spread_files
    from darac_tf.describing.calibration import read_calibration
    from darac_tf.describing.sizes import parse_sizes
    from darac_tf.export.model_card import CardFacts
    from darac_tf.export.publishing import ExportSettings, publish
    from darac_tf.models.descriptor import load_descriptor
    from darac_tf.processor import has_bfloat16
    from darac_tf.systems.published import whitening_file
    from darac_tf.whitening.files import load_whitening

    resolutions = parse_sizes(values.resolutions, ANTIALIAS, values.shapes)
    whitening = values.whitening and whitening_file(values.whitening, len(resolutions))
    settings = ExportSettings(
        resolutions,
        load_whitening(whitening) if whitening else None,
        values.combination,
        values.exponent,
        values.precision,
        values.max_pixels,
        values.orientation,
        values.format,
        values.calibration and read_calibration(values.calibration, values.calibration_images),
        values.compute,
    )
    name = values.name or Path(values.out).absolute().name
    facts = CardFacts(name, values.model, whitening, values.report, command)
    paths = spread_files("--verify", values.verify, values.verify_images) if values.verify else ()
    model = load_descriptor(values.model)
    if values.compute == "bfloat16" and not has_bfloat16():
        print(
            "this processor computes bfloat16 in software: slower than float32, and `darac index` "
            "refuses it here",
            file=sys.stderr,
        )
    published = publish(
        model, values.out, settings, facts, values.version, paths, values.verify_threshold
    )
    if published.verification:
        print(f"compared with {values.model}: {published.verification}")
    print(
        f"{published.folder}: {published.dimension} dimensions at "
        f"{','.join(map(str, resolutions))}, {values.precision}"
        f"{', computed in bfloat16' * (values.compute == 'bfloat16')}"
    )
