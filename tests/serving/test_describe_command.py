"""The command that describes images through a server, and eval.py's score of its file."""

import json
from pathlib import Path

import numpy as np
import pytest

from darac_tf.data.content_keys import keys_of_images
from darac_tf.data.labelled import image_files
from darac_tf.describing.feature_file import FeatureFile, load_feature_file
from tests.serving.servicer import serving


def test_the_command_and_eval(run_command, small_model, photos, tmp_path):
    out = tmp_path / "a.npz"
    with serving(small_model) as server:
        status, output, last = run_command(
            "darac_tf.serving.describe",
            f"--images={photos}",
            f"--server={server.rest}",
            "--protocol=rest",
            f"--out={out}",
        )
    assert status == 0, last
    assert f"{out}: 14 images, 48 dimensions, 1 bad" in output and "bad.jpg: cannot" in output
    # Without the copy: which of two equal images comes first is a matter of rounding.
    paths = [path for path in image_files("--images", photos) if not path.endswith("copy.jpg")]
    listing = tmp_path / "some.csv"
    listing.write_text("path,label\n" + "".join(f"{p},{Path(p).parent.name}\n" for p in paths))
    status, output, last = run_command(
        "eval.py",
        f"--descriptors={out}",
        "--dataset=csv",
        f"--data_dir={listing}",
        "--skip_bad_images",
        "--pictured_queries=0",
        "--page_queries=0",
        f"--out={tmp_path / 'report'}",
    )
    assert status == 0, last
    (result,) = json.loads((tmp_path / "report" / "report.json").read_text())["results"]
    assert result["scores"]["mAP (plain)"] == pytest.approx(
        plain_map(load_feature_file(out), paths)
    )
    assert "version 2, through a server" in output and len(result["skipped"]) == 1
    lines = output.splitlines()
    assert lines[-2] == "- 1 images could not be read and are ranked last:"
    assert "bad.jpg: cannot be decoded" in lines[-1]


def plain_map(file, paths):
    """Leave-one-out mAP as a plain loop; a bad image is last, and a bad query scores 0."""
    rows = [file.paths.tolist().index(path) for path in paths]
    vectors, valid = file.vectors[rows].astype(np.float64), file.valid[rows]
    classes = [Path(path).parent.name for path in paths]
    scores = []
    for query in range(len(paths)):
        close = vectors @ vectors[query]
        others = [i for i in range(len(paths)) if i != query]
        others.sort(key=lambda i: (not valid[i], -close[i]))
        hits = [classes[i] == classes[query] for i in others]
        found = [sum(hits[: r + 1]) / (r + 1) for r, hit in enumerate(hits) if hit]
        scores.append(np.mean(found) if valid[query] else 0.0)
    return np.mean(scores)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out": "a.txt"}, "must end in .npz"),
        ({"message_bytes": "10"}, "raise --message_bytes"),
        ({"attempts": "1", "server": "127.0.0.1:1"}, "asked once: UNAVAILABLE"),
        ({"attempts": "9"}, "gRPC sends a request 5 times at most"),
        ({"header": "no colon"}, "--header=no colon: give NAME: VALUE"),
        ({"ca_certificate": "missing.pem"}, "--ca_certificate=missing.pem: No such file"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_mistake_is_one_line(run_command, photos, tmp_path, changes, message):
    flags = {"images": photos, "out": tmp_path / "a.npz"} | changes
    command = [f"--{name}={value}" for name, value in flags.items()]
    status, output, last = run_command("darac_tf.serving.describe", *command)
    assert status != 0 and output == ""
    assert last.startswith("error: ") and message in last


def test_resolutions_are_not_for_files(run_command, photos, tmp_path):
    paths = image_files("--images", photos)[:2]
    arrays = (np.eye(2, dtype=np.float32), np.ones(2, bool), keys_of_images(paths), {})
    FeatureFile(np.array(paths), *arrays).save(tmp_path / "a.npz")
    command = [f"--descriptors={tmp_path / 'a.npz'}", f"--data_dir={photos}"]
    status, _, last = run_command("eval.py", *command, "--resolutions=32")
    assert status != 0 and last.startswith("error: --resolutions is for")
    status, _, last = run_command("eval.py", *command)
    assert status != 0 and "no vector of" in last
