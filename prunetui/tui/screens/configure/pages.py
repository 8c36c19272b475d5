"""The pages of a study: a list of them, and the one that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from prunetui.errors import Mistake
from prunetui.plugins.method_catalogue import catalogue
from prunetui.tui.screens.configure.draft_checks import Checked
from prunetui.tui.screens.configure.fields import Section, method_specs
from prunetui.tui.screens.configure.form import Form
from prunetui.tui.screens.configure.method_picker import MethodPicker, about
from prunetui.tui.screens.configure.mistake_places import contains
from prunetui.tui.screens.configure.plan_pane import PlanPane
from prunetui.tui.screens.configure.study_draft import Draft, Path
from prunetui.tui.screens.configure.toml_pane import Toml

if TYPE_CHECKING:
    from prunetui.plan.estimate import Estimate


class Nav(OptionList):
    """The list of pages; the one under the cursor is shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("g", "first", "First", show=False),
        Binding("G", "last", "Last", show=False),
        Binding("right,l,enter", "screen.enter_page", "Edit", show=False),
    ]

    def list_pages(self, sections: Sequence[Section]) -> None:
        """Fill it, once."""
        if not self.option_count:
            self.add_options([Option(page.title, id=page.key) for page in sections])
            self.highlighted = 0
            self.focus()

    def turn(self, by: int) -> None:
        """To another page."""
        if self.option_count:
            self.highlighted = ((self.highlighted or 0) + by) % self.option_count
            self.focus()

    def go_to(self, key: str) -> None:
        """To the page with this name."""
        self.highlighted = self.get_option_index(key)

    def mark(self, sections: Sequence[Section], wrong: set[str], methods: int) -> None:
        """Which pages have mistakes."""
        for i, page in enumerate(sections):
            count = f" {methods}" if page.key == "methods" else ""
            words = f"{page.title}{count}{' !' if page.key in wrong else ''}"
            self.replace_option_prompt_at_index(i, Text(words, "bold" if page.key in wrong else ""))


class Pages(Container):
    """Makes a page when it is first shown and keeps it; tells all of them what is wrong."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.sections: Sequence[Section] = ()
        self.draft, self.outside = Draft(), Draft()
        self.key = ""
        self._seen: tuple[Checked, Estimate | None] | None = None

    async def begin(self, draft: Draft, outside: Draft, sections: Sequence[Section]) -> None:
        """Edit another draft; the same page is shown."""
        self.draft, self.outside, self.sections = draft, outside, sections
        await self.remove_children()
        await self.turn_to(self.key or sections[0].key)

    async def turn_to(self, key: str) -> None:
        """Bring a page to the front."""
        self.key = key
        await self.query(".method-page").remove()
        if not self.query(f"#page-{key}"):
            await self.mount(self._made(next(page for page in self.sections if page.key == key)))
        for child in self.children:
            child.display = child.id == f"page-{key}"
        self.tell()

    def _made(self, page: Section) -> Form | MethodPicker | PlanPane | Toml:
        where = f"page-{page.key}"
        if page.key == "methods":
            return MethodPicker(self.draft, list(catalogue().methods.values()), id=where)
        if page.key == "plan":
            return PlanPane(id=where)
        if page.key == "toml":
            return Toml(id=where)
        form = Form(self.draft, self.outside, page.specs, Text(page.help, "dim"), id=where)
        form.elsewhere = tuple(other.key for other in self.sections)
        return form

    async def on_method_picker_options_asked(self, message: MethodPicker.OptionsAsked) -> None:
        message.stop()
        specs = method_specs(message.info, message.place)
        form = Form(self.draft, self.outside, specs, about(message.info), classes="method-page")
        await self.mount(form)
        for child in self.children:
            child.display = child is form
        self.tell()
        form.go_to()

    async def close_method(self) -> bool:
        """Back from a method to the list of methods; False when none is open."""
        if not self.query(".method-page"):
            return False
        await self.turn_to("methods")
        picker = self.query_one(MethodPicker)
        picker.fill()
        picker.table.focus()
        return True

    def clear_search(self) -> bool:
        """Forget what was searched among the methods; False when nothing was."""
        return self.key == "methods" and self.query_one(MethodPicker).clear_search()

    def enter(self) -> None:
        """Focus the page in front."""
        for child in self.children:
            if child.display and isinstance(child, Form):
                child.go_to()
            elif child.display:
                next((node for node in child.query("VirtualTable") if node.display), child).focus()

    def go_to_mistake(self, mistake: Mistake) -> None:
        """Focus what a mistake is about, on the page in front."""
        page = self.query_one(f"#page-{self.key}")
        if isinstance(page, Form | MethodPicker):
            page.go_to_mistake(mistake)

    def show(self, checked: Checked, plan: Estimate | None) -> None:
        """What is wrong, or what the study will take."""
        self._seen = (checked, plan)
        self.tell()

    def tell(self) -> None:
        """Show what was found to the pages there are."""
        if self._seen is None:
            return
        checked, plan = self._seen
        for page in self.children:
            if isinstance(page, Form | MethodPicker):
                page.show_mistakes(checked.mistakes)
            if isinstance(page, Form) and checked.study is not None:
                page.show_silent(checked.study)
            if isinstance(page, PlanPane):
                page.show(checked, plan)
            elif isinstance(page, Toml):
                page.show(checked)

    def show_again(self, paths: Sequence[Path]) -> None:
        """Fields whose values changed by something else than typing."""
        for form in self.query(Form):
            form.show_again(paths)

    def page_of(self, path: str) -> str:
        """The page on which a mistake is shown."""
        return next((page.key for page in self.sections if contains(page.key, path)), "study")
