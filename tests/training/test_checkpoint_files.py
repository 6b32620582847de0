"""Damaged checkpoints are passed over and reported; a full disk ends a run and harms none."""

import contextlib
import random
import resource
import shutil

import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.training.checkpoint import RunCheckpoint
from darac_tf.training.config import TrainConfig
from darac_tf.training.monitor import METRICS_FILE, MetricsFile
from darac_tf.training.replicas import make_replicas
from darac_tf.training.run import train
from darac_tf.training.state import build_state
from tests.helpers import write_backbone, write_collection
from tests.training.cut_runs import during
from tests.training.short_runs import light_steps

pytestmark = pytest.mark.usefixtures("eagerly_in_module")

INDEX, DATA = "index", "data-00000-of-00001"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint_files")
    return TrainConfig(
        pooling_steps=0,
        dataset="folder",
        data_dir=str(write_collection(folder / "photos", classes=4, images=3)),
        backbone=write_backbone(folder / "small.keras"),
        pooling="gem",
        image_size=32,
        classes_per_batch=3,
        images_per_class=2,
        steps=6,
        warmup_steps=1,
        checkpoint_every=2,
        average_decay=0.9,
    )


@pytest.fixture(scope="module", autouse=True)
def _light_steps():
    with pytest.MonkeyPatch.context() as patch:
        light_steps(patch)
        yield


@pytest.fixture(scope="module")
def state(config):
    return build_state(config, 4, make_replicas())


def save(checkpoint, state, step):
    for variable in state.model.trainable_variables:
        variable.assign(np.full(variable.shape, step, np.float32))
    checkpoint.save(step, step / 10, step)


@pytest.fixture
def folder(state, tmp_path):
    """Checkpoints of steps 3 and 6, whose weights are 3 and 6."""
    checkpoint = RunCheckpoint(tmp_path, state)
    save(checkpoint, state, 3)
    save(checkpoint, state, 6)
    return tmp_path / "checkpoints"


def restore(folder, state):
    """`(RunCheckpoint, notes)`; checks that all weights are those of its step."""
    checkpoint = RunCheckpoint(folder.parent, state)
    notes = checkpoint.restore()
    if checkpoint.step:
        assert checkpoint.best == checkpoint.step / 10 and checkpoint.best_step == checkpoint.step
        for variable in state.model.trainable_variables:
            np.testing.assert_array_equal(variable, np.full(variable.shape, checkpoint.step))
    return checkpoint, notes


def steps_in(folder):
    return sorted({int(file.name.split(".")[0][5:]) for file in folder.iterdir()})


DAMAGES = {
    "cut short": lambda data: data[: len(data) // 2],
    "emptied": lambda data: b"",
    "flipped": lambda data: bytes(255 - byte if n == 40 else byte for n, byte in enumerate(data)),
    "overwritten": lambda data: b"no checkpoint" * 100,
    "missing": None,
}


def damage(file, kind):
    if DAMAGES[kind] is None:
        file.unlink()
    else:
        file.write_bytes(DAMAGES[kind](file.read_bytes()))


@pytest.mark.parametrize("part", [INDEX, DATA])
@pytest.mark.parametrize("kind", DAMAGES)
def test_the_last_good_one_is_used(state, folder, kind, part):
    assert (restore(folder, state)[0].step, restore(folder, state)[1]) == (6, [])
    damage(folder / f"ckpt-6.{part}", kind)
    checkpoint, notes = restore(folder, state)
    assert checkpoint.step == 3
    assert notes == [f"{folder / 'ckpt-6'} is damaged or incomplete, and was passed over"]
    damage(folder / f"ckpt-3.{part}", kind)
    with pytest.raises(UserError, match=r"every checkpoint in .* is damaged") as error:
        restore(folder, state)
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("part", [INDEX, DATA])
def test_random_damage(state, folder, part):
    """Whatever happens to its bytes: a checkpoint is restored as it was, or passed over."""
    file, rng = folder / f"ckpt-6.{part}", random.Random(0)
    whole, steps = file.read_bytes(), []
    for _ in range(40):
        data, at = bytearray(whole), rng.randrange(len(whole))
        if rng.random() < 0.3:
            del data[at:]
        else:
            size = rng.choice((1, 1, 100))
            data[at : at + size] = rng.randbytes(size)
        file.write_bytes(data)
        checkpoint, notes = restore(folder, state)
        assert len(notes) == (checkpoint.step == 3)
        steps.append(checkpoint.step)
    assert set(steps) <= {3, 6} and steps.count(3) > 30


def test_damaged_ones_do_not_push_out_good_ones(state, folder):
    damage(folder / f"ckpt-6.{DATA}", "cut short")
    checkpoint, _ = restore(folder, state)
    save(checkpoint, state, 5)  # The run was ended before step 6.
    assert steps_in(folder) == [3, 5]
    save(checkpoint, state, 6)
    assert steps_in(folder) == [5, 6]
    damage(folder / f"ckpt-6.{INDEX}", "missing")
    checkpoint, _ = restore(folder, state)
    save(checkpoint, state, 7)
    assert steps_in(folder) == [5, 7]


def test_checkpoints_of_later_steps_are_of_an_earlier_run(state, folder):
    save(RunCheckpoint(folder.parent, state), state, 2)
    assert steps_in(folder) == [2] and restore(folder, state)[0].step == 2


def test_a_run_that_was_cut_off_while_it_wrote(state, folder):
    whole = {file.name: file.read_bytes() for file in folder.iterdir()}
    (folder / f"writing.{DATA}").write_bytes(whole[f"ckpt-6.{DATA}"][:50])
    (folder / "writing_temp").mkdir()
    checkpoint, notes = restore(folder, state)
    assert checkpoint.step == 6 and not notes
    save(checkpoint, state, 9)
    assert steps_in(folder) == [6, 9]
    for file in folder.iterdir():
        file.unlink()
    # The very first one: there is nothing to go back to but the first step.
    (folder / f"ckpt-3.{DATA}").write_bytes(whole[f"ckpt-3.{DATA}"])
    checkpoint, notes = restore(folder, state)
    assert checkpoint.step == 0 and len(notes) == 1


@contextlib.contextmanager
def no_file_above(size):
    """Within it, writing beyond `size` bytes of a file fails, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """A run that was left alone: its `RunResult` and its directory."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    return train(config, run_dir), run_dir


def test_a_full_disk(config, whole, tmp_path, monkeypatch):
    whole, run_dir = whole[0], tmp_path / "run"
    with monkeypatch.context() as patch, no_file_above(40_000) as fill:

        def from_now_on(step, images, labels):
            fill()
            return step(images, labels)

        during(patch, 3, from_now_on)
        with pytest.raises(UserError) as error:
            train(config, run_dir)
    assert str(error.value) == (
        f"the checkpoint of step 4 can't be written to {run_dir / 'checkpoints'}: File too large; "
        "free space or change its rights, and --resume goes on from step 2"
    )
    assert steps_in(run_dir / "checkpoints") == [2]
    resumed = train(config, run_dir, resume=True)
    np.testing.assert_allclose(resumed.losses, whole.losses[2:], rtol=1e-5)


def test_a_damaged_checkpoint_of_a_run(config, whole, tmp_path, caplog):
    run_dir = shutil.copytree(whole[1], tmp_path / "run")
    damage(run_dir / "checkpoints" / f"ckpt-6.{DATA}", "cut short")
    with caplog.at_level("WARNING", logger="absl"):
        resumed = train(config, run_dir, resume=True)
    assert "ckpt-6 is damaged or incomplete, and was passed over" in caplog.text
    np.testing.assert_allclose(resumed.losses, whole[0].losses[4:], rtol=1e-5)


def test_metrics_on_a_full_disk(tmp_path):
    metrics = MetricsFile(tmp_path, 0)
    with no_file_above(20_000) as fill:
        fill()
        with pytest.raises(UserError, match=rf"can't write .*{METRICS_FILE}: File too large; free"):
            for step in range(1000):
                metrics.write(step, {"loss": step / 7})
        metrics.write(1000, {"loss": 0.5})
        for leave in (metrics.flush, metrics.close):
            with pytest.raises(UserError, match="File too large"):
                leave()
