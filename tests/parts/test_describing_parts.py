"""Parts of a manifest: each image once, kills, faults of files, of disks and of servers."""

import resource
import signal
import time

import numpy as np
import pytest

from darac_tf.commands.main import main
from darac_tf.errors import UserError
from darac_tf.parts import fetching, run
from darac_tf.parts.describer import PartDescriber
from darac_tf.parts.manifest import write_manifest
from darac_tf.parts.part_files import Parts, dead_letters, write_part
from darac_tf.parts.settings import PartSettings
from darac_tf.parts.verification import verify
from darac_tf.search import ExportedModel
from tests.helpers import write_image
from tests.parts.image_server import image_server
from tests.search.small_model import StandIn, vector_of, write_model

ROWS = 10
KILLED = """
import os, signal, sys
from darac_tf.parts.describer import PartDescriber
from darac_tf.parts.settings import PartSettings
from tests.search.small_model import StandIn

settings = PartSettings(part_rows=4, batch_images=3, retries=0)
describer = PartDescriber(StandIn(), *sys.argv[1:], settings)
describer(1, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.fixture
def manifest(tmp_path):
    """Ten images, 2 of them no images, 5 not there; ids are not in the order of texts."""
    for row in range(ROWS):
        (tmp_path / f"{row}.jpg").write_bytes(b"bad" if row == 2 else f"image {row}".encode())
    (tmp_path / "5.jpg").unlink()
    path = tmp_path / "M.csv"
    write_manifest(path, [(f"id {ROWS - row}", f"{row}.jpg") for row in range(ROWS)])
    return path


def describer_of(manifest, out, model=None, **settings):
    settings = {"part_rows": 4, "batch_images": 3, "retries": 0} | settings
    return PartDescriber(model or StandIn(), manifest, out, PartSettings(**settings))


def described(describer, out, part=None):
    """Describes what is missing; the `Outcome`."""
    share = run.share_of(part, len(describer.layout))
    run.begin(out, describer.manifest, describer.layout)
    return run.run_here(describer, out, share, show=False)


def check(out, manifest, bad=(2, 5)):
    """Each id once, in the order of the manifest, with the vector of its content."""
    found = verify(out, manifest, show=False)
    assert found == (ROWS - len(bad), len(bad), [])
    parts = Parts.open(out)
    good = [row for row in range(ROWS) if row not in bad]
    names = [name for part in range(len(parts)) for name in parts.ids(part)]
    assert names == [f"id {ROWS - row}" for row in good]
    expected = [vector_of(f"image {row}".encode()) for row in good]
    np.testing.assert_array_equal(parts.read(range(len(good))), expected)


def test_every_image_is_in_a_part_or_a_dead_letter(manifest, tmp_path):
    out, model = tmp_path / "out", StandIn()
    describer = describer_of(manifest, out, model)
    assert described(describer, out) == (3, 0, 8, 2)
    check(out, manifest)
    assert dead_letters(out, 0) == [("id 8", "2.jpg", "cannot be decoded")]
    assert dead_letters(out, 1) == [("id 5", "5.jpg", "no such image")]
    again = StandIn()
    assert described(describer_of(manifest, out, again), out) == (3, 3, 0, 0)
    assert again.described == []
    for name, change in (
        ("dtype", {"dtype": "float16"}),
        ("part_rows", {"part_rows": 5}),
    ):
        with pytest.raises(UserError, match=f"holds parts of another {name} "):
            described(describer_of(manifest, out, **change), out)
    other = StandIn()
    other.fingerprint = "1" * 32
    with pytest.raises(UserError, match="holds parts of another model "):
        described(describer_of(manifest, out, other), out)


def test_shares_of_an_array_of_jobs(manifest, tmp_path):
    out = tmp_path / "out"
    counts = [described(describer_of(manifest, out), out, f"{i}/4").parts for i in (3, 1, 4, 2)]
    assert sum(counts) == 3
    check(out, manifest)
    for parts in range(8):
        shares = [run.share_of(f"{i}/5", parts) for i in range(1, 6)]
        assert [part for share in shares for part in share] == list(range(parts))
    for text in ("0/3", "4/3", "1", "a/b", "1/0"):
        with pytest.raises(UserError, match=f"--part={text}: give i/n"):
            run.share_of(text, 3)


def test_a_killed_run_goes_on(manifest, tmp_path, run_command):
    """Killed by the kernel while the second part is described: the first stays as it is."""
    out = tmp_path / "out"
    describer = describer_of(manifest, out)
    run.begin(out, describer.manifest, describer.layout)
    described(describer, out, "1/3")
    before = (out / "part-000000.parquet").stat()
    assert run_command("-c", KILLED, manifest, out)[0] == -signal.SIGKILL
    assert verify(out, show=False).faults == [
        f"{out / 'part-000001.parquet'} is missing",
        f"{out / 'part-000002.parquet'} is missing",
    ]
    assert described(describer_of(manifest, out), out) == (3, 1, 5, 1)
    check(out, manifest)
    assert (out / "part-000000.parquet").stat().st_mtime_ns == before.st_mtime_ns


def test_a_part_cut_short_is_made_again(manifest, tmp_path):
    out = tmp_path / "out"
    described(describer_of(manifest, out), out)
    path = out / "part-000001.parquet"
    path.write_bytes(path.read_bytes()[:300])
    (fault,) = verify(out, show=False).faults
    assert fault.startswith(f"{path} can't be read")
    assert main(["describe", "--verify", str(out)]) == 1
    assert described(describer_of(manifest, out), out) == (3, 2, 3, 1)
    check(out, manifest)


def test_ids_that_are_not_there_once_are_named(manifest, tmp_path):
    out = tmp_path / "out"
    describer = describer_of(manifest, out)
    described(describer, out)
    parts = Parts.open(out)
    names = ["id 2", "id 2"]  # rows 8 and 9 are "id 2" and "id 1"
    columns = {"id": names, "vector": parts.vectors(2), "sha256": [bytes(32)] * 2}
    columns |= {name: [1, 1] for name in ("bytes", "width", "height")}
    write_part(out, describer.layout, 2, columns)
    path = out / "part-000002.parquet"
    assert verify(out, show=False).faults == [
        f"{path}: the id 'id 2' is there 2 times",
        f"{path}: the id 'id 1' is there 0 times",
    ]
    manifest.write_text("id,uri\na,b\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"is not what .* was made from"):
        verify(out, show=False)


def test_two_drivers_on_one_output(manifest, tmp_path):
    """The same part at once: one of the two is whole, with its own dead letters."""
    out = tmp_path / "out"
    first, second = (describer_of(manifest, out) for _ in range(2))
    described(first, out, "1/3")

    class Late(StandIn):
        def __call__(self, data):
            if not (out / "part-000001.parquet").exists():
                (tmp_path / "5.jpg").write_bytes(b"image 5")
                described(second, out)  # all that is missing, while this one is at it
            return super().__call__(data)

    described(describer_of(manifest, out, Late()), out)
    found = verify(out, show=False)
    assert not found.faults and found.described + found.dead == ROWS


def test_a_full_disk_ends_the_run_and_leaves_no_part_of_a_part(manifest, tmp_path):
    out = tmp_path / "out"
    describer = describer_of(manifest, out)
    run.begin(out, describer.manifest, describer.layout)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (900, limits[1]))
    try:
        with pytest.raises(
            UserError, match=r"can't write .*(part|dead)-00000\d.parquet: .*free space"
        ):
            described(describer, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    left = {path.name for path in out.iterdir()}
    assert not [name for name in left if "part-" in name or name.startswith(".")]
    described(describer, out)
    check(out, manifest)


def test_a_store_that_is_gone_makes_no_part_of_dead_letters(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "_FIRST_WAIT", 0.001)
    monkeypatch.setenv("no_proxy", "*")
    files = {f"/{row}.jpg": f"image {row}".encode() for row in range(ROWS)}
    out = tmp_path / "out"
    with image_server(files) as (url, _):
        rows = [(f"id {ROWS - row}", f"{url}/{row}.jpg") for row in range(ROWS)]
        rows[3] = ("id 7", f"{url}/never")
        path = tmp_path / "M.parquet"
        write_manifest(path, rows)
        start = time.monotonic()
        described(describer_of(path, out, timeout=0.3, retries=1), out, "1/3")
        assert time.monotonic() - start < 5
        assert dead_letters(out, 0)[0][2] in ("timed out", "no answer within 0.3 s")
    with pytest.raises(UserError, match=r"part \d: \d of \d images can't be described, the first"):
        described(describer_of(path, out, timeout=0.3), out)
    assert len(list(out.glob("part-*"))) == 1


def test_the_command(tmp_path, capsys):
    """Of an export, as it describes images one by one; what is refused leaves nothing."""
    model = write_model(tmp_path / "export" / "1")
    for row in range(5):
        write_image(tmp_path / "photos" / f"{row}.png", seed=row)
    (tmp_path / "photos" / "2.png").write_bytes(b"broken")
    path, out = tmp_path / "M.parquet", tmp_path / "out"
    assert main(["manifest", str(tmp_path / "photos"), f"--out={path}"]) == 0
    command = ["describe", f"--manifest={path}", f"--model={model}", f"--out={out}"]
    capsys.readouterr()
    for words, fault in (
        (["photos"], "--manifest is given instead of photos: name one of them"),
        (["--part=3/2"], "--part=3/2: give i/n"),
        (["--workers=2"], "--workers is for --engine=ray"),
        (["--part_rows=0"], "part_rows"),
    ):
        assert main([*command, *words]) == 1
        assert fault in capsys.readouterr().err
    assert main(["describe", "photos", "--out=a", "--timeout=2"]) == 1
    assert "--timeout is for --manifest" in capsys.readouterr().err
    assert not out.exists()
    assert main([*command, "--part_rows=2"]) == 0
    output, errors = capsys.readouterr()
    assert output == f"{out}: 4 images, 48 dimensions, 1 bad, in 3 parts; 0 were there\n"
    assert "failed=1" in errors and "5/5" in errors
    assert main(["describe", "--verify", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 5 ids, each once: 4 described, 1 bad\n"
    one_by_one, parts = ExportedModel(model), Parts.open(out)
    for part in range(3):
        for name, vector in zip(parts.ids(part), parts.vectors(part), strict=True):
            expected, _ = one_by_one([(tmp_path / "photos" / name).read_bytes()])
            np.testing.assert_allclose(vector, expected[0], atol=1e-6)
    assert parts.layout.model == one_by_one.fingerprint
