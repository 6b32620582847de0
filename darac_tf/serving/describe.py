"""Describes images through a server, into a file that eval.py reads.

    python -m darac_tf.serving.describe --images=photos --server=127.0.0.1:8500 --out=photos.npz
    python eval.py --descriptors=photos.npz --dataset=folder --data_dir=photos

An interrupted command goes on where it stopped when it is given again.
"""

from pathlib import Path

from absl import flags

from darac_tf import cli
from darac_tf.describing.feature_file import SUFFIX
from darac_tf.errors import UserError
from darac_tf.serving.client import PROTOCOLS, connect
from darac_tf.serving.describing import describe_files, find_images
from darac_tf.serving.retries import Retries

_FLAGS = flags.FLAGS
_SIGNATURE = "robust"


def _define_flags():
    flags.DEFINE_string("images", None, "Folder with images at any depth, or CSV.", required=True)
    flags.DEFINE_string("out", None, "File to write (.npz).", required=True)
    flags.DEFINE_string("server", "127.0.0.1:8500", "HOST:PORT; REST is usually at 8501.")
    flags.DEFINE_enum("protocol", "grpc", PROTOCOLS, "How to talk to the server.")
    flags.DEFINE_string("model", "darac", "Name of the model on the server.")
    flags.DEFINE_integer("version", None, "Of the model; default: the newest that is available.")
    flags.DEFINE_integer("batch_size", 16, "Most images in a request.", lower_bound=1)
    flags.DEFINE_integer("batch_bytes", 8 << 20, "Most bytes of a request.", lower_bound=1)
    flags.DEFINE_integer("message_bytes", 64 << 20, "Most bytes of an image.", lower_bound=1)
    flags.DEFINE_integer("in_flight", 4, "Requests at a time.", 1, 64)
    flags.DEFINE_float("timeout_s", 60, "Seconds for one attempt.", lower_bound=0.001)
    flags.DEFINE_integer("attempts", 5, "How often a request is sent at most.", lower_bound=1)
    flags.DEFINE_float("wait_s", 0, "Wait so long for a server that is starting.", lower_bound=0)


def _check_sizes(paths):
    for path in paths:
        size = Path(path).stat().st_size if Path(path).exists() else 0
        if size > _FLAGS.message_bytes:
            raise UserError(
                f"{path} has {size} bytes, and a request holds {_FLAGS.message_bytes}: leave it "
                "out, or raise --message_bytes"
            )


def main():
    if not _FLAGS.out.endswith(SUFFIX):
        raise UserError(f"--out={_FLAGS.out} must end in {SUFFIX}")
    paths = find_images(_FLAGS.images)
    _check_sizes(paths)
    limits = (_FLAGS.batch_size, min(_FLAGS.batch_bytes, _FLAGS.message_bytes))
    client = connect(
        _FLAGS.server,
        _FLAGS.protocol,
        _FLAGS.model,
        _FLAGS.timeout_s,
        _FLAGS.message_bytes,
        signature=_SIGNATURE,
        in_flight=_FLAGS.in_flight,
        retries=Retries(_FLAGS.attempts),
    )
    with client:
        if _FLAGS.wait_s:
            client.wait_until_ready(_FLAGS.wait_s)
        # One version for all requests: a new one may come while they are under way.
        wanted = _FLAGS.version
        client.version = client.newest_version() if wanted is None else wanted
        made_from = {"model": _FLAGS.model, "version": client.version, "signature": _SIGNATURE}
        file = describe_files(client, paths, _FLAGS.out, made_from, limits)
    for path in file.paths[~file.valid]:
        print(f"{path}: cannot be decoded; it has no vector")
    count, dimension = file.vectors.shape
    print(f"{_FLAGS.out}: {count} images, {dimension} dimensions, {(~file.valid).sum()} bad")


if __name__ == "__main__":
    _define_flags()
    cli.run(main)
