"""The one error type that is shown to a user as a single line, and a check for developers."""


class UserError(ValueError):
    """Something the user can put right: a wrong flag, a missing file, a bad image.

    The message is one line that names the file or flag and says what to do. The scripts print it
    as `error: ...` and exit with status 1 (`darac_tf.cli`); library callers see a `ValueError`.
    """

    def __str__(self):
        return printable(super().__str__())  # Names of files may hold anything.


def printable(text):
    """Text as UTF-8 can hold it: what can't be shown, or commands a terminal, as escapes.

    So are the lone surrogates that bytes of file names are which are not UTF-8.

    >>> printable("caf\\udce9\\n")
    'caf\\\\udce9\\\\n'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def listing(texts, most=20):
    """Printable texts one a line, and how many there are beyond the first `most`.

    >>> print(listing(["a", "b", "c"], most=2))
    a
    b
    ... and 1 more
    """
    more = [f"... and {len(texts) - most} more"] if len(texts) > most else []
    return "\n".join([*map(printable, texts[:most]), *more])


def check_choice(name, value, choices):
    """Raises `ValueError` if an argument of a layer or a loss is not one of `choices`."""
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {', '.join(choices)}. Received: {name}={value!r}"
        )
