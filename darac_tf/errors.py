"""The one error type that is shown to a user as a single line, and a check for developers."""


class UserError(ValueError):
    """Something the user can put right: a wrong flag, a missing file, a bad image.

    The message is one line that names the file or flag and says what to do. The scripts print it
    as `error: ...` and exit with status 1 (`darac_tf.cli`); library callers see a `ValueError`.
    """


def check_choice(name, value, choices):
    """Raises `ValueError` if an argument of a layer or a loss is not one of `choices`."""
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {', '.join(choices)}. Received: {name}={value!r}"
        )
