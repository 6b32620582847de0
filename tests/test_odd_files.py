"""Every command on folders of damaged images and of odd names: nothing but lines, and all named."""

import json
import os

import pytest

from tests.helpers import write_backbone, write_image
from tests.serving.mutations import mutations
from tests.serving.servicer import serving

pytestmark = pytest.mark.slow

WORDS = """
東京 Москва عربي ünïcödé e\u0301 👩\u200d🚀 \u202eleft \u200b a+gem a,b a=b -dash --flag=1 quote'
`tick` <b>&amp; a|b [*?] %20 #3 ~ \\udce9 a.. esc\x1b[2J csv:a @list $HOME CON {x} 50% ;& ?
"""
NAMES = [
    *('double"', "two  spaces", " leading", "tail ", "new\nline", "tab\t", "n" * 240, "名前" * 30),
    *(os.fsdecode(b"latin \xe9"), *WORDS.split()),
]
CLASSES = ["plain", "a+b", "c,d", "e f", "新\n名", os.fsdecode(b"\xe9t\xe9"), "=g", "'h\""]


def odd_names(folder):
    """Sound images of odd names in folders of odd names, and what is no image; paths of these."""
    for number, name in enumerate(CLASSES):
        base = 255 * (number % 2), 32 * number, 100
        for seed, image in enumerate(NAMES):
            write_image(folder / "x" / "small.jpg", 24, 32, 100 * number + seed, base)
            (folder / name).mkdir(exist_ok=True)
            (folder / "x" / "small.jpg").rename(folder / name / f"{image}.JPG")
    (folder / "x").rmdir()
    (folder / "plain" / ".hidden.jpg").write_bytes(b"nothing")
    bad = [folder / "plain" / f"{name}.jpg" for name in ("empty", "folder", "loop", "gone", "pipe")]
    bad[0].touch()
    bad[1].mkdir()
    bad[2].symlink_to(bad[2])
    bad[3].symlink_to("nowhere")
    os.mkfifo(bad[4])
    return bad


def damaged(folder):
    """2000 damaged images; None, as decoders say which of them can be read."""
    for number, (kind, data) in enumerate(mutations(2000)):
        path = folder / f"class {number % 8}" / f"{number} {kind}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return write_backbone(tmp_path_factory.mktemp("odd") / "small.keras")


@pytest.mark.parametrize("write", [odd_names, damaged])
def test_every_command(write, backbone, run_command, tmp_path):
    place = tmp_path / "a+b, c=d"
    photos = place / "photos"
    photos.mkdir(parents=True)
    expected = write(photos)

    def run(*command, fails=False):
        status, output, last = run_command(*command, folder=place)
        assert (status != 0) == fails, (command, output[-2000:], last)
        assert not fails or last.startswith("error: "), (command, last)
        return last if fails else output

    def train(run_dir, *more, fails=False):
        small = ("--image_size=32", "--classes_per_batch=2", "--images_per_class=2")
        flags = (f"--backbone={backbone}", "--pooling=gem", "--pooling_steps=2", "--val_every=1")
        command = (
            f"--run_dir={run_dir}",
            "--val_classes=3",
            "--steps=2",
            "--warmup_steps=0",
            *small,
            *flags,
            *more,
        )
        return run("train.py", *command, fails=fails)

    def evaluate(name, *more):
        run("eval.py", "--skip_bad_images", "--pictured_queries=20", f"--out={name}", *more)
        report = json.loads((place / name / "report.json").read_text(encoding="utf-8"))
        assert (place / name / "report.md").read_text(encoding="utf-8")
        return report["results"][0]

    train("run, 1", "--data_dir=photos", "--dataset=folder", fails=True)
    train("run, 1", "--data_dir=photos", "--dataset=folder", "--skip_bad_images")
    sizes = ("--resolutions=32", "--page_queries=12")
    result = evaluate("a", "--descriptors=run, 1", "--data_dir=photos", *sizes)
    skipped = {image["path"] for image in result["skipped"]}
    if expected:
        assert skipped == set(map(str, [path.relative_to(place) for path in expected]))
    whitening = ("--whiten_dataset=csv", "--whiten_data_dir=run, 1/train.csv", "--whiten_dim=2")
    # Damaged images come from few, so that some of both lists are equal, which is refused.
    whitening += ("--allow_whiten_on_test",)
    listed = ("--dataset=csv", "--data_dir=run, 1/val.csv", *whitening)
    assert not evaluate("b", f"--descriptors={backbone}+gem,run, 1", *listed, *sizes)["skipped"]
    run("eval.py", "--compare=a/report.json,a/report.json")

    run("prepare.py", "--data_dir=photos", "--out=prepared", "--size=16")
    report = json.loads((place / "prepared" / "report.json").read_text(encoding="utf-8"))
    dropped = {image["path"] for image in report["dropped"]}
    # A header may announce another size, which only shows when an image is described.
    assert dropped <= skipped and (dropped == skipped or not expected)
    train("prepared run", "--dataset=prepared", "--data_dir=prepared")

    run("export_savedmodel.py", "--model=run, 1", "--resolutions=32", "--out=export")
    search, index = "darac_tf.commands", "--index=in dex"
    output = run(search, "index", "photos", "--model=export/1", index)
    counts = output.splitlines()[0]
    # Folders are no images there, and pipes and links that lead nowhere are.
    assert abs(int(counts.split(", ")[-1].split()[0]) - len(skipped)) <= 1, counts
    files = (path.relative_to(place) for path in sorted(photos.glob("*/[!.]*")))
    known = [path for path in files if str(path) not in skipped]
    run(search, "query", "--out=page.html", "--top_k=5", index, "--", *known[::40])
    run(search, "duplicates", "--threshold=0.9999", index)

    with serving(place / "export") as server:
        flags = (f"--server={server.rest}", "--protocol=rest", "--images=photos", "--out=v.npz")
        output = run("darac_tf.serving.describe", *flags)
    assert f" {len(skipped) - bool(expected)} bad" in output or not expected, output
    evaluate("c", "--descriptors=v.npz", "--data_dir=photos", "--page_queries=12")
