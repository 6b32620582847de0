"""What describing in parts is told, without TensorFlow."""

from dataclasses import dataclass

from darac_tf.settings import check_settings, setting

DTYPES = ("float32", "float16")
# PyArrow begins a new page of a column after so many rows.
MOST_PART_ROWS = 20_000


@dataclass(frozen=True)
class PartSettings:
    """How images of a manifest are fetched and described."""

    dtype: str = setting("float32", "Of the vectors in a folder.", choices=DTYPES)
    batch_images: int = setting(32, "Most images described at once.", low=1)
    part_rows: int = setting(8192, "Images of a part.", low=1, high=MOST_PART_ROWS)
    threads: int = setting(16, "Files that a process fetches at once.", low=1)
    timeout: float = setting(30.0, "Seconds for one attempt to fetch a file.", above=0)
    retries: int = setting(2, "Attempts after the first.", low=0)
    max_bad: float = setting(
        0.5, "Larger share of bad images: the part is not written.", low=0, high=1
    )

    def __post_init__(self):
        check_settings(self)


@dataclass(frozen=True)
class RaySettings:
    """Where actors run, and what each has."""

    address: str | None = setting(None, "Of Ray, HOST:PORT or auto; default: starts Ray here.")
    workers: int | None = setting(None, "Actors; default: as many as Ray has room for.", low=1)
    worker_cpus: float = setting(1.0, "Processors of each actor.", above=0)
    worker_gpus: float = setting(0.0, "GPUs of each actor; may be a part of one.", low=0)

    def __post_init__(self):
        check_settings(self)
