"""An index whose writer is killed opens, holds only what is right, and goes on."""

import os
import random
import signal
import sqlite3
import sys
import time
import traceback

import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.search import Index, update, writing
from tests.helpers import slow_but
from tests.search.collection import assert_same, entries, run, write_file
from tests.search.small_model import StandIn, vector_of

# A prime, so that the killed lines are others in each scenario.
_STEP = 97
_TRACED = ("/darac_tf/search/", "/darac_tf/describing/feature_table.py", "/darac_tf/files.py")


@pytest.fixture
def photos(tmp_path):
    for number in range(12):
        write_file(tmp_path / "photos" / f"{number:02d}.jpg", f"image {number % 9}".encode())
    write_file(tmp_path / "photos" / "x.jpg", b"bad")
    return tmp_path / "photos"


def change(photos):
    """Changes the files so that an update describes, drops and compacts."""
    for number in range(6):
        (photos / f"{number:02d}.jpg").unlink()
    write_file(photos / "07.jpg", b"image seven", seconds=3)
    (photos / "08.jpg").rename(photos / "renamed.jpg")
    for number in range(4):
        write_file(photos / f"new {number}.jpg", f"new {number}".encode())


def in_child(function):
    """Forks; the child calls the function and ends without any cleaning up. Returns its id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        function()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def dies_at_line(number):
    """A trace function that ends the process at the n-th line of the code under test."""
    left = number

    def trace(frame, event, _):
        nonlocal left
        if not any(part in frame.f_code.co_filename for part in _TRACED):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os._exit(9)
        return trace

    return trace


def check_open(index, contents):
    """What an interrupted index holds is right: a vector that belongs to a content of its path."""
    try:
        found = entries(index)
    except UserError as error:
        # Killed before it had a file at all.
        assert "no index in" in str(error) or "holds no image yet" in str(error)
        return
    for path, vector in found.items():
        assert any(np.array_equal(vector, vector_of(content)) for content in contents[path])


@pytest.mark.parametrize("scenario", slow_but(["changed"], ["new", "changed"]))
def test_killed_at_many_lines(photos, tmp_path, scenario):
    contents = {}

    def note():
        for path in photos.iterdir():
            contents.setdefault(str(path), []).append(path.read_bytes())

    note()
    if scenario == "changed":
        run(tmp_path / "start", photos)
        change(photos)
        note()
    run(tmp_path / "whole", photos)
    expected = entries(tmp_path / "whole")
    line, kills = 7, 0
    while True:
        index = tmp_path / f"killed at {line}"
        if scenario == "changed":
            copy(tmp_path / "start", index)

        def work(index=index, line=line):
            sys.settrace(dies_at_line(line))
            run(index, photos, batch_images=3)

        _, status = os.waitpid(in_child(work), 0)
        if os.waitstatus_to_exitcode(status) != 9:
            break
        kills += 1
        check_open(index, contents)
        _, described = run(index, photos)
        assert len(described) == len(set(described))
        assert_same(entries(index), expected)
        assert len(list(index.glob("vectors-*"))) == 1
        assert not list(index.glob(".*"))
        line += _STEP
    assert os.waitstatus_to_exitcode(status) == 0
    assert kills > 10


def copy(start, index):
    for path in start.rglob("*"):
        if path.is_file():
            target = index / path.relative_to(start)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())


@pytest.mark.slow
def test_killed_at_random_moments_loses_a_batch_at_most(photos, tmp_path):
    for number in range(150):
        write_file(photos / f"more {number}.jpg", f"more {number}".encode())
    run(tmp_path / "whole", photos)
    index, moments = tmp_path / "index", random.Random(4)
    contents = {str(path): [path.read_bytes()] for path in photos.iterdir()}
    log = tmp_path / "log"

    class Noting(StandIn):
        def __call__(self, data):
            with log.open("a") as file:
                file.writelines(f"{content.decode()}\n" for content in data)
            return super().__call__(data)

    kills = 0
    while True:
        child = in_child(lambda: run(index, photos, model=Noting(0.01), batch_images=4))
        time.sleep(moments.uniform(0.02, 0.15))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        check_open(index, contents)
        if os.waitstatus_to_exitcode(status) == 0:
            break
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        kills += 1
        assert kills < 200
    assert kills >= 3
    assert_same(entries(index), entries(tmp_path / "whole"))
    # 160 contents in all; a kill makes one batch of four be described again.
    assert len(log.read_text().splitlines()) <= 160 + 4 * kills


def test_ctrl_c_keeps_what_was_done(photos, tmp_path):
    class Interrupted(StandIn):
        def __call__(self, data):
            if self.described:
                raise KeyboardInterrupt
            return super().__call__(data)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "index", photos, model=Interrupted(), batch_images=4)
    assert len(entries(tmp_path / "index")) >= 4
    _, described = run(tmp_path / "index", photos)
    assert len(described) == 6


def test_only_one_writes(photos, tmp_path):
    with writing(tmp_path / "index", StandIn()) as opened:
        # The lock holds against other processes and within this one.
        message = rf"is being written by process {os.getpid()}; wait until it ends"
        with pytest.raises(UserError, match=message), writing(tmp_path / "index", StandIn()):
            pass
        update(opened, StandIn(), [photos], progress=False)
        with Index(tmp_path / "index") as reader:
            assert len(reader.live()[0]) == 9
    run(tmp_path / "index", photos)


def test_another_model_is_refused(photos, tmp_path):
    run(tmp_path / "index", photos)
    other = StandIn()
    other.fingerprint = "1" * 32
    with pytest.raises(UserError, match=r"was made with another model \(/nowhere/1\) than"):
        run(tmp_path / "index", photos, model=other)
    assert len(entries(tmp_path / "index")) == 12


def test_a_folder_with_other_files_is_no_place_for_an_index(photos):
    with pytest.raises(UserError, match=r"photos holds other files, such as '00.jpg'"):
        run(photos, photos)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}', "\xff\xfe"])
def test_damaged_settings(photos, tmp_path, text):
    run(tmp_path / "index", photos)
    (tmp_path / "index" / "index.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"index.json is damaged .*: delete .*, and index again"):
        entries(tmp_path / "index")


def test_settings_name_no_folder_elsewhere(photos, tmp_path):
    run(tmp_path / "index", photos)
    settings = tmp_path / "index" / "index.json"
    settings.write_text(settings.read_text().replace("vectors-1", "../vectors-1"))
    with pytest.raises(UserError, match="is damaged"):
        entries(tmp_path / "index")


def test_a_damaged_list_of_files(photos, tmp_path):
    run(tmp_path / "index", photos)
    files = tmp_path / "index" / "files.sqlite"
    files.write_bytes(b"not a database " * 400)
    with pytest.raises(UserError, match=r"files.sqlite is damaged .*: delete it"):
        entries(tmp_path / "index")
    files.unlink()
    with pytest.raises(UserError, match="index again"):
        entries(tmp_path / "index")
    # The vectors are still there: nothing but the bad image is described again.
    assert run(tmp_path / "index", photos)[1] == [b"bad"]
    assert len(entries(tmp_path / "index")) == 12


def test_a_locked_list_is_waited_for(photos, tmp_path):
    run(tmp_path / "index", photos)
    other = sqlite3.connect(tmp_path / "index" / "files.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert len(entries(tmp_path / "index")) == 12  # readers go on
    other.rollback()
    other.close()
