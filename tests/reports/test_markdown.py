import doctest
import os

from hypothesis import given
from hypothesis import strategies as st

from darac_tf import errors
from darac_tf.errors import printable
from darac_tf.reports import markdown
from darac_tf.reports.markdown import escaped, percent, table


def test_docstring_examples():
    results = [doctest.testmod(module) for module in (markdown, errors)]
    assert [result.failed for result in results] == [0, 0]
    assert sum(result.attempted for result in results) >= 4


@given(st.text(st.characters(codec=None)))
def test_any_text_is_one_cell_of_one_line(text):
    lines = table(["a", "b"], [[text, "end"]], [False, False]).splitlines()
    assert len(lines) == 3
    assert lines[2].encode("utf-8").decode().isprintable()
    assert lines[2].replace("\\|", "").count("|") == 3
    assert "<" not in escaped(text).replace("\\<", "")


def test_letters_of_all_languages_are_kept_and_other_bytes_are_shown():
    assert printable("café 東京") == "café 東京"
    assert printable(os.fsdecode(b"caf\xe9")) == "caf\\udce9"


def test_percents_have_a_sign_where_asked():
    assert [percent(-0.01, sign=True), percent(0.0, sign=True)] == ["-1.00", "+0.00"]
    assert percent(float("nan")) == percent(None) == "-"
