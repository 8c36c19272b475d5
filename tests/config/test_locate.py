"""The line of every key of a TOML text, so that a report of mistakes can point at it."""

from __future__ import annotations

import pytest
import tomli
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from prunetui.config.locate import key_lines, line_of


def test_keys_and_tables_nested_in_tables():
    assert key_lines("name = 1\n\n[train]\nlr = 2\n[train.extra]\nlr = 3\n") == {
        ("name",): 1,
        ("train",): 3,
        ("train", "lr"): 4,
        ("train", "extra"): 5,
        ("train", "extra", "lr"): 6,
    }


def test_arrays_of_tables_are_counted_and_a_table_below_belongs_to_the_newest():
    lines = key_lines("[[m]]\nn = 1\n[[m]]\nn = 2\n[m.o]\np = 1\n[[m.q]]\nr = 1\n[[m.q]]\nr = 2\n")
    expected = {
        ("m", 0): 1,
        ("m", 0, "n"): 2,
        ("m", 1): 3,
        ("m", 1, "n"): 4,
        ("m", 1, "o"): 5,
        ("m", 1, "o", "p"): 6,
        ("m", 1, "q", 0): 7,
        ("m", 1, "q", 0, "r"): 8,
        ("m", 1, "q", 1): 9,
        ("m", 1, "q", 1, "r"): 10,
    }
    assert {path: lines.get(path) for path in expected} == expected


def test_an_array_of_tables_stands_where_its_first_element_stands():
    assert line_of(key_lines("x = 1\n[[m]]\nn = 1\n[[m]]\n"), ("m",)) == 2


def test_dotted_and_quoted_keys():
    assert key_lines("a.b.c = 1\na . d = 2\n\"x y\".'z' = 3\n'p=q' = 4\n[ t . 'u.v' ] # why\nw = 5\n") == {
        ("a", "b", "c"): 1,
        ("a", "d"): 2,
        ("x y", "z"): 3,
        ("p=q",): 4,
        ("t", "u.v"): 5,
        ("t", "u.v", "w"): 6,
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = [\n 1,\n # ] in a comment\n 2]\nz = 1", 5),
        ("a = [[1],\n[2],\n]\nz = 1", 4),
        ('a = """\nz = 1\n[b]\n"""\nz = 2', 5),
        ("a = '''x\nz = 1'''\nz = 2", 3),
        ('a = [ """\n]\n""",\n 1]\nz = 1', 5),
        ('a = "[ # no array"\nz = 1', 2),
        ("a = '''[ no array'''\nz = 1", 2),
        ('a = """{ no table"""\nz = 1', 2),
        ("a = 1 # [ '''\nz = 1", 2),
        ("a = \"'''\"\nz = 1", 2),
        ('a = "\\"["\nz = 1', 2),
        ("a = { b = [\n1] }\nz = 1", 3),
        ("# z = 0\n\n   z = 1", 3),
        ("a = 1\r\nz = 1\r\n", 2),
        ("# a line\u2028of two\nz = 1", 2),
        ("# a line\x85of two\nz = 1", 2),
    ],
)
def test_what_looks_like_a_key_inside_a_value_or_comment_is_none(text: str, line: int):
    assert "z" in tomli.loads(text), "the text must be TOML"
    assert key_lines(text)["z",] == line


def test_a_path_without_a_line_of_its_own_gets_that_of_what_contains_it():
    lines = key_lines("\n[data]\nnormalize = { mean = [0.5], std = [0] }\n")
    assert line_of(lines, ("data", "normalize", "std", 0)) == 3
    assert line_of(lines, ("data", "nme")) == 2
    assert line_of(lines, ("nme",)) == 0


NAMES = st.sampled_from(["a", "b", "c-d", "e f", "g.h", "1"])
SCALARS = st.integers(0, 9) | st.sampled_from(["x", "two\nlines", "[", "'''", "# no"]) | st.lists(st.integers(0, 9))
TABLES = st.recursive(
    st.dictionaries(NAMES, SCALARS, max_size=3),
    lambda inner: st.dictionaries(NAMES, SCALARS | inner | st.lists(inner, min_size=1, max_size=2), max_size=3),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(TABLES)
def test_every_key_at_the_top_is_found_on_a_line_that_names_it(plain: dict[str, object]):
    text = tomli_w.dumps(plain, multiline_strings=True)
    lines, shown = key_lines(text), text.split("\n")
    for key in plain:
        line = next((line for path, line in lines.items() if path[0] == key), 0)
        assert line > 0, key
        assert key in shown[line - 1]
