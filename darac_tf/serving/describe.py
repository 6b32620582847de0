"""Describes images through a server, into a file that eval.py reads.

    python -m darac_tf.serving.describe --images=photos --server=127.0.0.1:8500 --out=photos.npz
    python eval.py --descriptors=photos.npz --dataset=folder --data_dir=photos

An interrupted command goes on where it stopped when it is given again.
"""

import functools
import io
import shutil
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

from darac_tf import cli
from darac_tf.data.images import content_size, for_export
from darac_tf.data.labelled import image_files
from darac_tf.describing.contents import describe_contents
from darac_tf.describing.feature_file import SUFFIX, FeatureFile
from darac_tf.errors import UserError
from darac_tf.serving.client import PROTOCOLS, connect, split_images
from darac_tf.serving.transport import Access, Retries

_FLAGS = flags.FLAGS
_SIGNATURE = "robust"


def describe_files(client, paths, out, made_from, limits, progress=True):
    """Describes images by a server, and writes a feature file: `FeatureFile`.

    Vectors are kept in a folder beside `out` until the file is complete: an interrupted call goes
    on where it stopped. Images of the same content are sent once, a bad one once a call.

    Args:
        client: `Client` with the signature `"robust"` and a version of its own.
        paths: List of image files.
        out: The `.npz` file to write; one that is there is replaced.
        made_from: Dictionary of strings and integers that tell the vectors from others: model,
            version, signature. What was kept for others is refused.
        limits: `(images, bytes)` of a request at most.
        progress: Whether to show a progress bar.

    `UserError` if an image can't be read, no image can be decoded, or the server fails for good
    (`ServerError`).
    """
    is_upright = made_from.get("orientation") == "upright"
    split = functools.partial(split_images, batch_size=limits[0], batch_bytes=limits[1])

    def describe_each(batches):
        return client.describe_each([for_export(x, is_upright) for x in batch] for batch in batches)

    kept = f"{out}.partial"
    vectors, valid, keys = describe_contents(describe_each, paths, kept, made_from, split, progress)
    made_by = f"the model {made_from['model']}, version {made_from['version']}, through a server"
    file = FeatureFile(np.array(paths), vectors[:], valid, keys, {"made_by": made_by, **made_from})
    file.save(out)
    shutil.rmtree(kept)
    return file


def orientation_of_model(client):
    """How the model of a `Client` takes images, "upright" by Exif or "stored", by its own answer.

    A drawn image is described twice: as it lies with its Exif orientation, and upright.
    """
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = Image.linear_gradient("L").resize((96, 64))
    lying, files = upright.transpose(Image.Transpose.ROTATE_90), []
    for image, options in ((upright, {}), (lying, {"exif": exif})):
        file = io.BytesIO()
        image.save(file, "PNG", **options)
        files.append(file.getvalue())
    answer = client.describe(files)
    is_same = answer.valid.all() and np.allclose(*answer.vectors, atol=1e-5)
    return "upright" if is_same else "stored"


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
    flags.DEFINE_bool("tls", False, "Encrypt; any of the files does so too.")
    flags.DEFINE_string("ca_certificate", None, "PEM file of authorities that are trusted.")
    flags.DEFINE_string("client_certificate", None, "PEM file that shows who the client is.")
    flags.DEFINE_string("client_key", None, "PEM file of its private key.")
    flags.DEFINE_multi_string("header", [], "'NAME: VALUE', or @FILE of such lines, for a secret.")
    flags.DEFINE_string("user_agent", Access.user_agent, "What the client calls itself.")


def read_headers(texts):
    """Dictionary of `NAME: VALUE` texts and the lines of @FILEs."""
    lines = []
    for text in texts:
        try:
            is_file = text.startswith("@")
            lines += Path(text[1:]).read_text(encoding="utf-8").splitlines() if is_file else [text]
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--header={text}: can't read the file ({error}); check it") from error
    pairs = (line.partition(":") for line in lines if line.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


def main():
    if not _FLAGS.out.endswith(SUFFIX):
        raise UserError(f"--out={_FLAGS.out} must end in {SUFFIX}")
    paths = image_files("--images", _FLAGS.images)
    for path in paths:
        if (size := content_size(path)) > _FLAGS.message_bytes:
            raise UserError(
                f"{path} has {size} bytes, and a request holds {_FLAGS.message_bytes}: leave it "
                "out, or raise --message_bytes"
            )
    limits = (_FLAGS.batch_size, min(_FLAGS.batch_bytes, _FLAGS.message_bytes))
    names = ("tls", "ca_certificate", "client_certificate", "client_key", "user_agent")
    files = {name: _FLAGS[name].value for name in names}
    access = Access(headers=read_headers(_FLAGS.header), **files)
    how = {"retries": Retries(_FLAGS.attempts), "access": access, "signature": _SIGNATURE}
    names = ("server", "protocol", "model", "timeout_s", "message_bytes", "in_flight")
    with connect(**how, **{name: _FLAGS[name].value for name in names}) as client:
        if _FLAGS.wait_s:
            client.wait_until_ready(_FLAGS.wait_s)
        # One version for all requests: a new one may come while they are under way.
        wanted = _FLAGS.version
        client.version = client.newest_version() if wanted is None else wanted
        made_from = {"model": _FLAGS.model, "version": client.version, "signature": _SIGNATURE}
        made_from["orientation"] = orientation_of_model(client)
        file = describe_files(client, paths, _FLAGS.out, made_from, limits)
    for path in file.paths[~file.valid]:
        print(f"{path}: cannot be decoded; it has no vector")
    count, dimension = file.vectors.shape
    print(f"{_FLAGS.out}: {count} images, {dimension} dimensions, {(~file.valid).sum()} bad")


if __name__ == "__main__":
    _define_flags()
    cli.run(main)
