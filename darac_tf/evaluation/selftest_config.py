"""Everything a self-test depends on but the photographs."""

from dataclasses import dataclass

from darac_tf.settings import check_settings, setting

FEWEST = 10  # Photographs that can be read.


@dataclass(frozen=True)
class SelftestConfig:
    """Settings of a self-test; what is not said here is as of `EvalConfig`."""

    descriptors: list[str] = setting(
        [f"EfficientNetLite2+{pooling}" for pooling in ("spoc", "mac", "gem", "rmac", "ramac")],
        "Run directories, .keras files, or BACKBONE+POOLING.",
    )
    backbone_weights: str | None = setting(None, "Of keras.applications: imagenet, none, a file.")
    resolutions: list[str] = setting(
        ["299"], "Sizes that are combined; repeat for more rows.", is_repeated=True
    )
    copies: int = setting(100, "Photographs that are copied, at most.", low=FEWEST)
    among: int | None = setting(None, "Search this many; default: all.", low=FEWEST)
    seed: int = setting(0, "Of the choice of photographs, and of what is done to them.", low=0)
    out: str | None = setting(None, "Folder of the report; default: print the table only.")

    def __post_init__(self):
        """Raises `UserError` naming the first flag that can't be."""
        check_settings(self)
