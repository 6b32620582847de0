"""Settings of whole runs: the files that come with the project, and those of users."""

import dataclasses
import json
import re
import shlex
from pathlib import Path

import pytest

import darac_tf.training.configs as configs
from darac_tf.errors import UserError
from darac_tf.training import TrainConfig
from darac_tf.training.configs import config_names, load_config
from tests.conftest import REPOSITORY

FOLDER = Path(configs.__file__).parent


def test_the_files_that_come_with_the_project():
    assert config_names() == ["demo", "paper", "small"]
    for name in config_names():
        settings = load_config(name)
        built = TrainConfig(**settings)
        assert built.validates and settings["backbone"] == "ResNet50V2"


@pytest.mark.parametrize("name", ["demo", "paper", "small"])
def test_their_first_comment_has_a_command_and_a_score(name):
    comment = (FOLDER / f"{name}.toml").read_text().split("\n\n")[0]
    assert re.search(r"Expected\b.*mAP", comment, re.DOTALL)
    commands = [
        shlex.split(line.lstrip("# ")) for line in comment.splitlines() if "python " in line
    ]
    train = [command for command in commands if command[1] == "train.py"]
    assert train and all(f"--config={name}" in command for command in train)
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
    with pytest.raises(UserError, match="no such file; give demo, paper, small"):
        load_config("papre")


def test_text_that_is_not_utf8(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="can't be read"):
        load_config(tmp_path / "a.toml")


def test_all_settings_of_a_run_go_through_json(tmp_path):
    stored = json.dumps(dataclasses.asdict(TrainConfig()))
    (tmp_path / "config.json").write_text(stored)
    assert TrainConfig(**load_config(tmp_path / "config.json")) == TrainConfig()
