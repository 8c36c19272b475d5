"""What a terminal would act on is shown as its escape; what it would not stays."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from prunetui.terminal.printable import HIDDEN, one_line, own_lines, quoted


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("plain words", "plain words"),
        ("剪枝 обрезка é 👍 ⣿", "剪枝 обрезка é 👍 ⣿"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m\x9d0;x\x9c", "\\x9b31m\\x9d0;x\\x9c"),  # the same in one byte of Latin-1
        ("a\r\nb\tc\x7f\x00", "a\\r\\nb\\tc\\x7f\\x00"),
        ("\u202egpj.exe\u202c \u2066x\u2069", "\\u202egpj.exe\\u202c \\u2066x\\u2069"),
        ("\u200b\u200d\u200e\ufeff\u2060\u00ad", "\\u200b\\u200d\\u200e\\ufeff\\u2060\\xad"),
        ("a\u2028b\u2029c\x85d", "a\\u2028b\\u2029c\\x85d"),
        ("\udc80\ud800", "\\udc80\\ud800"),
        ("\U000e0041\u3164", "\\U000e0041\\u3164"),
    ],
)
def test_hidden_characters_are_shown_in_ascii_and_others_stay(typed: str, shown: str):
    assert one_line(typed) == shown


def test_of_all_characters_none_is_left_that_hides():
    every = one_line("".join(map(chr, range(sys.maxunicode + 1))))
    assert not {letter for letter in every if unicodedata.category(letter) in HIDDEN}
    assert every.encode()  # no lone surrogate either


def test_own_lines_keep_their_newlines_alone():
    assert own_lines("a\n b\rc\x1b") == "a\n b\\rc\\x1b"


@pytest.mark.parametrize("newline", ["\n", "\r", "\r\n", "\x85", "\u2028", "\x0b"])
def test_a_quoted_message_has_one_line_that_passes_for_ours(newline: str):
    assert quoted(f"cannot read x{newline}prunetui: all is well{newline}") == "cannot read x\n  | prunetui: all is well"
