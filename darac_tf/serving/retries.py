"""Asking again after failures that pass: which they are, how often, and how long in between."""

import dataclasses
import random
import time

from darac_tf.errors import UserError


class ServerError(UserError):
    """A request that failed for good.

    Attributes:
        code: What the server called it, such as `"INVALID_ARGUMENT"` or `"HTTP 400"`; None where
            the answer itself was wrong.
    """

    def __init__(self, message, code=None):
        super().__init__(message)
        self.code = code


class TransientError(Exception):
    """A failure that may pass: the server is down, busy or slow.

    Attributes:
        code: Such as `"UNAVAILABLE"` or `"HTTP 503"`.
    """

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True)
class Retries:
    """How often to ask again, and how long to wait in between.

    The wait before the n-th repetition is drawn evenly from half to the whole of
    `first_delay * factor^(n - 1)`, at most `longest_delay`: clients that failed together do not
    come back together.

    Attributes:
        attempts: How often a request is sent at most, 1 or more.
        first_delay: Seconds.
        factor: By which the wait grows, 1 or more.
        longest_delay: Seconds.
    """

    attempts: int = 5
    first_delay: float = 0.2
    factor: float = 2.0
    longest_delay: float = 10.0

    def __post_init__(self):
        if self.attempts < 1 or self.first_delay < 0 or self.factor < 1 or self.longest_delay < 0:
            raise ValueError(f"attempts and factor are at least 1, waits 0. Received: {self}")

    def delay(self, failures, share):
        """Seconds to wait after so many failures.

        Args:
            failures: 1 after the first failure.
            share: In [0, 1), the random part.
        """
        # Of large exponents only the limit matters, and they would leave the range of floats.
        grown = self.first_delay * self.factor ** min(failures - 1, 60)
        return min(grown, self.longest_delay) * (0.5 + 0.5 * share)

    def call(self, function, where, sleep=time.sleep, draw=random.random):
        """Calls a function until it succeeds, fails for good, or has had its attempts.

        Args:
            function: Called without arguments; raises `TransientError` where it is worthwhile to
                call it again.
            where: The server, for the message.
            sleep: Waits for a number of seconds.
            draw: Gives a number in [0, 1).

        Returns:
            What the function returns.

        Raises:
            ServerError: After the last attempt.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                return function()
            except TransientError as error:
                if attempt == self.attempts:
                    times = "once" if attempt == 1 else f"{attempt} times"
                    raise ServerError(
                        f"{where} did not answer, asked {times}: {error.code}: {error}; check "
                        "that it runs, or raise --timeout_s or --attempts",
                        error.code,
                    ) from error
            sleep(self.delay(attempt, draw()))
        return None  # not reached: the last attempt returns or raises
