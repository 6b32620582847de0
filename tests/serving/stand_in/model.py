"""A SavedModel run as a server runs it: a session over its graph, signatures by name.

Neither darac_tf nor Keras takes part, and a request's failure is an error, never an exception that
ends the process.
"""

import numpy as np
import tensorflow as tf

from darac_tf.errors import UserError
from darac_tf.files import numbered


class LocalModel:
    """One version of a model; any number of threads may run it.

    Args:
        folder: The SavedModel's folder.
        threads: For TensorFlow's operations; 0 for its choice.

    Attributes:
        signatures: Dictionary of name to `SignatureDef`.

    Raises:
        UserError: If there is no SavedModel with the tag `serve`.
    """

    def __init__(self, folder, threads=0):
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads
        )
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        try:
            with self._session.graph.as_default():
                loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], str(folder))
        except (OSError, RuntimeError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{folder} is no SavedModel that can be served: {reason}") from error
        self.signatures = dict(loaded.signature_def)
        # A session's first run finalises its graph; from then on threads only read it.
        self._session.graph.finalize()

    def run(self, signature, inputs):
        """Runs a signature.

        Args:
            signature: Its name.
            inputs: Dictionary of input name to array.

        Returns:
            Dictionary of output name to array.

        Raises:
            tf.errors.OpError: If the inputs don't fit the signature (`InvalidArgumentError`), or it
                fails.
        """
        known = self.signatures.get(signature)
        if known is None:
            raise _invalid(f"there is no signature {signature!r}, only {sorted(self.signatures)}")
        if set(inputs) != set(known.inputs):
            raise _invalid(f"{signature!r} takes {sorted(known.inputs)}, not {sorted(inputs)}")
        for name, value in inputs.items():
            _check_type(name, value, known.inputs[name])
        feeds = {known.inputs[name].name: value for name, value in inputs.items()}
        fetches = {name: info.name for name, info in known.outputs.items()}
        try:
            return self._session.run(fetches, feeds)
        except (TypeError, ValueError) as error:
            # Of a wrong shape or type, which the session finds before it runs anything.
            raise _invalid(str(error)) from error

    def close(self):
        """Gives back the model's memory."""
        self._session.close()


def load_versions(base, only_newest=True, threads=0):
    """Loads `BASE/<number>/`, as TensorFlow Serving does.

    Args:
        base: Folder of the versions.
        only_newest: Whether to load the largest number alone.
        threads: See `LocalModel`.

    Returns:
        Dictionary of version to `LocalModel`.

    Raises:
        UserError: If there is no version, or one can't be loaded.
    """
    folders = numbered(base)
    if not folders:
        raise UserError(
            f"{base} has no version: it must hold a folder with a number as its name, as "
            "export_savedmodel.py --out writes it"
        )
    chosen = [max(folders)] if only_newest else folders
    return {number: LocalModel(folders[number], threads) for number in chosen}


def _check_type(name, value, info):
    # A session takes another type for its own failure, not for the caller's.
    wanted, given = tf.as_dtype(info.dtype), tf.as_dtype(np.asarray(value).dtype)
    if given != wanted:
        raise _invalid(f"input {name!r} must be {wanted.name}, not {given.name}")


def _invalid(message):
    return tf.errors.InvalidArgumentError(None, None, message)
