"""Text from elsewhere made harmless to print: what a terminal would act on, or not show, is shown as its escape.

Names, labels, errors and logs of a run may be anybody's. A control character among them could move the cursor, set
the title of the window or the clipboard; a newline could pass for a row of ours; a bidirectional override could turn
words around. Each of them is shown as Python writes it (``\\x1b``, ``\\n``, ``\\u202e``), in ASCII.
"""

from __future__ import annotations

import re
import unicodedata

HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories that are escaped: controls, formats (bidirectional, zero-width), surrogates, line separators."""
BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u3164\uffa0"
"""Letters and marks that show nothing either."""
SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
BEYOND_ASCII = re.compile(r"[^ -~]")


def one_line(text: object) -> str:
    """The text on a single line that nothing in it can leave."""
    words = str(text)
    return words if words.isascii() and words.isprintable() else BEYOND_ASCII.sub(_shown, words)


def own_lines(text: object) -> str:
    """The text with its newlines, for what we have composed of lines ourselves; all else as in ``one_line``."""
    return "\n".join(map(one_line, str(text).split("\n")))


def quoted(text: object) -> str:
    """A message that may quote another program's: its further lines are marked, so that none passes for ours."""
    return "\n  | ".join(map(one_line, str(text).rstrip().splitlines()))


def is_hidden(letter: str) -> bool:
    """Whether a terminal would act on this character or show nothing for it."""
    return letter in BLANKS or unicodedata.category(letter) in HIDDEN


def _shown(found: re.Match[str]) -> str:
    letter = found[0]
    if not is_hidden(letter):
        return letter
    if letter in SHORT:
        return SHORT[letter]
    return f"\\x{ord(letter):02x}" if letter.isascii() else letter.encode("ascii", "backslashreplace").decode()
