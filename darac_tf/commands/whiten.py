"""Whitens described parts, by a PCA that is learned from them or by a whitening file.

    darac whiten --parts=PARTS --dim=512 --out=WHITENED
    darac whiten --parts=PARTS --whitening=FILE.npz --out=WHITENED

Nothing is described again. The whitening is kept with the parts, and `darac query` applies it to
its queries. An interrupted command goes on where it stopped when it is given again.
"""

from pathlib import Path

from absl import flags

from darac_tf import cli
from darac_tf.errors import UserError


def main(arguments):
    values = flags.FlagValues()
    flags.DEFINE_string("parts", None, "Folder of parts.", values, required=True)
    flags.DEFINE_string("out", None, "Folder for the whitened parts.", values, required=True)
    flags.DEFINE_integer("dim", None, "Dimensions to keep of a PCA; default: all.", 1, None, values)
    text = "Of the PCA: auto, or a number in [0, 1]."
    flags.DEFINE_string("whiten_shrinkage", "0", text, values)
    flags.DEFINE_string("whitening", None, "File to apply, instead of learning one.", values)
    cli.parse_command(arguments, values, __doc__)
    if values.whitening and not (
        values["dim"].using_default_value and values["whiten_shrinkage"].using_default_value
    ):
        raise UserError("--dim and --whiten_shrinkage are for learning, without --whitening")
    cli.start_tensorflow()
    _whiten(values)


def _whiten(values):
    from tqdm import tqdm

    from darac_tf.parts.part_files import Parts
    from darac_tf.parts.whitened import WHITENING_FILE, learn_whitening, whiten_parts
    from darac_tf.whitening import load_whitening, parse_shrinkage

    parts, kept = Parts.open(values.parts), Path(values.out) / WHITENING_FILE
    shrinkage = parse_shrinkage(values.whiten_shrinkage)
    if values.whitening:
        whitening = load_whitening(values.whitening)
    elif kept.exists():
        # Of an earlier run that was interrupted: what it was learned from is in its fingerprint.
        whitening = load_whitening(kept)
        own = len(whitening.projection), whitening.provenance.get("shrinkage")
        if values.dim not in (None, own[0]) or shrinkage not in ("auto", own[1]):
            begun = f"{own[0]} dimensions and a shrinkage of {own[1]}"
            raise UserError(f"--out={values.out} was begun with {begun}: name another folder")
    else:
        whitening = learn_whitening(parts, values.dim, shrinkage)
    with tqdm(total=len(parts), desc="whiten", unit=" parts") as bar:
        whiten_parts(parts, whitening, values.out, bar.update)
    print(f"{values.out}: {parts.rows} x {len(whitening.projection)}")
