"""Self-checks: right answers are right; of wrong ones they say what is off, never the solution."""

from __future__ import annotations

import functools
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from factories import complains

import molrg
from molrg import course

ROOT = Path(__file__).resolve().parents[1]
ANSWERS = {
    label: cases
    for path in sorted((ROOT / "tests").glob("answers_part*.py"))
    for label, cases in importlib.import_module(path.stem).ANSWERS.items()
}
RIGHT = [(label, k) for label, (right, _) in ANSWERS.items() for k in range(len(right))]
WRONG = [(label, said) for label, (_, wrong) in ANSWERS.items() for said in wrong]


def test_every_self_check_has_a_right_and_two_wrong_answers_here():
    assert set(ANSWERS) == set(course.registered())
    assert not [label for label, (right, wrong) in ANSWERS.items() if not right or len(wrong) < 2]


@functools.cache
def checked(label: str, said: str) -> course.Result:
    """What is said of a wrong answer; for some the exercise has to be solved first."""
    return course.check(label, ANSWERS[label][1][said])


@pytest.mark.parametrize(("label", "k"), RIGHT)
def test_a_right_answer_is_right(label, k):
    result = course.check(label, ANSWERS[label][0][k])
    assert result, result.words
    assert repr(result) == "right"


@pytest.mark.parametrize(("label", "said"), WRONG)
def test_of_a_wrong_answer_it_is_said_what_is_off(label, said):
    result = checked(label, said)
    assert not result
    assert said in repr(result)
    assert "\n" not in repr(result)


@pytest.mark.parametrize("label", ANSWERS)
def test_what_is_said_of_a_wrong_answer_never_holds_the_right_one(label):
    right, wrong = ANSWERS[label]
    plain = [str(answer) for answer in right if isinstance(answer, (int, float, str, list))]
    for said in wrong:
        words = checked(label, said).words.split(" is asked for")[0]
        assert not [text for text in plain if re.search(rf"(?<![\w.]){re.escape(text)}\b", words)]


@pytest.mark.parametrize("nothing", [None, ...])
def test_no_answer_yet(nothing):
    assert "no answer yet" in course.check("ex-02-slope", nothing).words


def test_an_unknown_exercise_is_told_of_near_names():
    with complains("exercise"):
        molrg.course.check("ex-02-slop", 1)
    with pytest.raises(ValueError, match="ex-02-slope"):
        molrg.course.check("ex-02-slop", 1)


def test_a_label_has_one_self_check():
    with complains("label"):
        course.self_check("ex-02-slope")(print)


def test_arrays_are_compared_by_type_shape_sign_factor_and_entries():
    from molrg.course import compare

    truth = torch.arange(1.0, 5, dtype=torch.float64).view(2, 2)
    compare.array(truth.tolist(), truth)
    cases = {
        "an array is asked for": "four numbers",
        "the shape is off": truth[0],
        "1 entries are not finite": torch.tensor([[1, 2], [3, torch.inf]]),
        "the transpose": truth.T,
        "the sign is off": -truth,
        "too small by a factor of 2": truth / 2,
        "up to a common factor": 1.7 * truth,
        "1 of 4 entries are off": truth + torch.tensor([[0, 0], [0, 1]]),
    }
    for said, answer in cases.items():
        with pytest.raises(course.Off, match=said):
            compare.array(answer, truth)


def test_a_number_that_is_read_off_may_be_a_fifth_off():
    from molrg.course import compare

    right = compare.digest("ex-a", compare.step(50))
    for near in (42, 50, 60):
        compare.read_off("ex-a", near, right, "a level")
    for far, said in {30: "too small", 80: "too large", 5000: "far from it", -50: "sign"}.items():
        with pytest.raises(course.Off, match=said):
            compare.read_off("ex-a", far, right, "a level")


@functools.cache
def exercises() -> dict[str, str]:
    """Label and text of every exercise in notebooks and problem pages."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("*.md")]
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    form = re.compile(r"^```\{exercise\}[^\n]*\n:label: (\S+)\n(.*?)^```$", re.M | re.S)
    return {label: text for whole in texts for label, text in form.findall(whole)}


CALL = re.compile(r'`check\("([\w-]+)", answer\)`')


def test_every_self_check_stands_in_its_exercise_and_every_call_has_its_self_check():
    called = {label: CALL.findall(text) for label, text in exercises().items()}
    assert {label for label, calls in called.items() if calls} == set(course.registered())
    assert not [label for label, calls in called.items() if calls and calls != [label]]


def test_the_self_checks_need_neither_companion_nor_network_nor_compiler():
    code = (
        "import sys, socket; socket.socket.connect = None; import molrg;"
        " print(molrg.course.check('ex-02-slope', 1), 'molrg.companion' in sys.modules);"
        " print(molrg.course.check('ex-11-cancel', 0.6), 'torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "the sign is off False\nright False"


MINUTES = "five|ten|fifteen|twenty|thirty|forty|sixty"
ASKED = r'`check\("[\w-]+", answer\)`\.'
EFFORT = re.compile(
    rf"^\*(?:Easy|Medium|Hard), (?:{MINUTES}) minutes\.\*( [^\n]*: {ASKED})?\s*\Z", re.MULTILINE
)


@pytest.mark.parametrize("label", exercises())
def test_an_exercise_ends_with_its_difficulty_and_time(label):
    assert EFFORT.search(exercises()[label])


def test_exercises_without_effort_are_found():
    assert not EFFORT.search("Show it.\n") and not EFFORT.search("*Easy.*\n")
    assert EFFORT.search("Show it.\n\n*Easy, ten minutes.*\n")
    assert EFFORT.search(
        'Count.\n\n*Hard, forty minutes.* It is a number: `check("ex-a", answer)`.\n'
    )
    assert not EFFORT.search("Show it. *Easy, ten minutes.*\nMore text.\n")
