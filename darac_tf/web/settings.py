"""Limits of the search page, as the flags of `darac web` give them."""

from dataclasses import dataclass

from darac_tf.settings import check_settings, setting


@dataclass(frozen=True)
class WebSettings:
    """What is refused, so that nobody can take all memory.

    Raises:
        UserError: If a value is out of its bounds.
    """

    max_upload_mb: int = setting(32, "Pictures of more megabytes are refused.", low=1)
    max_megapixels: int = setting(100, "Pictures of more million pixels are refused.", low=1)
    max_requests: int = setting(64, "Requests that are answered at a time.", low=1)

    def __post_init__(self):
        check_settings(self)
