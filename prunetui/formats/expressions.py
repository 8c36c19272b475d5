"""Sizes as a .pt2 file spells them: looked through word by word, never evaluated.

torch hands this text to sympy, which evaluates it as Python. Here sizes come from the images, so that it is enough to
know that the text holds nothing but sizes and arithmetic.
"""

from __future__ import annotations

import re

from prunetui.formats.refused import Refused, shown

MOST_CHARACTERS = 2000
_FUNCTIONS = """
Add CeilDiv CeilToInt CleanDiv Eq Equality FloatPow FloatTrueDiv Float FloorDiv FloorToInt Ge GreaterThan Gt Identity
IntTrueDiv Integer Le LessThan LShift Lt Max Min Mod ModularIndexing Mul Ne Not And Or Pow PowByNatural PythonMod
RShift Rational RoundDecimal RoundToInt StrictGreaterThan StrictLessThan ToFloat TruncToFloat TruncToInt Unequality
Where true false True False
"""
_WORDS = "|".join(sorted(_FUNCTIONS.split(), key=len, reverse=True))
_SYMBOL = r"[a-z]{1,4}[0-9]{1,9}"
_SYMBOL_CALL = rf"Symbol\('{_SYMBOL}'(?:, [a-z_]{{1,20}}=(?:True|False)){{0,8}}\)"
_NUMBER = r"[0-9]{1,20}(?:\.[0-9]{1,20})?"
_ARITHMETIC = r"[-+*/%(),<>=!&|~ ]"
_SIZE = re.compile(rf"(?:{_SYMBOL_CALL}|{_SYMBOL}\b|(?:{_WORDS})\b|{_NUMBER}\b|{_ARITHMETIC})*")

_INPUT = r"L\[['\"][A-Za-z_][A-Za-z0-9_]{0,60}['\"]\]"
_GUARD = re.compile(
    rf"(?:{_INPUT}|\.size\(\)\[[0-9]{{1,3}}\]|\.shape\[[0-9]{{1,3}}\]|(?:and|or|not)\b|{_NUMBER}\b|{_ARITHMETIC})*"
)


def check_size(text: object) -> None:
    """Look through the expression of a size.

    Raises:
        Refused: it holds anything but sizes, numbers, arithmetic and the functions of torch's sizes.
    """
    if not isinstance(text, str) or len(text) > MOST_CHARACTERS or not _SIZE.fullmatch(text):
        raise Refused(f"it holds the expression {shown(text)}, which is more than arithmetic on sizes")


def check_guard(text: object) -> None:
    """Look through a condition on the size of an input.

    Raises:
        Refused: it is anything else.
    """
    if not isinstance(text, str) or len(text) > MOST_CHARACTERS or not _GUARD.fullmatch(text):
        raise Refused(f"it holds the condition {shown(text)}, which is more than a comparison of sizes")
