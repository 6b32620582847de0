"""The one error type that is shown to a user as a single line."""


class UserError(ValueError):
    """Something the user can put right: a wrong flag, a missing file, a bad image.

    The message is one line that names the file or flag and says what to do. The scripts print it
    as `error: ...` and exit with status 1 (`darac_tf.cli`); library callers see a `ValueError`.
    """
