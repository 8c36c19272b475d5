"""Screens that are told by threads what is new in the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from textual.message import Message
from textual.screen import ModalScreen, Screen

from prunetui.tui.feed import Feed

V = TypeVar("V")


def is_covered(screen: Screen[Any]) -> bool:
    """Whether another screen, not a dialog, lies over it.

    What changes beneath is not drawn: Textual would send the whole terminal again for it.
    """
    stack = screen.app.screen_stack
    if screen not in stack:
        return True
    return not all(isinstance(other, ModalScreen) for other in stack[stack.index(screen) + 1 :])


class FollowingScreen(Screen[None]):
    """Looks at something while it can be seen."""

    def __init__(self) -> None:
        super().__init__()
        self._feeds: list[Feed[Any]] = []

    def follow(self, look: Callable[[], V], changed: Callable[[V], Message], seconds: float) -> None:
        """Look every so often; what ``changed`` makes of it is posted when it is something else than before."""

        def tell(seen: V) -> None:
            if self.is_attached:
                self.post_message(changed(seen))

        def failed(words: str) -> None:
            app.call_later(app.notify, f"this cannot be read: {words}", severity="error")

        app = self.app
        feed = Feed(look, tell, seconds, wanted=lambda: not is_covered(self), failed=failed)
        self._feeds.append(feed)
        self.call_after_refresh(feed.start)  # reading takes time from drawing, and there is nothing to see yet

    def on_unmount(self) -> None:
        for feed in self._feeds:
            feed.close()

    def look_again(self) -> None:
        """Something was done to it: look now, not at the next turn."""
        for feed in self._feeds:
            feed.nudge()
