"""Presets: every setting is one that the scripts have, and flags win over it."""

import pytest
from absl import flags

from darac_tf import cli
from darac_tf.choices import TABLES
from darac_tf.describing.sizes import parse_sizes
from darac_tf.errors import UserError
from darac_tf.evaluation.config import EvalConfig
from darac_tf.evaluation.paper_tables import load_rows
from darac_tf.systems import load_system, system_names
from darac_tf.training.config import TrainConfig

WANTED = {"glob_avg", "glob_max", "rmac", "ramac", "darac", "gem", "dir", "delf"}


def test_all_systems_are_there():
    assert set(system_names()) == WANTED
    with pytest.raises(UserError, match=r"--system=vlad: choose from darac, delf"):
        load_system("vlad")


@pytest.mark.parametrize("name", sorted(WANTED))
def test_settings_are_those_of_the_scripts(name):
    system = load_system(name)
    assert system.title and "Xiv" in system.source
    TrainConfig(**system.train)
    EvalConfig(**system.eval)
    assert [parse_sizes(text) for text in system.eval["resolutions"]]


def test_what_the_papers_say():
    assert load_system("darac").eval["resolutions"] == ["299,540,1020"]
    assert load_system("darac").train["loss"] == "nra"
    assert len(parse_sizes(load_system("delf").eval["resolutions"][0])) == 7
    assert len(parse_sizes(load_system("gem").eval["resolutions"][0])) == 5
    assert load_system("gem").train["mining"] == "hard_negatives"
    assert load_system("gem").eval["whiten_kind"] == "learned"
    # An image is limited to 1024 pixels before the factors, as in the code of GeM's authors.
    whole = parse_sizes(load_system("gem").eval["resolutions"][0])[-1]
    assert whole.planned_size(1536, 2048) == (768, 1024)
    gem = TrainConfig(**load_system("gem").train)
    assert gem.steps * gem.tuples_per_batch == 30 * gem.mining_queries
    assert load_system("dir").eval["resolutions"] == ["550,800,1050"]
    ranking = TrainConfig(**load_system("dir").train)
    assert (ranking.batch_size, ranking.image_size, ranking.chunk_size) == (32, 800, 4)
    assert (ranking.squared, ranking.margin) == (True, 0.1)
    delf = TrainConfig(**load_system("delf").train)
    assert (delf.image_size, delf.head_learning_rate) == (720, 1e-3) and delf.min_scale < 1


def test_flags_win_over_a_preset():
    values = flags.FlagValues()
    flags.DEFINE_integer("image_size", 299, "", flag_values=values)
    flags.DEFINE_string("pooling", "darac", "", flag_values=values)
    values(["x", "--image_size=299"])
    cli.apply_preset({"image_size": 362, "pooling": "gem"}, values)
    assert (values.image_size, values.pooling) == (299, "gem")


def test_the_tables_have_the_papers_figures():
    ablation, comparison = map(load_rows, TABLES)
    oxford = [row.paper["oxford5k"] for row in ablation]
    assert oxford == [48.7, 75.3, 77.6, 81.4, 82.2, 83.4, 88.2]
    assert [row.paper["paris6k"] for row in comparison] == [85.0, 92.7, 94.5, 93.0, 94.1]
    assert "holidays" not in comparison[0].paper
