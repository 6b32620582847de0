"""Numbered versions of a model: `OUT/1`, `OUT/2`; TensorFlow Serving serves the largest number."""

from pathlib import Path

from darac_tf.errors import UserError


def version_folder(out, version=None):
    """Where a new version is written.

    Args:
        out: Folder of the versions; it need not exist.
        version: Positive integer; None for one more than the largest there, or 1.

    Returns:
        `pathlib.Path` that does not exist.

    Raises:
        UserError: If the version exists, or `out` is itself a version.
    """
    out = Path(out)
    if (out / "saved_model.pb").exists():
        raise UserError(
            f"--out: {out} is one exported model; name the folder that holds the versions, such as "
            f"{out.parent}"
        )
    if version is None:
        names = (path.name for path in out.iterdir()) if out.is_dir() else ()
        version = max((int(name) for name in names if name.isdecimal()), default=0) + 1
    folder = out / str(version)
    if folder.exists():
        raise UserError(
            f"--version: {folder} exists, and a version never changes: leave --version out for the "
            "next number, or name another"
        )
    return folder
