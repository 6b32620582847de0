"""Settings of whole runs: the files that come with the project, and those of users."""

import dataclasses
import json
import re
import shlex
from pathlib import Path

import pytest

import darac_tf.training.configs as configs
from darac_tf import systems
from darac_tf.choices import TABLES
from darac_tf.commands import train
from darac_tf.errors import UserError
from darac_tf.evaluation.paper_tables import load_rows
from darac_tf.systems import load_system, system_names
from darac_tf.training.config import TrainConfig
from darac_tf.training.configs import config_names, load_config, load_presets
from tests.conftest import REPOSITORY

RUNS = {"glob_avg-GL", "darac-GL", "darac-CL", "delf-GL", "gem-SfM", "dir-CL"}
FIRST_RUNS = {"delf-GL-classes", "dir-CL-classes"}
FOLDER = Path(configs.__file__).parent


def test_the_files_that_come_with_the_project():
    assert set(config_names()) == {"demo", "small"} | RUNS | FIRST_RUNS
    for name in config_names():
        built = TrainConfig(**load_config(name))
        assert built.validates or built.matching == "local"
    # The runs of the paper's tables have a file each, and those the runs that they begin with.
    rows = [row for table in TABLES for row in load_rows(table)]
    assert {row.run for row in rows if row.run} == RUNS
    assert {Path(load_config(name)["backbone"]).name for name in RUNS} >= FIRST_RUNS


@pytest.mark.parametrize("name", sorted(RUNS))
def test_a_run_of_the_tables_is_of_its_system(name):
    system = load_system(name.partition("-")[0]).train
    settings = load_config(name)
    # Only what it begins with is another.
    assert {key for key in system if settings[key] != system[key]} <= {"backbone"}
    # Thousands of steps, as many as the preset's comment says in passes.
    assert TrainConfig(**settings).steps >= 12_000


@pytest.mark.parametrize("system", system_names())
@pytest.mark.parametrize("config", [*config_names(), "a run's config.json"])
def test_a_system_wins_over_a_config_or_is_refused(system, config, tmp_path):
    if config not in config_names():
        TrainConfig(val_classes=7, pooling="mac", image_size=55).write(tmp_path)
        config = str(tmp_path / "config.json")
    own = config.partition("-")[0] if config in RUNS else None
    if own not in (None, system):
        with pytest.raises(UserError, match=f"--system={system}: .* a run of --system={own}"):
            load_presets(config, system)
        return
    settings, replaced = load_presets(config, system)
    of_config, of_system = load_config(config), load_system(system).train
    if own:
        assert settings == of_config and not replaced
        return
    assert of_system.items() <= settings.items()
    both = {n: v for n, v in of_config.items() if n in of_system and of_system[n] != v}
    assert replaced == both
    assert settings == of_config | of_system


def test_flags_win_over_a_system_and_a_system_over_a_config(tmp_path, monkeypatch, capsys):
    config = tmp_path / "own.toml"
    config.write_text(
        'pooling = "mac"\nimage_size = 64\nsteps = 1\nwarmup_steps = 0\nbackbone = "VGG16"\n'
    )
    trained = []
    monkeypatch.setattr(train, "_run", lambda config, values: trained.append(config))
    arguments = [f"--config={config}", "--data_dir=photos", "--run_dir=run", "--dataset=folder"]
    train.main([*arguments, "--system=glob_avg", "--image_size=32", "--backbone=ResNet50V2"])
    (stored,) = trained
    assert (stored.pooling, stored.image_size, stored.steps) == ("spoc", 32, 1)
    # Neither the size nor the backbone is replaced by the system.
    said = f"--system=glob_avg wins over --config={config}: pooling=spoc (not mac)\n"
    assert capsys.readouterr().out == said and stored.backbone == "ResNet50V2"


@pytest.mark.parametrize("name", config_names())
def test_their_first_comment_has_a_command_and_a_score(name):
    folder = FOLDER if (FOLDER / f"{name}.toml").exists() else systems.RUNS
    comment = (folder / f"{name}.toml").read_text().split("\n\n")[0]
    assert re.search(r"Expected\b.*mAP", comment, re.DOTALL)
    lines = comment.replace("\\\n#", "").splitlines()
    commands = [shlex.split(line.lstrip("# ")) for line in lines if "python " in line]
    train = [command for command in commands if command[1] == "train.py"]
    assert train or name == "demo"
    assert all(f"--config={name}" in command for command in train)
    for command in train:
        flags = dict(each.removeprefix("--").split("=") for each in command[2:] if "=" in each)
        assert name not in RUNS or flags["run_dir"] == f"runs/{name}"
    for command in commands:
        assert (REPOSITORY / command[1]).exists()


def test_the_demo_is_what_make_demo_runs():
    assert "train.py --config=demo " in (REPOSITORY / "Makefile").read_text()


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('backbone = "ResNet50V2"\nlearning_rate = 1\nflip = false\n')
    assert load_config(path) == {"backbone": "ResNet50V2", "learning_rate": 1, "flip": False}


def test_the_settings_of_an_earlier_run(tmp_path):
    config = TrainConfig(steps=30, clip_norm=1.5, val_classes=3)
    config.write(tmp_path)
    loaded = load_config(tmp_path / "config.json")
    assert loaded == dataclasses.asdict(config) and TrainConfig(**loaded) == config


def test_a_run_from_before_a_default_goes_on_with_the_same_flags(tmp_path):
    TrainConfig(pooling_steps=0).write(tmp_path)
    TrainConfig().check_resumes(tmp_path)
    with pytest.raises(UserError, match="has --pooling_steps=0, not 5"):
        TrainConfig(pooling_steps=5).check_resumes(tmp_path)
    TrainConfig(pooling_steps=5).write(tmp_path)
    with pytest.raises(UserError, match="has --pooling_steps=5, not None"):
        TrainConfig().check_resumes(tmp_path)
    TrainConfig(classes_per_batch=12).write(tmp_path)
    TrainConfig().check_resumes(tmp_path)
    TrainConfig(classes_per_batch=8).write(tmp_path)
    with pytest.raises(UserError, match="has --classes_per_batch=8, not None"):
        TrainConfig().check_resumes(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "colour = 3", "no flag --colour"),
        ("a.toml", 'steps = "many"', "not of the kind of --steps"),
        ("a.toml", "steps = 1.5", "not of the kind of --steps"),
        ("a.toml", "steps = true", "not of the kind of --steps"),
        ("a.toml", "flip = 1", "not of the kind of --flip"),
        ("a.toml", "steps =", "can't be read"),
        ("a.json", "[1]", "must hold names"),
        ("a.json", "{", "can't be read"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message) as error:
        load_config(tmp_path / name)
    assert f"--config={tmp_path / name}" in str(error.value)


def test_a_name_that_is_not_there():
    with pytest.raises(UserError, match="no such file; give darac-CL, darac-GL, delf"):
        load_config("papre")


def test_text_that_is_not_utf8(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="can't be read"):
        load_config(tmp_path / "a.toml")


def test_all_settings_of_a_run_go_through_json(tmp_path):
    stored = json.dumps(dataclasses.asdict(TrainConfig()))
    (tmp_path / "config.json").write_text(stored)
    assert TrainConfig(**load_config(tmp_path / "config.json")) == TrainConfig()
