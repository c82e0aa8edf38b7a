"""Fault: files and names that were made to do harm are refused, or shown as what they are."""

from __future__ import annotations

import ast
import gzip
import io
import json
import shutil
import struct
import tracemalloc
import zipfile
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from papermill.translators import translate_parameters
from PIL import Image

from molrg import claims, dimension
from molrg.__main__ import main
from molrg.companion.notebooks import parse_parameters
from molrg.companion.terminal import Terminal, harmless
from molrg.denoisers import from_pretrained
from molrg.dimension import array_files
from molrg.images import formats
from molrg.zoo import shipped, states

MEGABYTE = 2**20


@contextmanager
def at_most(megabytes: float):
    """The block takes no more memory than this, beyond what was there."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < megabytes * MEGABYTE
    finally:
        tracemalloc.stop()


# files that unpack to more than they should


def idx(sizes: tuple[int, ...], content: bytes) -> bytes:
    return b"\0\0\x08" + bytes([len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + content


@pytest.mark.parametrize("suffix", [".gz", ""])
@pytest.mark.fault(
    "hostile files",
    "an idx file, plain or gzipped, that unpacks to more than its sizes say",
    "named, and no more than they say is unpacked",
)
def test_an_idx_file_with_more_in_it(suffix, tmp_path):
    path = tmp_path / f"train-images-idx3-ubyte{suffix}"
    content = idx((3, 2, 2), bytes(64 * MEGABYTE))
    path.write_bytes(gzip.compress(content, 1) if suffix else content)
    del content
    with at_most(2), pytest.raises(ValueError, match=r"idx3.* = .*allowed is a complete idx file"):
        formats.read_idx(path)


@pytest.mark.parametrize("sizes", [(2**32 - 1,) * 3, (2**10, 2**10, 2**10 + 1), (2**32 - 1,) * 255])
@pytest.mark.fault(
    "hostile files",
    "an idx file whose sizes say that it holds more than a gigabyte",
    "refused before it is read, with the limit",
)
def test_an_idx_file_that_says_it_is_huge(sizes, tmp_path):
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(idx(sizes, b"")))
    with pytest.raises(ValueError, match=r"labels.gz = .* bytes: allowed is at most 1,073,741,824"):
        formats.read_idx(path)


@pytest.fixture
def little_memory(monkeypatch):
    free = type("Free", (), {"available": 10**8})
    monkeypatch.setattr(array_files.psutil, "virtual_memory", lambda: free)


@pytest.mark.fault(
    "hostile files",
    "an .npz file of 40 kilobytes that unpacks to 40 megabytes, more than memory is left for",
    "refused before it is unpacked, with the limit",
)
def test_an_archive_that_unpacks_to_more_than_memory_holds(tmp_path, little_memory):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros((10, 40 * MEGABYTE // 10), np.uint8))
    assert path.stat().st_size < 50_000
    with at_most(2), pytest.raises(ValueError, match=r"bomb.npz = .*more than fit into the 0.1 GB"):
        array_files.read_array(path)


@pytest.mark.fault(
    "hostile files",
    "an .npz file whose directory says that it is small, and that unpacks to 40 megabytes",
    "named, and no more than the directory says is unpacked",
)
def test_an_archive_that_lies_about_its_size(tmp_path):
    path = tmp_path / "liar.npz"
    array = io.BytesIO()
    np.save(array, np.zeros((10, 4 * MEGABYTE), np.uint8))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", array.getvalue())
    whole = array.tell()
    del array
    raw = path.read_bytes()
    assert raw.count(struct.pack("<I", whole)) == 2  # beside the file, and in the directory
    path.write_bytes(raw.replace(struct.pack("<I", whole), struct.pack("<I", 1000)))
    with at_most(45), pytest.raises(ValueError, match=r"liar.npz = .*: allowed is an array"):
        array_files.read_array(path)


@pytest.mark.fault(
    "hostile files",
    "a state of a training whose header says that it is longer than any disk",
    "named in one line",
)
def test_a_state_with_a_huge_header(tmp_path):
    path = tmp_path / "state"
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(ValueError, match=f"resume file = {path}: allowed is a whole one"):
        states.load(path)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "1" * 100_000])
@pytest.mark.fault(
    "hostile files",
    "a model whose configuration is nested 200,000 deep, or one number of 100,000 digits",
    "refused in one line that names the folder",
)
def test_a_configuration_without_bottom(text, tmp_path):
    for name in ("config.json", "scheduler_config.json", "model_index.json"):
        (tmp_path / name).write_text(text)
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=str(tmp_path)) as caught:
        from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "change", "what"),
    [
        ("unet/config.json", {"block_out_channels": [2**20] * 3}, "config.json asks for .* GB"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 10**12}, "num_train_timesteps"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": "9"}, "num_train_timesteps"),
        ("scheduler/scheduler_config.json", {"_class_name": 5}, "scheduler of .* = 5"),
    ],
)
@pytest.mark.fault(
    "hostile files",
    "a model of a megabyte that asks for terabytes of weights, or for 10^12 noise levels",
    "refused before it is made",
)
def test_a_configuration_that_asks_for_more_than_there_is(file, change, what, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(shipped.MODELS / "mnist", folder)
    (folder / "SHA256SUMS").unlink()
    settings = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(settings | change))
    with pytest.raises(ValueError, match=what) as caught:
        from_pretrained(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


# names and texts that would be code

NAMES = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)<\\script>",
    "{{ 7*191 }}",
    "{download}`passwd`",
    '"; import os; os.abort() #',
    "[red]not a colour[-red]",
    "$(touch here); `touch here`",
    "two\nlines",
    "\x1b[2J\x07cleared",
    "\u202egnp.yppah",
    "| a | b |",
]


@pytest.mark.fault(
    "hostile names and texts",
    "class folders called like HTML, MyST, a shell's or a terminal's commands: `describe`",
    "shown as they are; control characters are written out",
)
def test_names_of_classes_in_a_terminal(tmp_path, capsys):
    # enough of each class but one to be measured
    generator = np.random.default_rng(0)
    for name in NAMES:
        (tmp_path / name).mkdir()
        for number in range(9 if name == "two\nlines" else 90):
            pixels = generator.integers(0, 256, (4, 4), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    (tmp_path / NAMES[8] / "\x1b]0;title\x07.heic").touch()
    assert main(["describe", str(tmp_path), "--grey"]) == 0
    told = capsys.readouterr()
    text = told.out + told.err
    assert not set("\x1b\x07\u202e") & set(text)
    for name in NAMES:
        assert harmless(" ".join(name.split())) in text
    assert "1337" not in text


@pytest.mark.fault(
    "hostile names and texts",
    "the same names in a report of a notebook",
    "no tag but the report's own",
)
def test_names_of_classes_in_html():
    x = torch.randn(30 * len(NAMES), 4, generator=torch.Generator().manual_seed(0))
    labels = np.repeat(np.array(NAMES), 30)
    labels[:25] = "<b>few</b>"
    html = dimension.describe(x, labels)._repr_html_()
    for tag in ("<img", "<script", "<b>"):
        assert tag not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "&lt;b&gt;few" in html


@pytest.mark.parametrize("value", [*NAMES, "'''", '"""', "\\", "\\'", 'a"\nimport os', "\0", "é"])
@pytest.mark.fault(
    "hostile names and texts",
    "values of parameters with quotes, line ends and code",
    "in the notebook they are texts, and nothing else",
)
def test_a_parameter_is_a_text(value):
    (read,) = parse_parameters([f"model={value!r}"]).values()
    assert read == value
    code = translate_parameters("python3", "python", {"model": read, "more": [read]}, "given")
    one, two = ast.parse(code).body
    for line, wanted in ((one, value), (two, [value])):
        assert isinstance(line, ast.Assign)
        assert ast.literal_eval(line.value) == wanted


@pytest.mark.parametrize("name", ["x; import os", "x\ny", "os.x", "", "a b", "x=1,y", "(x)", "*"])
def test_the_name_of_a_parameter_is_a_name(name):
    with pytest.raises(ValueError, match=r"(?s)-p .*: allowed is NAME=VALUE"):
        parse_parameters([f"{name.split('=')[0] or ''} ={1}"])


@pytest.mark.parametrize("value", ["(" * 50_000, "[" * 50_000, "-" * 200_000 + "1", "9" * 10_000])
def test_a_parameter_without_bottom_is_a_text(value):
    assert parse_parameters([f"x={value}"]) == {"x": value}


@pytest.mark.parametrize(
    "text", ["{{ 7*191 }}", "{doc}", "<b>", "a|b", "`x`", "a\nb", "$x$", "a\\b"]
)
@pytest.mark.parametrize("field", ["condition", "estimate", "control"])
@pytest.mark.fault(
    "hostile names and texts",
    "a record whose condition or estimate is HTML, a role, a substitution or a cell of a table",
    "refused by name, so that no page shows it",
)
def test_a_record_that_is_markup(field, text, finished, tmp_path):
    record = json.loads((finished[0] / "_build" / "claims" / "C01.json").read_text())
    record["conditions"][0][field] = text
    (tmp_path / "C01.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"C01.json = no record"):
        claims.records(tmp_path)


@pytest.mark.fault(
    "hostile names and texts",
    "a file called like a terminal's commands, or like rich's colours, in an error",
    "one line; control characters and brackets are shown",
)
def test_names_of_files_in_errors(tmp_path, capsys):
    for name in ("\x1b[2J.npy", "[/bold].npy", "a\x07\u202eb.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
        assert main(["describe", str(tmp_path / name)]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1
        assert harmless(name) in said
        assert not set("\x1b\x07\u202e") & set(said)


def test_a_terminal_shows_texts_as_they_are():
    out = io.StringIO()
    Terminal(file=out, width=200).print("[red]a[/blue] \x1b[2J\r\ud800 é 空\tb\nc", soft_wrap=True)
    assert out.getvalue() == "[red]a[/blue] \\x1b[2J\\r\\ud800 é 空\tb\nc\n".replace(
        "\t", out.getvalue().split("空")[1].split("b")[0]
    )
