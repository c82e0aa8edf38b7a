"""Visits of a browser to the pages of the site, and what is wrong with what it sees."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from molrg.companion import chromium

DESKTOP, PHONE = 1280, 390
Setting = tuple[int, str]  # width in pixels, theme
# Light and dark meet both widths once here; all four pairs with MOLRG_BROWSER=full.
USUAL = ((DESKTOP, "light"), (PHONE, "dark"))
FULL = (*USUAL, (DESKTOP, "dark"), (PHONE, "light"))
# What the theme itself says on every page that opens from a file.
HARMLESS = ("THEBE_JS_URL", "has been blocked by CORS policy")

# What the switch of the theme does.
CHANGE = "(theme) => Object.assign(document.documentElement.dataset, {mode: theme, theme})"

# Colours that change with the theme pass through others on their way: they are put at their end.
# And a third of a second after a change of width or content the theme's script lets the keyboard
# reach the boxes that scroll, and them only. This waits for it, three seconds at most.
SETTLE = """async () => {
  const ends = (moving) => Number.isFinite(moving.effect?.getComputedTiming().endTime);
  document.getAnimations().filter(ends).forEach((moving) => moving.finish());
  const scrolls = (box) =>
    box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
  const late = (box) => scrolls(box) !== (box.tabIndex >= 0);
  const boxes = [...document.querySelectorAll("pre, .cell_output > .output")];
  const until = performance.now() + 3000;
  do await new Promise(requestAnimationFrame);
  while (boxes.some(late) && performance.now() < until);
}"""

STATE = """async () => {
  if (window.MathJax?.startup?.promise) await window.MathJax.startup.promise;
  const pictures = [...document.images];
  for (const picture of pictures) picture.loading = "eager";
  await Promise.all(pictures.map((picture) => picture.decode().catch(() => null)));
  const shown = (picture) => picture.alt || picture.src.slice(-80);
  const bare = (alt) => !alt.trim() || alt.includes("_images/") || /[.](png|svg|jpg)$/.test(alt);
  const inside = [...document.querySelectorAll("a[href]")].map((link) => link.href);
  return {
    "equation not typeset": [...document.querySelectorAll(".math")]
      .filter((math) => !math.querySelector("mjx-container") || math.querySelector("mjx-merror"))
      .map((math) => math.textContent.slice(0, 60)),
    "image that does not show": pictures.filter((p) => p.naturalWidth === 0).map(shown),
    "image without a text": pictures.filter((p) => bare(p.alt)).map((p) => p.src.slice(-80)),
    "wider than the window": document.documentElement.scrollWidth > window.innerWidth
      ? [`${document.documentElement.scrollWidth} px`] : [],
    links: inside.filter((address) => address.startsWith("file:")),
    ids: [...document.querySelectorAll("[id], a[name]")].map((node) => node.id || node.name),
  };
}"""


# Before the rules are asked. They pass over formulas and judge every word of code by its colours.
# So a formula becomes an empty box of its size, and of the words of code, or of signatures, of one
# class, which look the same, the first is kept as it is and the others become plain text.
FEWER = """() => {
  const formulas = [...document.querySelectorAll("mjx-container")].map((formula) => {
    const box = (formula.querySelector("mjx-math") ?? formula).getBoundingClientRect();
    return [formula, box.width, box.height];
  });
  for (const [formula, width, height] of formulas) {
    const box = document.createElement("span");
    box.textContent = "formula";
    box.style = `display:inline-block;overflow:hidden;width:${width}px;height:${height}px`;
    formula.replaceChildren(box);
  }
  const words = [...document.querySelectorAll(
    ".highlight pre span[class]:not([id]), dt.sig span[class]:not([id])")]
    .filter((word) => !word.childElementCount && word.checkVisibility())
    .map((word) => [word, `${word.parentElement.closest("[class]").className} ${word.className}`]);
  const seen = new Set();
  for (const [word, kind] of words) {
    if (seen.has(kind)) word.replaceWith(...word.childNodes);
    seen.add(kind);
  }
}"""


# Not in the full run: of the entries of the reference, which have one template, twenty a page are
# left to the rules, and the contents at the side, the same on all pages, to the first of a folder.
# And the contrast of a text with its ground, which takes longest, is judged once for each look: the
# colours, the size and the weight of the letters, and all that lies behind them.
FEWEST = """(first) => {
  [...document.querySelectorAll("dl.py")].slice(20).forEach((entry) => entry.remove());
  if (!first) document.querySelector(".bd-sidebar-primary .bd-links")?.remove();
  const grounds = new Map([[null, ""]]);
  const ground = (node) => {
    if (!grounds.has(node)) {
      const {backgroundColor, backgroundImage, opacity} = getComputedStyle(node);
      const own = `${backgroundColor} ${backgroundImage} ${opacity}`;
      const behind = ground(node.parentElement);
      grounds.set(node, own === "rgba(0, 0, 0, 0) none 1" ? behind : `${own} on ${behind}`);
    }
    return grounds.get(node);
  };
  const texts = [...document.body.querySelectorAll("*")].filter((node) =>
    node.checkVisibility() &&
    [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim()));
  const seen = new Set();
  for (const text of texts) {
    const {color, fontSize, fontWeight, textShadow} = getComputedStyle(text);
    const look = [color, fontSize, fontWeight, textShadow, ground(text)].join(" ");
    if (seen.has(look)) text.dataset.sameLook = "";
    seen.add(look);
  }
}"""


# What the rules of axe say that is serious; what is inside an equation is MathJax's own.
# Without `preload` false it fetches the style sheets again, which a page from a file may not.
RULES = """async () => {
  axe.configure({rules: [{id: "color-contrast", selector: "*:not([data-same-look])"}]});
  const outside = {exclude: [["mjx-container"]]};
  const options = {resultTypes: ["violations"], preload: false};
  const {violations} = await axe.run(outside, options);
  return violations
    .filter((rule) => ["serious", "critical"].includes(rule.impact))
    .flatMap((rule) => rule.nodes.map((node) => [rule.id, node.html.slice(0, 120)]));
}"""


@dataclass
class Visit:
    """One page in one setting, with what was wrong, by kind."""

    page: str
    width: int
    theme: str
    faults: dict[str, list[str]] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    asked: bool = False  # whether the rules of accessibility were tried

    def note(self, kind: str, what: str) -> None:
        if not any(known in what for known in HARMLESS):
            self.faults.setdefault(kind, []).append(what)


def window(browser: Any, width: int, theme: str) -> Any:
    """A page of that width and theme, offline; it is used for one address after the other."""
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    context.add_init_script(
        f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')"
    )
    return context.new_page()


def visit(site: Path, names: Sequence[str], settings: Sequence[Setting]) -> list[Visit]:
    """Open every page and note what is wrong in every setting.

    Loading and the rules of accessibility take longest. With few settings a page is loaded in one
    of them, changed to the others in place, and meets the rules in the last; the next page begins
    with another. With all settings it is loaded, and meets the rules, in each.

    The pages are shared between as many Chromiums as there are processors.
    """
    whole = len(settings) == len(FULL)
    shares = min(os.cpu_count() or 1, len(names))

    def tour(share: int) -> list[Visit]:
        with chromium.browser() as browser:
            windows = {setting: window(browser, *setting) for setting in settings}
            guide = _Guide(site, windows, None if whole else _firsts(names))
            for number in range(share, len(names), shares):
                for order in _orders(settings, number, whole):
                    guide.visit(names[number], order)
        return guide.visits

    with ThreadPoolExecutor(shares) as pool:
        return [visit for tour in pool.map(tour, range(shares)) for visit in tour]


def _firsts(names: Sequence[str]) -> set[str]:
    """The first page of each folder."""
    folders: dict[str, str] = {}
    for name in names:
        folders.setdefault(name.rpartition("/")[0], name)
    return set(folders.values())


def _orders(settings: Sequence[Setting], number: int, whole: bool) -> list[list[Setting]]:
    """The settings for each load of a page, in the order in which it is seen."""
    if whole:
        return [[setting] for setting in settings]
    first = number // (os.cpu_count() or 1) % len(settings)
    return [[*settings[first:], *settings[:first]]]


class _Guide:
    """Visits of one Chromium, a window for each setting.

    On the first pages, and on all where none are named, the rules are asked of all that is there.
    """

    def __init__(
        self, site: Path, windows: dict[Setting, Any], firsts: set[str] | None = None
    ) -> None:
        self.site, self.windows, self.firsts = site, windows, firsts
        self.visits: list[Visit] = []
        for page in windows.values():
            page.on("pageerror", lambda error: self.visits[-1].note("page error", str(error)))
            page.on("requestfailed", lambda lost: self.visits[-1].note("failed request", lost.url))
            page.on("console", lambda said: _said(self.visits[-1], said.type, said.text))

    def visit(self, name: str, settings: Sequence[Setting]) -> None:
        """Load a page in the first setting, look at it in all, ask the rules in the last."""
        page = self.windows[settings[0]]
        for place, (width, theme) in enumerate(settings):
            self.visits.append(Visit(name, width, theme))
            page.set_viewport_size({"width": width, "height": 900})
            if place:
                page.evaluate(CHANGE, theme)
                page.evaluate(SETTLE)
            else:
                page.goto((self.site / name).as_uri())
            _look(page, self.visits[-1])
        if self.firsts is not None:
            page.evaluate(FEWEST, name in self.firsts)
        _ask(page, self.visits[-1])


def _said(visit: Visit, kind: str, text: str) -> None:
    """A line of the console; a file that fails to load is noted as a request already."""
    if kind == "error" and "Failed to load resource" not in text:
        visit.note("console error", text)


def _look(page: Any, visit: Visit) -> None:
    """What the page itself can tell."""
    state = page.evaluate(STATE)
    visit.links = state.pop("links")
    visit.ids = set(state.pop("ids"))
    for kind, places in state.items():
        for place in places:
            visit.note(kind, place)


def _ask(page: Any, visit: Visit) -> None:
    """What the rules of accessibility say."""
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate(FEWER)
    page.evaluate(SETTLE)
    page.evaluate(Axe().axe_script)
    for rule, place in page.evaluate(RULES):
        visit.note(f"axe: {rule}", place)
    visit.asked = True


def broken_links(visits: Iterable[Visit], site: Path) -> list[str]:
    """Links of one page to a place of another that is not there."""
    visits = list(visits)
    ids = {(site / visit.page).as_uri(): visit.ids for visit in visits}
    broken = []
    for visit in visits:
        for link in visit.links:
            address, _, anchor = link.partition("#")
            if anchor and address in ids and unquote(anchor) not in ids[address]:
                broken.append(f"{visit.page}: {link.removeprefix(site.as_uri())}")
    return sorted(set(broken))


def table(visits: Iterable[Visit]) -> str:
    """How many pages were opened in each setting, and how many faults of each kind they had."""
    visits = list(visits)
    kinds = sorted({kind for visit in visits for kind in visit.faults})
    lines = ["width  theme  pages   axe  " + "  ".join(kinds or ["no fault of any kind"])]
    for width, theme in dict.fromkeys((visit.width, visit.theme) for visit in visits):
        here = [visit for visit in visits if (visit.width, visit.theme) == (width, theme)]
        counts = [sum(len(visit.faults.get(kind, [])) for visit in here) for kind in kinds]
        asked = sum(visit.asked for visit in here)
        cells = "  ".join(
            f"{count:>{len(kind)}}" for kind, count in zip(kinds, counts, strict=True)
        )
        lines.append(f"{width:>5}  {theme:<5}  {len(here):>5}  {asked:>4}  {cells}")
    return "\n".join(lines)
