"""Contract: the pinned packages, their licences, and their files as they came."""

from __future__ import annotations

import base64
import hashlib
from datetime import date
from email.message import Message
from importlib.metadata import PackageNotFoundError, distribution

import pytest

from molrg.companion import doctor, lock


def stated(**fields):
    message = Message()
    for name, values in fields.items():
        for value in values if isinstance(values, list) else [values]:
            message[name.replace("_", "-")] = value
    return message


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License_Expression": "MIT", "License": "a text"}, "MIT"),
        ({"Classifier": ["License :: OSI Approved :: MIT License", "Topic :: X"]}, "MIT License"),
        ({"Classifier": "License :: OSI Approved", "License": "BSD\nCopyright"}, "BSD"),
        ({"License": ""}, lock.NOT_STATED),
        ({}, lock.NOT_STATED),
    ],
)
def test_the_licence_is_what_the_metadata_say(fields, licence):
    assert lock.licence_in(stated(**fields)) == licence


def test_every_pinned_package_states_its_licence():
    without = [name for name in doctor.locked() if lock.licence_of(name) == lock.NOT_STATED]
    assert set(without) <= {"axe-playwright-python"}  # MIT, in its repository alone
    assert lock.licence_of("no-such-package") == lock.NOT_INSTALLED


def test_the_page_has_every_package_once_and_the_day():
    licences = {"b": "MIT", "a": "MIT", "c": "<script>|{{ x }}"}
    text = lock.markdown(licences, {}, date(2026, 1, 2))
    assert text.startswith("On 2026-01-02, the lock pins 3 packages for Python ")
    assert "all are installed as pinned." in text
    assert "| MIT | 2 | b, a |" in text
    assert "| script x  | 1 | c |" in text
    assert "but for c 2, locked 1." in lock.markdown(licences, {"c": "2, locked 1"}, date.today())


def changed(name: str) -> list[str]:
    """Files of an installed package whose sha256 is not the one that it came with."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return []
    wrong = []
    for file in files:
        if file.hash is None or file.hash.mode != "sha256" or file.suffix == ".pyc":
            continue
        with open(str(file.locate()), "rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != file.hash.value:
            wrong.append(str(file))
    return wrong


@pytest.mark.nightly
def test_installed_files_are_as_they_came():
    altered = {name: changed(name) for name in doctor.locked()}
    assert len(altered) > 100
    assert not {name: files for name, files in altered.items() if files}
