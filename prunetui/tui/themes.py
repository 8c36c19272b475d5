"""Dark, light and high-contrast colours. Series keep the colours of ``chart``: told apart by everyone."""

from __future__ import annotations

from textual.theme import Theme

THEMES = (
    Theme(
        name="prunetui-dark",
        primary="#56b4e9",
        secondary="#009e73",
        accent="#e69f00",
        success="#3fb68b",
        warning="#e69f00",
        error="#ff6b5e",
        background="#11151a",
        surface="#171c23",
        panel="#1f2630",
        foreground="#d8dee6",
        dark=True,
    ),
    Theme(
        name="prunetui-light",
        primary="#0063a0",
        secondary="#007a5a",
        accent="#a86400",
        success="#007a5a",
        warning="#a86400",
        error="#b3261e",
        background="#fbfbf9",
        surface="#f2f2ee",
        panel="#e4e5df",
        foreground="#1b1f24",
        dark=False,
    ),
    Theme(
        name="prunetui-contrast",
        primary="#ffffff",
        secondary="#00ffff",
        accent="#ffff00",
        success="#00ff00",
        warning="#ffff00",
        error="#ff5555",
        background="#000000",
        surface="#000000",
        panel="#1a1a1a",
        foreground="#ffffff",
        dark=True,
    ),
)
NAMES = tuple(theme.name for theme in THEMES)
