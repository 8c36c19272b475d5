"""JSON from elsewhere: what is read, and what is refused in words."""

import math

import pytest

from prunetui.files.safe_json import read_json


def test_reads_what_json_is() -> None:
    text = '{"a": [1, -2, 2.5, "[[[", true, null], "b": {"c": "\\u00e9 \\ud83d\\ude00"}}'
    wanted = {"a": [1, -2, 2.5, "[[[", True, None], "b": {"c": "é 😀"}}
    assert read_json(text) == wanted
    assert read_json(text.encode()) == wanted


def test_depth_counts_containers_and_not_text() -> None:
    assert read_json("[[[1]]]", depth=3) == [[[1]]]
    assert read_json('["[[[[", "a\\"[[[["]', depth=1) == ["[[[[", 'a"[[[[']
    assert read_json("[[], [], [], {}]", depth=2) == [[], [], [], {}]
    with pytest.raises(ValueError, match="more than 2 deep"):
        read_json('[{"a": [1]}]', depth=2)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_an_endless_nest_is_refused_at_once(opening: str) -> None:
    with pytest.raises(ValueError, match="more than 64 deep"):
        read_json(opening * 500_000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1" * 5000, "an integer of 5,000 digits"),
        ("-" + "1" * 21, "an integer of 21 digits"),
        ("[1." + "1" * 5000 + "]", "a number of 5,002 characters"),
        ("", "it is not JSON"),
        ("{'a': 1}", "it is not JSON"),
        ("[1, 2", "it is not JSON"),
        (b"\xff\xfe[\x00", "not UTF-8"),
        ('["\\ud800"]', "half of a Unicode character"),
        ('{"\\udfff": 1}', "half of a Unicode character"),
        ("\ufeff[]", "it is not JSON"),
    ],
)
def test_refused_in_a_line(text: "bytes | str", words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read_json(text)
    assert len(str(caught.value).splitlines()) == 1


def test_size() -> None:
    assert read_json(b"[10]", most_bytes=4) == [10]
    with pytest.raises(ValueError, match=r"5 bytes; at most 4"):
        read_json(b"[100]", most_bytes=4)


def test_numbers_that_are_none_only_where_wanted() -> None:
    assert math.isnan(read_json("NaN"))
    assert read_json("[-Infinity, 1e999]") == [-math.inf, math.inf]
    for text in ("NaN", "[-Infinity]", "1e999"):
        with pytest.raises(ValueError, match=r"no number|beyond float64"):
            read_json(text, finite=True)
    assert read_json("1e300", finite=True) == 1e300
