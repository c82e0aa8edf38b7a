"""Property: files appear whole or not at all, signals wait, and ignored signals stay ignored."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import threading
from pathlib import Path

import pytest
from safetensors import SafetensorError

from molrg import files, interrupts


@pytest.fixture
def umask():
    """The mode of new files under another umask than the usual one."""
    before = os.umask(0o027)
    yield 0o640
    os.umask(before)


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_once_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with files.replacing(path) as aside:
        aside.write_text("one")
        assert not path.exists()
        assert aside.name == path.name
    with files.replacing(path) as aside:
        aside.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two"
    assert left(path.parent) == ["a.txt"]


def write_half(path):
    with files.replacing(path) as aside:
        aside.write_text("hal")
        raise RuntimeError("half-way")


@pytest.mark.fault(
    "full disk",
    "an error half-way through any file that is written",
    "the old file stays whole, nothing is left beside it",
)
def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="half-way"):
        write_half(path)
    assert path.read_text() == "old"
    assert left(tmp_path) == ["a.txt"]


def test_nothing_written_replaces_nothing(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with files.replacing(path):
        pass
    assert path.read_text() == "old"


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "model"
    for name in ("one", "two"):
        with files.replacing(path) as aside:
            aside.mkdir()
            (aside / name).touch()
    assert left(path) == ["two"]
    assert left(tmp_path) == ["model"]


def test_a_folder_that_cannot_be_replaced_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.mkdir()
    (path / "one").touch()
    replace, moved = Path.replace, []

    def once(self, target):
        moved.append(self.name)
        if self.name == "model" and moved.count("model") == 2:
            raise OSError(errno.EACCES, "not allowed")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", once)

    def write_anew():
        with files.replacing(path) as aside:
            aside.mkdir()
            (aside / "two").touch()

    with pytest.raises(OSError, match="not allowed"):
        write_anew()
    assert left(path) == ["one"]
    assert left(tmp_path) == ["model"]


def test_the_mode_is_the_usual_one_even_where_the_writer_is_secretive(tmp_path, umask):
    path = tmp_path / "a.txt"
    with files.replacing(path) as aside:
        os.close(os.open(aside, os.O_CREAT | os.O_WRONLY, 0o600))
    assert path.stat().st_mode & 0o777 == umask


def test_the_sum_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(256)) * 5000)
    assert files.sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_waits(name):
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)  # ignored where the tests run in the background
    try:
        with interrupts.held_back() as asked:
            assert not asked.is_set()
            signal.raise_signal(number)
            signal.raise_signal(number)
            assert asked.is_set()
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.held_back() as asked:
            signal.raise_signal(signal.SIGHUP)
            assert not asked.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_leave_signals_alone():
    seen = []

    def work():
        before = signal.getsignal(signal.SIGINT)
        with interrupts.held_back() as asked:
            seen.append(signal.getsignal(signal.SIGINT) is before and not asked.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True]


def test_the_error_of_a_library_is_that_of_the_system(tmp_path):
    path = tmp_path / "weights"
    said = r"\[Errno 28\] .*weights"
    with pytest.raises(OSError, match=said) as caught, files.replacing(path):
        raise SafetensorError("Error while serializing: I/O error: No space left (os error 28)")
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())
    with pytest.raises(SafetensorError, match="header"), files.replacing(path):
        raise SafetensorError("a damaged header")
    with pytest.raises(FileExistsError, match="os error 28"), files.system_errors(path):
        raise FileExistsError("(os error 28)")
