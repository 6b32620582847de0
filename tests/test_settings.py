"""Settings: flags, help and checks from the fields of a dataclass."""

import dataclasses
from dataclasses import dataclass

import pytest
from absl import flags

from darac_tf import cli
from darac_tf.errors import UserError
from darac_tf.evaluation.config import EvalConfig
from darac_tf.settings import check_settings, is_of_kind, setting
from darac_tf.training.config import TrainConfig


@dataclass(frozen=True)
class Oven:
    heat: float = setting(180.0, "Degrees.", above=0, below=300)
    minutes: int | None = setting(None, "Time; default: until it is done.", low=1)
    share: float = setting(0.5, "Of the tray.", low=0, high=1)
    width: float | None = setting(None, "Of the tray.", above=0)
    fan: bool = setting(True, "Move the air.")
    dish: str = setting("bread", "What is in it.", choices=["bread", "pie"])
    recipe: str = setting("own", "Whose.", choices=["own", "book:PAGE"])
    note: str | None = setting(None, "Anything.")
    herbs: list[str] = setting(["salt"], "By commas.")
    steps: list[str] = setting(["heat"], "One a flag.", is_repeated=True)

    def __post_init__(self):
        check_settings(self)


@pytest.fixture
def values():
    values = flags.FlagValues()
    cli.define_flags(Oven, values)
    return values


def test_flags_have_the_defaults_of_the_fields(values):
    values(["oven"])
    assert cli.settings_of_flags(Oven, values) == Oven()


def test_home_folders_are_put_for_tildes(values, monkeypatch):
    monkeypatch.setenv("HOME", "/home/anna")
    given = ["--note=~/photos", "--herbs=~/runs/a+gem,b~/c,~", "--steps=oxford5k:~/ox"]
    cli.parse(["oven", *given, "--steps=@~/secret", "--steps=~b/~/x", "--recipe=book:~/7"], values)
    assert values.note == "/home/anna/photos"
    assert values.herbs == ["/home/anna/runs/a+gem", "b~/c", "/home/anna"]
    assert values.steps == ["oxford5k:/home/anna/ox", "@/home/anna/secret", "~b/~/x"]
    assert values.recipe == "book:/home/anna/7" and values["heat"].using_default_value


def test_a_path_that_is_there_is_one_item_of_a_list(values, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("a, b", "c", "d,e", "f.json", 'g",\nh'):
        (tmp_path / name).mkdir()
    for text, expected in {
        "a, b+gem,c,ResNet50V2+gem": ["a, b+gem", "c", "ResNet50V2+gem"],
        "x,y": ["x", "y"],
        "csv:d,e,~/a, b": ["csv:d,e", f"{tmp_path}/a, b"],
        "d,e#3, f.json": ["d,e#3", "f.json"],
        'g",\nh': ['g",\nh'],
        '"d,f",c': ["d,f", "c"],
        "": [],
        ",".join("n" * 300): ["n"] * 300,
    }.items():
        cli.parse(["oven", f"--herbs={text}"], values)
        assert values.herbs == expected


def test_flags_make_the_record(values):
    given = [
        "--heat=200",
        "--minutes=3",
        "--nofan",
        "--dish=pie",
        "--recipe=book:7",
        "--herbs=a,b",
        "--steps=x",
    ]
    values(["oven", *given, "--steps=y,z"])
    assert cli.settings_of_flags(Oven, values) == Oven(
        heat=200.0,
        minutes=3,
        fan=False,
        dish="pie",
        recipe="book:7",
        herbs=["a", "b"],
        steps=["x", "y,z"],
    )
    text = values.get_help()
    assert "<bread|pie>: What is in it." in text and "default: until it is done" in text
    assert "(a positive integer)" in text and "(a number in the range [0, 1])" in text


def test_a_wrong_flag_is_refused(values):
    with pytest.raises(flags.IllegalFlagValueError, match="--dish=soup"):
        values(["oven", "--dish=soup"])
    for given in ("--minutes=0", "--share=1.5"):
        with pytest.raises(flags.IllegalFlagValueError, match=given):
            values(["oven", given])
    values(["oven", "--heat=300"])
    with pytest.raises(UserError, match=r"^--heat=300.0: must lie in \(0, 300\)$"):
        cli.settings_of_flags(Oven, values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heat": 0.0}, "--heat=0.0: must lie in (0, 300)"),
        ({"heat": float("nan")}, "--heat=nan: must lie in (0, 300)"),
        ({"share": -0.1}, "--share=-0.1: must lie in [0, 1]"),
        ({"share": 1.1}, "--share=1.1: must lie in [0, 1]"),
        ({"minutes": 0}, "--minutes=0: must be at least 1"),
        ({"width": 0.0}, "--width=0.0: must be above 0"),
        ({"dish": "soup"}, "--dish=soup: choose from bread, pie"),
        ({"recipe": "books"}, "--recipe=books: choose from own, book:PAGE"),
        ({"dish": None}, "--dish=None: must be given"),
    ],
)
def test_what_is_refused(change, message):
    with pytest.raises(UserError) as error:
        Oven(**change)
    assert str(error.value) == message


def test_bounds_themselves():
    assert Oven(minutes=1, share=0).share == 0 and Oven(share=1).share == 1
    assert Oven().herbs is not Oven().herbs


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("heat", 200, True),
        ("heat", "200", False),
        ("heat", None, False),
        ("minutes", None, True),
        ("minutes", 2.5, False),
        ("minutes", True, False),
        ("fan", True, True),
        ("fan", 1, False),
        ("herbs", ["a"], True),
        ("herbs", "a", False),
        ("herbs", None, False),
    ],
)
def test_kinds(name, value, fits):
    (field,) = (field for field in dataclasses.fields(Oven) if field.name == name)
    assert is_of_kind(value, field) == fits


@pytest.mark.parametrize("record", [TrainConfig(), EvalConfig()], ids=lambda x: type(x).__name__)
def test_every_setting_of_a_script_says_what_it_is(record):
    for field in dataclasses.fields(record):
        about = field.metadata["setting"]
        assert about.help.endswith(".") or "default" in about.help or "[0, 1)" in about.help
        assert about.fault(getattr(record, field.name)) is None
