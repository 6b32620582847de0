"""PyArrow, which is not always installed, and takes memory only where it is used."""

from darac_tf.errors import UserError


def load_parquet(path):
    """The modules `pyarrow` and `pyarrow.parquet`; `UserError` that names a path without them."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UserError(f"{path}: Parquet needs PyArrow: pip install pyarrow") from error
    return pyarrow, pyarrow.parquet
