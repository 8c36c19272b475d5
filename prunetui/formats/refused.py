"""What is said of a file that holds more than data."""

from __future__ import annotations


class Refused(ValueError):
    """A well-formed file that asks for something this program does not do with files from elsewhere."""


def reason(error: Exception, most: int = 200) -> str:
    """The first line of a library's error, which may repeat what a file holds, without control characters."""
    lines = str(error).splitlines() or [type(error).__name__]
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in lines[0][:most])


def shown(text: object, most: int = 60) -> str:
    """Text of a file for a message: one line, of a length that a terminal shows, without control characters."""
    plain = ascii(text)
    return plain if len(plain) <= most else f"{plain[: most - 4]}...{plain[-1]}"
