"""Contract: ledger, notebooks, book and package fit together, and keep to what they promise.

Every search below has a small test of its own at the end, because a search that finds nothing
proves nothing.
"""

from __future__ import annotations

import ast
import io
import json
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
import yaml

import molrg
from molrg import claims
from molrg.companion import robustness

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = sorted(
    path
    for path in (ROOT / "book").rglob("*.md")
    if not any(part.startswith("_") for part in path.relative_to(ROOT).parts)
)
MODULES = sorted((ROOT / "molrg").rglob("*.py"))
SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))
LANDED = {id: entry for id, entry in claims.registry().items() if entry["status"] == "landed"}
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_page = pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=lambda path: path.name)
each_module = pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "molrg"))
)


def cells(path):
    """Cells of a notebook, their source as one string."""
    return [
        cell | {"source": "".join(cell["source"])}
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
    ]


def code_of(cell):
    """Code without the lines that only IPython understands."""
    return re.sub(r"^\s*[%!].*$", "pass", cell["source"], flags=re.MULTILINE)


def code_cells(path):
    return [cell for cell in cells(path) if cell["cell_type"] == "code"]


def tagged(path, tag):
    return [cell for cell in code_cells(path) if tag in cell["metadata"].get("tags", [])]


def python_of(path):
    """Python of a module, a script, or all cells of a notebook."""
    return (
        path.read_text(encoding="utf-8")
        if path.suffix == ".py"
        else "\n".join(map(code_of, code_cells(path)))
    )


def prose_of(path):
    """Markdown of a page, or the markdown cells and figure captions of a notebook."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    parts = [cell["source"] for cell in cells(path) if cell["cell_type"] == "markdown"]
    for cell in code_cells(path):
        figure = cell["metadata"].get("mystnb", {})
        parts += [
            figure.get("figure", {}).get("caption", ""),
            figure.get("image", {}).get("alt", ""),
        ]
    return "\n\n".join(parts)


def dotted(node):
    """The name a.b.c of an expression, "" where it is no plain name; a call in it is written ()."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return "()"


# ledger, notebooks and contents


def test_every_landed_claim_has_its_notebook_and_every_notebook_its_claim():
    """A planned claim may have a draft."""
    names = {path.stem for path in NOTEBOOKS}
    assert {entry["notebook"] for entry in LANDED.values()} <= names
    assert names <= {entry["notebook"] for entry in claims.registry().values()}


def listed(entry):
    """Files that an entry of the contents names, and below it; globs name generated pages."""
    below = [child for key in ("parts", "chapters", "sections") for child in entry.get(key, [])]
    here = [entry[key] for key in ("root", "file") if key in entry]
    return here + [name for child in below for name in listed(child)]


def test_every_notebook_is_in_the_contents_and_every_page_exists():
    names = listed(yaml.safe_load((ROOT / "_toc.yml").read_text()))
    sources = [path.relative_to(ROOT).with_suffix("").as_posix() for path in (*PAGES, *NOTEBOOKS)]
    assert sorted(names) == sorted(sources)


def test_no_address_of_a_page_was_ever_given_up():
    """Links from elsewhere last; where a page has to move, a redirect stays behind."""
    command = ["git", "-C", str(ROOT), "log", "-p", "--format=", "--", "_toc.yml"]
    log = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    before = set(re.findall(r"^\+.*(?:file|root): *(\S+)", log, flags=re.MULTILINE))
    if not before:
        pytest.skip("not a clone with its history")
    assert before <= set(listed(yaml.safe_load((ROOT / "_toc.yml").read_text())))


@each_notebook
def test_a_notebook_checks_its_own_claim_once(path):
    ids = [
        call.args[0].value
        for call in ast.walk(ast.parse(python_of(path)))
        if isinstance(call, ast.Call)
        and dotted(call.func).endswith("claims.check")
        and isinstance(call.args[0], ast.Constant)
    ]
    assert ids == [id for id, entry in claims.registry().items() if entry["notebook"] == path.stem]


@each_notebook
def test_a_notebook_opens_with_its_claim_in_words(path):
    first = cells(path)[0]
    title = first["source"].splitlines()[0]
    assert (
        first["cell_type"] == "markdown"
        and title.startswith("# ")
        and "$" not in title
        and "`" not in title
    )
    assert path.stem[:2] in cells(path)[1]["source"] + first["source"], "the box names the claim"


@each_notebook
def test_ledger_and_notebook_have_one_title(path):
    (title,) = [e["title"] for e in claims.registry().values() if e["notebook"] == path.stem]
    assert cells(path)[0]["source"].splitlines()[0] == f"# {title}"


def titled(entry):
    """Files with a title of their own in the contents, by name."""
    below = [child for key in ("parts", "chapters", "sections") for child in entry.get(key, [])]
    here = {entry["file"]: entry["title"]} if "title" in entry else {}
    return here | {name: title for child in below for name, title in titled(child).items()}


def test_the_contents_name_every_notebook_by_its_claim():
    """A short title may stand there, after the number of the claim."""
    titles = titled(yaml.safe_load((ROOT / "_toc.yml").read_text()))
    for id, entry in LANDED.items():
        short = titles[f"notebooks/{entry['notebook']}"]
        assert short.startswith(f"{id} ") and len(short) <= len(f"{id} {entry['title']}")


# notebooks: parameters


def parameters(path):
    """Names set by the parameters cell, each by a plain literal on a line of its own."""
    (cell,) = tagged(path, "parameters")
    names = []
    for line in cell["source"].splitlines():
        if line.strip() and not line.startswith("#"):
            (statement,) = ast.parse(line).body
            assert isinstance(statement, ast.Assign) and len(statement.targets) == 1, line
            ast.literal_eval(statement.value)
            names.append(statement.targets[0].id)
    return names


def read_names(path):
    rest = "\n".join(
        code_of(cell)
        for cell in code_cells(path)
        if "parameters" not in cell["metadata"].get("tags", [])
    )
    return {
        node.id
        for node in ast.walk(ast.parse(rest))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


@each_notebook
def test_one_cell_of_plain_parameters(path):
    names = parameters(path)
    assert {"profile", "seed_offset"} <= set(names) and len(set(names)) == len(names)


@each_notebook
def test_every_parameter_is_read(path):
    assert not set(parameters(path)) - read_names(path)


# notebooks: outputs and size


@each_notebook
def test_only_checked_cells_keep_an_output_and_it_is_a_short_line(path):
    checked = [cell for cell in code_cells(path) if "NBVAL_CHECK_OUTPUT" in cell["source"]]
    assert checked, "nothing for nbval to compare"
    for cell in checked:
        (output,) = cell["outputs"]
        text = "".join(output["text"])
        assert (
            output["name"] == "stdout" and 0 < len(text.strip()) <= 120 and text.count("\n") == 1
        ), text
        assert "keep_output" in cell["metadata"]["tags"]
        assert cell["execution_count"], (
            "nbval takes a cell without a count for one that was never run"
        )
        assert not re.search(r"\d\.\d{4,}", text), "too many digits to be the same elsewhere"
    assert not [
        cell["source"][:60] for cell in code_cells(path) if cell["outputs"] and cell not in checked
    ]


@each_notebook
def test_the_stored_verdict_is_the_registered_one(path):
    """Else nbval compares with a verdict that the ledger does not expect."""
    ((id, entry),) = [(i, e) for i, e in claims.registry().items() if e["notebook"] == path.stem]
    stored = "".join("".join(o["text"]) for cell in code_cells(path) for o in cell["outputs"])
    assert f"{id}: {entry['expected']}; the control fails" in stored


def shown_lines(path):
    """Lines of code that a reader of the page sees, folded and removed cells left out."""
    hidden = {"hide-input", "remove-input", "hide-cell", "remove-cell"}
    return [
        line
        for cell in code_cells(path)
        if not hidden & set(cell["metadata"].get("tags", []))
        for line in cell["source"].splitlines()
        if line.strip()
    ]


@each_notebook
def test_a_notebook_shows_the_argument_and_no_machinery(path):
    shown = shown_lines(path)
    assert len(shown) <= 100, f"{len(shown)} lines of code are shown"


@each_notebook
def test_lines_of_code_fit_the_page(path):
    code = "\n".join(cell["source"] for cell in code_cells(path))
    assert not [line for line in code.splitlines() if len(line) > 88]


@each_notebook
def test_figures_are_named_captioned_and_described(path):
    figures = [
        cell["metadata"]["mystnb"]
        for cell in code_cells(path)
        if "figure" in cell["metadata"].get("mystnb", {})
    ]
    assert figures, "a notebook shows something"
    for figure in figures:
        assert re.fullmatch(r"fig-c\d\d-[a-z0-9-]+", figure["figure"]["name"]), figure["figure"][
            "name"
        ]
        assert len(figure["figure"]["caption"]) > 20 and len(figure["image"]["alt"]) > 20
    names = [
        figure["figure"]["name"]
        for other in NOTEBOOKS
        for figure in (cell["metadata"].get("mystnb", {}) for cell in code_cells(other))
        if "figure" in figure
    ]
    assert len(set(names)) == len(names)


# randomness, network, paths

DRAWS = {
    "rand",
    "randn",
    "randint",
    "randperm",
    "rand_like",
    "randn_like",
    "randint_like",
    "normal",
    "multinomial",
    "bernoulli",
    "poisson",
    "normal_",
    "uniform_",
    "random_",
    "bernoulli_",
    "exponential_",
    "cauchy_",
    "log_normal_",
    "geometric_",
}
SEEDED_NUMPY = {"Generator", "default_rng", "SeedSequence", "RandomState", "PCG64"}


def unseeded(code):
    """Draws from a global source, in code; seeding it is for initial weights, in a block that
    restores it.
    """
    found, tree = [], ast.parse(code)
    forked = [
        w
        for w in ast.walk(tree)
        if isinstance(w, ast.With)
        and any("fork_rng" in ast.unparse(i.context_expr) for i in w.items)
    ]
    kept_apart = {id(node) for block in forked for node in ast.walk(block)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name == "random" for alias in node.names):
            found.append("import random")
        if isinstance(node, ast.ImportFrom) and node.module in ("random", "numpy.random"):
            found.append(f"from {node.module}")
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        owner, _, last = name.rpartition(".")
        keywords = {keyword.arg for keyword in node.keywords}
        if owner.endswith("np.random") or owner == "numpy.random":
            if last not in SEEDED_NUMPY or not (node.args or node.keywords):
                found.append(name)
        elif owner and last in DRAWS and not keywords & {"generator", None}:
            # methods of a numpy Generator are drawn from their own source
            if (
                owner == "torch"
                or last.endswith("_")
                or last in ("rand", "randn", "randint_like", "rand_like", "randn_like")
            ):
                found.append(name)
        elif (
            last in ("manual_seed", "seed")
            and owner in ("torch", "np.random", "numpy.random", "random")
            and id(node) not in kept_apart
        ):
            found.append(name)
    return found


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS, *NOTEBOOKS], ids=lambda path: path.name)
def test_no_unseeded_randomness(path):
    assert not unseeded(python_of(path))


NETWORK = {
    "requests",
    "urllib.request",
    "urllib3",
    "http.client",
    "socket",
    "httpx",
    "aiohttp",
    "pooch",
    "huggingface_hub",
    "ftplib",
}


def network(code):
    """What in the code can reach a network."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in NETWORK]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            full = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            found += sorted(full & NETWORK) + [
                a.name for a in node.names if a.name in ("fetch_openml", "load_dataset")
            ]
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            if re.search(
                r"fetch_openml|torch\.hub|hub\.load|load_dataset|urlopen|urlretrieve", name
            ):
                found.append(name)
    return found + re.findall(r"^\s*[!%]\s*(?:pip|curl|wget|git).*$", code, flags=re.MULTILINE)


@pytest.mark.parametrize("path", [*MODULES, *NOTEBOOKS], ids=lambda path: path.name)
def test_no_network_but_for_the_named_image_sets(path):
    if path.parent.name == "images" and path.name == "downloads.py":
        assert "pooch" in network(python_of(path)), "the one place from which data are fetched"
        return
    if path.parent.name == "companion" and path.name == "machine.py":
        code = python_of(path)
        assert network(code) == ["socket"], "it asks this machine's own address whether it answers"
        assert re.findall(r"create_(?:server|connection)\((.{12})", code) == [
            '("127.0.0.1"',
            "server.getso",
        ]
        return
    if path.parent.name == "companion" and path.name in ("forks.py", "forkserver.py"):
        code = python_of(path)
        assert network(code) == ["socket"], "two processes of a run speak over a nameless pair"
        assert re.findall(r"socket\.(?:socket|socketpair|create_\w+)\([^)]*\)", code) == (
            ["socket.socket(fileno=channel)"]
            if path.name == "forks.py"
            else ["socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)"]
        )
        assert not re.search(r"\.(?:connect|bind|sendto)\b", code)
        return
    code = (
        python_of(path)
        if path.suffix == ".py"
        else "\n".join(cell["source"] for cell in code_cells(path))
    )
    shell = re.findall(r"^\s*[!%]\s*(?:pip|curl|wget|git).*$", code, flags=re.MULTILINE)
    assert not network(python_of(path)) and not shell


def absolute_paths(code):
    """String literals of code that name a place on one machine."""
    literals = [
        n.value
        for n in ast.walk(ast.parse(code))
        if isinstance(n, ast.Constant) and isinstance(n.value, str)
    ]
    return [
        text
        for text in literals
        if re.search(
            r"(?<![\w.~>/])/(?:home|Users|root|tmp|var|mnt|work|content|data)/|\b[A-Z]:\\\\", text
        )
    ]


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS, *NOTEBOOKS], ids=lambda path: path.name)
def test_no_path_of_a_machine(path):
    assert not absolute_paths(python_of(path))


# prose

FENCE = re.compile(r"^(`{3,}|~{3,}|:{3,})([^\n]*)\n(.*?)^\1[ \t]*$", re.DOTALL | re.MULTILINE)
CODE = (
    "",
    "{code",
    "{math}",
    "{bibliography}",
    "{literalinclude}",
    "{eval-rst}",
    "{mermaid}",
    "{tableofcontents}",
)


def _unfence(match):
    """Drop fenced code and mathematics; keep the prose of admonitions, theorems and exercises."""
    word = match[2].strip().split(" ")[0]
    if word in CODE or word.startswith(CODE[1:]) or not word.startswith("{"):
        return "\n"
    return (
        "\n"
        + re.sub(r"^:\w[\w-]*:.*$", "", FENCE.sub(_unfence, match[3]), flags=re.MULTILINE)
        + "\n"
    )


def words(markdown):
    """What is read as prose: no mathematics, code, roles, links, comments, quoted passages."""
    text = re.sub(r"<!-- quoted -->.*?<!-- /quoted -->", " ", markdown, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", " ", text, flags=re.DOTALL)
    text = FENCE.sub(_unfence, text)
    text = re.sub(r"\$\$.*?\$\$|\\begin\{(\w+\*?)\}.*?\\end\{\1\}", " ", text, flags=re.DOTALL)
    text = re.sub(r"(?<![\\$])\$[^$]+?(?<!\\)\$", " ", text, flags=re.DOTALL)
    text = re.sub(r"\{[\w:+-]+\}(`+).*?\1", " ", text, flags=re.DOTALL)
    text = re.sub(r"(`+).+?\1", " ", text, flags=re.DOTALL)
    return re.sub(r"\]\([^)]*\)|https?://\S+|<[^>\n]+>", " ", text)


DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.]*\d)|(?<![\w.])\d+(?:\.\d+)?[eE]-?\d+\b")
IDENTIFIER = re.compile(
    r"\b10\.\d{4,}/\S+|\b\d{4}\.\d{4,5}(?:v\d+)?\b|"
    r"(?:Python|torch|PyTorch|Jupyter Book|CC BY(?:-\w+)*|version)[ -]\d+(?:\.\d+)+\+?"
)


def typed_decimals(markdown):
    """Decimal numbers in prose, which should have been glued from a run."""
    return DECIMAL.findall(IDENTIFIER.sub(" ", words(markdown)))


@each_page
def test_measured_numbers_are_glued_and_not_typed(path):
    assert not typed_decimals(prose_of(path))


AMERICAN = re.compile(
    r"\b(?:un|re|over|mis|de)?(?:colou?rs?(?<=color)|colors?|colored|coloring|behaviors?|favou?rs?(?<=favor)|neighbors?|neighborhoods?|labors?|"
    r"center(?:ed|s|ing)?|meters?(?<=never)|analyz\w+|modeling|modeled|labeled|labeling|traveled|gray|defense|artifacts?|fulfill|"
    r"(?:initial|normal|general|memor|regular|parameter|minim|maxim|optim|summar|visual|orthonormal|orthogonal|linear|random|"
    r"real|special|character|recogn|organ|standard|digit|quant|discret|factor|diagonal|penal|central|local|author|categor|symbol)iz\w+)\b",
    re.IGNORECASE,
)


def american(text):
    """Words that British English spells otherwise."""
    return [word for word in AMERICAN.findall(text) if word.lower() not in ("size", "sizes")]


def comments_and_docstrings(code):
    """Text of comments and docstrings, without what is quoted as code."""
    comments = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(code).readline)
        if token.type == tokenize.COMMENT
    ]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = [
        ast.get_docstring(node) or ""
        for node in ast.walk(ast.parse(code))
        if isinstance(node, documented)
    ]
    return re.sub(r"(`+|[\"'])[^`\"']+?\1|:math:`[^`]*`", " ", "\n".join(comments + docs))


@each_page
def test_prose_is_in_british_spelling(path):
    assert not american(words(prose_of(path)))


@pytest.mark.parametrize(
    "path", [*MODULES, *SCRIPTS, *sorted((ROOT / "tests").glob("*.py"))], ids=lambda path: path.name
)
def test_comments_are_in_british_spelling(path):
    assert not american(comments_and_docstrings(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_front_matter_is_in_british_spelling(name):
    assert not american(words((ROOT / name).read_text(encoding="utf-8")))


# the package


def lint_imports(config):
    """What import-linter says of the package under the contracts of a configuration file."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    words = [sys.executable, "-c", command, "--no-cache", "--config", str(config)]
    return subprocess.run(words, capture_output=True, text=True, cwd=ROOT)


def test_imports_go_downwards():
    done = lint_imports(ROOT / "pyproject.toml")
    assert done.returncode == 0, done.stdout


def test_an_upward_import_is_found(tmp_path):
    """The same contracts with the ground floor where the denoisers are."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ground, denoisers = '    "schedules | stats",\n', '    "denoisers",\n'
    assert ground in text
    assert denoisers in text
    wrong = tmp_path / "pyproject.toml"
    lowered = text.replace(denoisers, "").replace(ground, ground + denoisers)
    wrong.write_text(lowered, encoding="utf-8")
    done = lint_imports(wrong)
    assert done.returncode == 1 and "BROKEN" in done.stdout


def undocumented(code):
    """Public functions, classes and methods without a docstring, a full signature, or the arguments
    they list.
    """
    found = []
    tree = ast.parse(code)
    inherited = {
        f.name
        for c in tree.body
        if isinstance(c, ast.ClassDef)
        for f in c.body
        if isinstance(f, ast.FunctionDef) and ast.get_docstring(f)
    }

    def function(node, prefix=""):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        arguments = [a for a in arguments if a.arg not in ("self", "cls")]
        name, text = prefix + node.name, ast.get_docstring(node) or ""
        if not node.name.startswith("__") and not text and not (prefix and node.name in inherited):
            found.append(f"{name}: no docstring")
        found.extend(f"{name}({a.arg}): no annotation" for a in arguments if a.annotation is None)
        if node.returns is None:
            found.append(f"{name}: no annotation of what is returned")
        if "Args:" in text:
            found.extend(
                f"{name}({a.arg}): not among Args"
                for a in arguments
                if not re.search(rf"^\s*{a.arg}: ", text, re.MULTILINE)
            )

    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            function(node)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                found.append(f"{node.name}: no docstring")
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and (
                    not method.name.startswith("_") or method.name in ("__init__", "__call__")
                ):
                    function(method, f"{node.name}.")
    return found


@each_module
def test_what_is_public_is_documented_and_annotated(path):
    assert ast.get_docstring(ast.parse(python_of(path))), "the module says what it is"
    assert not undocumented(python_of(path))


def said_in_a_fresh_process(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.strip()


FIXED = [
    "MoLRG",
    "MoLRG.random",
    "schedules.VP",
    "schedules.EDM",
    "schedules.DDPM",
    "subspaces.pca",
    "subspaces.k_subspaces",
    "subspaces.principal_angles",
    "subspaces.subspace_error",
    "denoisers.LowRank",
    "denoisers.Empirical",
    "denoisers.Gaussian",
    "denoisers.LinearMixture",
    "denoisers.from_pretrained",
    "training.fit",
    "training.loss",
    "sampling.ddim",
    "sampling.ddim_invert",
    "sampling.heun",
    "sampling.ancestral",
    "zoo.load",
    "zoo.names",
    "zoo.verify",
    "zoo.train",
    "claims.check",
]


@pytest.fixture(scope="module")
def fresh():
    """What a fresh process has loaded after `import molrg`, and after the mathematics and the
    ledger were used.
    """
    lines = [
        "import sys, molrg",
        "print(sorted(sys.modules))",
        *(f"molrg.{name}" for name in FIXED),
        "print(sorted(sys.modules))",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return [set(ast.literal_eval(line)) for line in done.stdout.splitlines()]


def test_importing_the_package_imports_nothing_heavy(fresh):
    assert not fresh[0] & {
        "torch",
        "sklearn",
        "skdim",
        "matplotlib",
        "seaborn",
        "pandas",
        "scipy",
        "diffusers",
        "papermill",
        "IPython",
    }


def test_all_is_reachable_after_one_import_and_the_mathematics_imports_no_plotting(fresh):
    assert {"torch", "molrg.training", "molrg.sampling"} <= fresh[1]
    assert not fresh[1] & {
        "skdim",
        "matplotlib",
        "seaborn",
        "diffusers",
        "papermill",
        "nbformat",
        "molrg.companion",
    }


def test_the_package_lists_its_rooms():
    package = ROOT / "molrg"
    there = {
        p.stem for p in package.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()
    }
    rooms = {name for name in there if not name.startswith("_")}
    assert {"MoLRG", *rooms} == set(molrg.__all__)


def test_an_unknown_name_is_told_what_there_is():
    with pytest.raises(AttributeError, match=r"nonsense.*schedules"):
        getattr(molrg, "nonsense")  # noqa: B009 - a name that a type checker refuses


# README


def verdict_table(text):
    """By claim: statement, verdict and caveat."""
    row = r"^\| *(C\d\d) *\|([^|]*)\|([^|]*)\|([^|]*)\|\s*$"
    found = re.finditer(row, text, re.MULTILINE)
    return {m[1]: tuple(m[k].strip() for k in (2, 3, 4)) for m in found}


def test_the_verdicts_of_the_readme_are_those_of_the_records():
    table = verdict_table((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {id: (title, but) for id, (title, _, but) in table.items()} == {
        id: (e["title"], e["but"]) for id, e in claims.registry().items()
    }
    assert {table[id][1] for id in claims.registry() if id not in LANDED} <= {"planned"}
    records = claims.records(ROOT / "_build" / "claims")
    if not records:
        pytest.skip("no records to compare with: run `python -m molrg run` first")
    shaky = robustness.pages.shaky(robustness.kept())
    for id in set(LANDED) & set(records):
        said = f", {shaky[id]}" if id in shaky else ""
        assert table[id][1] == records[id]["verdict"] + said


def test_every_record_is_of_a_landed_claim_and_well_formed():
    import jsonschema

    records = claims.records(ROOT / "_build" / "claims")
    if not records:
        pytest.skip("no records: run `python -m molrg run` first")
    assert set(records) <= set(LANDED)
    schema = jsonschema.Draft202012Validator(claims.record_schema())
    wrong = [
        id for id, record in records.items() if record["id"] != id or not schema.is_valid(record)
    ]
    assert not wrong, (
        f"records of another form than the schema's, run `python -m molrg run`: {wrong}"
    )


# the searches bite


@pytest.mark.parametrize(
    "code",
    [
        "torch.randn(3)",
        "torch.rand(3, dtype=d)",
        "x.normal_()",
        "np.random.normal(3)",
        "np.random.default_rng()",
        "import random",
        "torch.manual_seed(0)",
        "np.random.seed(0)",
        "torch.randperm(5)",
        "torch.multinomial(p, 3)",
        "from numpy.random import rand",
        "torch.randn_like(x)",
        "y = f(torch.randint(5, (3,)))",
    ],
)
def test_unseeded_draws_are_found(code):
    assert unseeded(code)


@pytest.mark.parametrize(
    "code",
    [
        "torch.randn(3, generator=g)",
        "x.normal_(generator=g)",
        "np.random.default_rng(0)",
        "rng.normal(3)",
        "torch.Generator().manual_seed(0)",
        "with torch.random.fork_rng():\n    torch.manual_seed(0)",
        "torch.randn(3, **options)",
        "sub.random_bases(3, [1], generator=g)",
    ],
)
def test_seeded_draws_are_not(code):
    assert not unseeded(code)


@pytest.mark.parametrize(
    "code",
    [
        "import requests",
        "import urllib.request",
        "from urllib import request",
        "from sklearn.datasets import fetch_openml",
        "import pooch",
        "torch.hub.load('x')",
        "f(urlopen(u))",
        "datasets.fetch_openml('mnist')",
    ],
)
def test_network_is_found(code):
    assert network(code)


@pytest.mark.parametrize("text", ["/var/lib/x", "/tmp/x.npy", "C:\\\\Users", "see /mnt/disk/x"])
def test_machine_paths_are_found(text):
    assert absolute_paths(f"x = {text!r}") and not absolute_paths(
        "x = 'a/b', '../data/x.npz', 'https://a.org/data/x'"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("error of 0.31 here", ["0.31"]),
        ("| a | 0.5 |", ["0.5"]),
        ("1e-10 is small", ["1e-10"]),
        ("down to 3.7.", ["3.7"]),
        ("```{admonition} Box\n:class: note\nit is 0.4\n```", ["0.4"]),
        ("````{exercise}\n```{note}\n2.5\n```\n````", ["2.5"]),
        ("$0.5$ and $$\n0.25\n$$", []),
        ("`0.1` and {glue:text}`a:.1f`", []),
        ("```python\nx = 0.1\n```", []),
        ("```\n0.1\n```", []),
        ("arXiv 2409.02426 and Python 3.11", []),
        ("<!-- quoted -->\n0.4\n<!-- /quoted -->", []),
        ("[x](a/1.5.html)", []),
        ("```{math}\n0.5\n```", []),
        ("Section 5.2.1", []),
        ("see 10.1000/182", []),
        ("costs \\$5 and 0.7 of \\$6", ["0.7"]),
    ],
)
def test_typed_decimals_are_found(text, found):
    assert typed_decimals(text) == found


@pytest.mark.parametrize(
    "word",
    [
        "color",
        "behavior",
        "normalized",
        "Initialize",
        "neighbors",
        "centered",
        "generalization",
        "gray",
        "optimizer",
    ],
)
def test_american_words_are_found(word):
    assert american(f"the {word} of") and not american(
        "colour behaviour normalised centre size prize neighbours grey horizontal"
    )


def test_only_comments_and_docstrings_are_read():
    assert not american(comments_and_docstrings("x = normalize(color='red')"))
    assert american(comments_and_docstrings("x = 1  # the color")) and american(
        comments_and_docstrings('def f():\n    """Normalize."""')
    )


@pytest.mark.parametrize(
    "code",
    [
        "def f(x: int) -> int:\n    return x",
        'def f(x) -> int:\n    """Say."""',
        'def f(x: int):\n    """Say."""',
        'def f(x: int, y: int) -> int:\n    """Say.\n\n    Args:\n        x: one.\n    """',
        "class A:\n    pass",
        'class A:\n    """Say."""\n    def f(self) -> int:\n        return 1',
    ],
)
def test_missing_documentation_is_found(code):
    assert undocumented(code) and not undocumented(
        'def f(x: int) -> int:\n    """Say."""\ndef _g(x):\n    pass'
    )
