"""The code of every notebook as a module, for the type checker: notebook_code.py FOLDER."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GIVEN = "from IPython.display import display\n"  # what a kernel has without asking


def write(folder: Path) -> None:
    """Make the package ``notebook_code`` in a folder, anew."""
    package = folder / "notebook_code"
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        plain = re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.MULTILINE)
        (package / f"notebook_{path.stem}.py").write_text(f"{GIVEN}{plain}\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
