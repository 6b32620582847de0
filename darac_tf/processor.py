"""What the processor computes in hardware."""

from pathlib import Path

from absl import logging

_FACTS = Path("/proc/cpuinfo")
# One of them, with which oneDNN computes in bfloat16 and TensorFlow leaves convolutions to it; on
# others TensorFlow widens each number by itself.
_BFLOAT16 = {"avx512f", "avx_ne_convert"}


def has_bfloat16(facts=_FACTS):
    """Whether TensorFlow's convolutions gain by bfloat16 here: on a GPU, or by the processor.

    `facts` is a file like Linux's /proc/cpuinfo. True where it is none, as nothing is known then.
    """
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU") or not facts.exists():
        return True
    lines = facts.read_text(encoding="utf-8").splitlines()
    flags = [line.partition(":")[2].split() for line in lines if line.startswith("flags")]
    return not flags or bool(_BFLOAT16 & set(flags[0]))


def warn_of_software(precision):
    """Says so where `precision`, as of `--precision`, is one that is computed in software here."""
    if "bfloat16" in precision and not has_bfloat16():
        logging.warning(
            "--precision=%s: this processor computes bfloat16 in software, which takes longer than "
            "float32",
            precision,
        )
