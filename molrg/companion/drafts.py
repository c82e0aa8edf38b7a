"""A new claim: a notebook to fill in, its entry in the ledger, its lines in contents and README.

The claim is registered as planned. Its notebook is a draft until the entry says `landed`: no run
and no page takes it before.
"""

from __future__ import annotations

import json
import re
import unicodedata
from contextlib import ExitStack
from pathlib import Path
from string import Template
from typing import Any

from molrg import claims, files

_STATIC = Path(__file__).parent / "static"
_BUT = "planned; nothing has been measured yet"
_LONGEST = 100  # characters of a title: it stands in tables and on the sidebar


def begin(id: str, title: str) -> list[Path]:
    """Make the draft of a claim; returns the files that were made or changed.

    All texts are ready before the first is written.

    Args:
        id: the next free one, such as "C26".
        title: the claim as a sentence in plain words.

    Raises:
        ValueError: where the id is taken or of another form, the title is no plain sentence, or a
            file that is to be changed is not as expected.
    """
    root = claims.root()
    title = _plain_sentence(title)
    number = _free(id, root)
    name = f"{number}_{_slug(title)}"
    words = {"id": id, "small": id.lower(), "number": number, "title": title, "name": name}
    texts = {
        root / "notebooks" / f"{name}.ipynb": _notebook(words),
        root / "book" / "claims.yml": _ledger(root, words),
        root / "_toc.yml": _contents(root, words),
        root / "README.md": _readme(root, words),
    }
    with ExitStack() as stack:
        for path, text in texts.items():
            aside = stack.enter_context(files.replacing(path))
            aside.write_text(text, encoding="utf-8")
    return list(texts)


def _free(id: str, root: Path) -> str:
    """The two digits of an id that no claim and no notebook has."""
    if not re.fullmatch(r"C\d\d", id):
        raise ValueError(f"id = {id!r}: allowed is C and two digits, such as C26")
    if id in claims.registry():
        taken = claims.claim(id)["title"]
        raise ValueError(f"id = {id!r}: allowed is a new one; this is {taken!r}")
    there = [path.name for path in (root / "notebooks").glob(f"{id[1:]}_*.ipynb")]
    if there:
        raise ValueError(f"id = {id!r}: allowed is one without a notebook; there is {there[0]}")
    return id[1:]


def _plain_sentence(title: str) -> str:
    """The title, checked: it becomes a heading, a row of tables, YAML, and a file name."""
    plain = " ".join(title.split())
    odd = sorted({c for c in plain if c in '$`|<>{}[]\\"#*_' or not c.isprintable()})
    if odd or len(_words(plain)) < 3 or len(plain) > _LONGEST:
        allowed = f"three words or more, at most {_LONGEST} characters, no sign such as $ ` | < >"
        raise ValueError(f"title = {title!r}: allowed is {allowed}")
    return plain


def _words(title: str) -> list[str]:
    """The words of a title in plain letters; those with accents lose them."""
    ascii = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.findall(r"[a-z0-9]+", ascii)


def _slug(title: str) -> str:
    """A file name of a few words."""
    words = [word for word in _words(title) if word not in ("a", "an", "the", "of", "is", "are")]
    return "_".join(words[:6])


def _ledger(root: Path, words: dict[str, str]) -> str:
    """The ledger with a planned entry at its end."""
    text = (root / "book" / "claims.yml").read_text(encoding="utf-8").rstrip("\n")
    entry = Template((_STATIC / "claim.yml").read_text(encoding="utf-8"))
    quoted = words | {
        "but": json.dumps(_BUT),
        "quoted": json.dumps(words["title"], ensure_ascii=False),
    }
    return f"{text}\n\n{entry.substitute(quoted).rstrip()}\n"


def _contents(root: Path, words: dict[str, str]) -> str:
    """The contents with a line after the last notebook."""
    path = root / "_toc.yml"
    lines = path.read_text(encoding="utf-8").splitlines()
    last = [k for k, line in enumerate(lines) if "- file: notebooks/" in line]
    if not last:
        raise ValueError(f"{path.name} = without notebooks: allowed is a list with some")
    place = last[-1] + 1
    indent = " " * (len(lines[last[-1]]) - len(lines[last[-1]].lstrip()))
    while place < len(lines) and lines[place].startswith(f"{indent}  "):
        place += 1  # its title
    title = json.dumps(f"{words['id']} {words['title']}", ensure_ascii=False)
    new = [f"{indent}- file: notebooks/{words['name']}", f"{indent}  title: {title}"]
    return "\n".join([*lines[:place], *new, *lines[place:]]) + "\n"


def _readme(root: Path, words: dict[str, str]) -> str:
    """The README with a row at the end of its verdicts."""
    path = root / "README.md"
    mark = "<!-- end of verdicts -->"
    before, end, after = path.read_text(encoding="utf-8").partition(mark)
    if not end:
        raise ValueError(f"{path.name} = without {mark!r}: allowed is with this line")
    return f"{before}| {words['id']} | {words['title']} | planned | {_BUT} |\n{end}{after}"


def _notebook(words: dict[str, str]) -> str:
    """A notebook in the house style: every cell that the tests ask for, with what to write."""
    template = json.loads((_STATIC / "claim.json").read_text(encoding="utf-8"))
    filled = _filled(template, words)
    return json.dumps(filled, indent=1, ensure_ascii=False) + "\n"


def _filled(node: Any, words: dict[str, str]) -> Any:
    """The same tree with @names@ replaced in its texts."""
    if isinstance(node, str):
        return re.sub(r"@(\w+)@", lambda name: words[name[1]], node)
    if isinstance(node, list):
        return [_filled(child, words) for child in node]
    if isinstance(node, dict):
        return {key: _filled(child, words) for key, child in node.items()}
    return node
