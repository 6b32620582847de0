"""Converts a model that others have published to a run directory.

    darac convert rSfM120k-tl-resnet101-gem-w.pth --out=runs/gem-published

FILE is of cnnimageretrieval-pytorch (GeM), deep-image-retrieval (DIR, AP-GeM) or torchvision
(ResNet 50, 101 and 152), or a checkpoint of TF-Slim's resnet_v2_50. It is read without PyTorch, and
nothing in it is run. eval.py, train.py (--backbone=RUN), export and index take the run directory.
"""

from pathlib import Path

from absl import flags

from darac_tf import cli
from darac_tf.choices import POOLINGS
from darac_tf.errors import UserError


def main(arguments):
    values = flags.FlagValues()
    flags.DEFINE_string("out", None, "The run directory to write.", values, required=True)
    text = "Of networks that are published without one."
    flags.DEFINE_enum("pooling", "darac", POOLINGS, text, values)
    files = cli.parse_command(arguments, values, __doc__, "file")
    if len(files) > 1:
        raise UserError(f"name one file; the second is {files[1]!r}")
    cli.start_tensorflow()
    from darac_tf.published.convert import convert

    published = convert(files[0], values.out, values.pooling)
    dimension = published.descriptor.output_shape[-1]
    facts = ", ".join(f"{n}={v}" for n, v in published.facts.items() if v is not None)
    print(f"{values.out}: {dimension} dimensions ({published.layout}: {facts})")
    for path in sorted(Path(values.out).glob("*.npz")):
        print(f"{path}: for --whitening of eval.py and darac export")
    if published.system:
        print(f"eval.py --system={published.system} measures it as its authors do")
