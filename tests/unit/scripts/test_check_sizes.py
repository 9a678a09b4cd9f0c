"""The size check, run as a program on small trees that are just within bounds, or just out of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from entrepot.testing.waiting import PATIENCE

CHECK = Path(__file__).parents[3] / "scripts" / "check_sizes.py"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "suppressions.txt").write_text("0\n")
    return tmp_path


def write(tree: Path, path: str, text: str) -> None:
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).write_text(text)


def check(tree: Path) -> tuple[int, str]:
    finished = subprocess.run(
        [sys.executable, CHECK, tree], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    return finished.returncode, finished.stdout


def function(lines: int, name: str = "run", kind: str = "def") -> str:
    return f"{kind} {name}():\n" + "    pass\n" * (lines - 1)


def nested(depth: int) -> str:
    opened = "".join("    " * level + "if x:\n" for level in range(1, depth + 1))
    return f"def run(x):\n{opened}{'    ' * (depth + 1)}pass\n"


@pytest.mark.parametrize(
    ("path", "within", "beyond", "complaint"),
    [
        ("src/a.py", "x = 1\n" * 400, "x = 1\n" * 401, "src/a.py: 401 lines, at most 400"),
        ("scripts/a", "true\n" * 400, "true\n" * 401, "scripts/a: 401 lines, at most 400"),
        ("src/a.py", function(40), function(61), "src/a.py:1: run has 61 lines, at most 60"),
        ("tests/a.py", nested(3), nested(4), "tests/a.py:1: run nests 4 blocks, at most 3"),
        (
            "src/a.py",
            "class A:\n    def run(self, a, b, c, d, e, *, f): ...\n",
            "def run(a, b, c, d, e, f): ...\n",
            "src/a.py:1: run takes 6 positional parameters, at most 5",
        ),
        (
            "src/entrepot/http/v2/a.py",
            function(25, kind="async def") + function(40, name="render"),
            function(26, kind="async def"),
            "src/entrepot/http/v2/a.py:1: run has 26 lines, at most 25",
        ),
    ],
)
def test_what_is_at_the_bound_passes_and_what_is_beyond_it_is_named(
    tree: Path, path: str, within: str, beyond: str, complaint: str
) -> None:
    write(tree, path, within)
    assert check(tree)[0] == 0
    write(tree, path, beyond)
    code, output = check(tree)
    assert code == 1
    assert complaint in output


def test_three_long_functions_in_a_hundred_pass_and_four_do_not(tree: Path) -> None:
    write(tree, "src/short.py", "".join(function(2, f"short{n}") for n in range(97)))
    write(tree, "src/long.py", "".join(function(41, f"long{n}") for n in range(3)))
    assert check(tree)[0] == 0
    write(tree, "src/long.py", "".join(function(41, f"long{n}") for n in range(4)))
    assert check(tree) == (1, "4 of 101 functions are longer than 40 lines, at most 3% may be\n")


def test_a_chain_of_elif_is_no_nesting(tree: Path) -> None:
    write(tree, "src/a.py", "def run(x):\n    if x:\n        pass\n" + "    elif x:\n        pass\n" * 9)
    assert check(tree)[0] == 0


def test_a_function_in_a_function_is_nested_on_its_own(tree: Path) -> None:
    outer = "def outer(x):\n    if x:\n        if x:\n"
    write(tree, "src/a.py", outer + "".join(f"            {line}\n" for line in nested(3).splitlines()))
    assert check(tree)[0] == 0


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa: S603 - the program is ours",
        "# noqa: S603, S607  # the program is ours",
        "# type: ignore[attr-defined]  # the stub forgets it",
    ],
)
def test_a_suppression_that_names_its_rule_and_its_reason_passes(tree: Path, comment: str) -> None:
    write(tree, "scripts/suppressions.txt", "1\n")
    write(tree, "src/a.py", f"x = 1  {comment}\n")
    assert check(tree)[0] == 0


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa",
        "# noqa: S603",
        "# noqa: S603 - ours",
        "# ruff: noqa",
        "# type: ignore",
        "# type: ignore[attr-defined]",
        "# type: ignore  # the stub forgets it",
        "# mypy: ignore-errors",
    ],
)
def test_a_suppression_without_a_rule_or_a_reason_is_named(tree: Path, comment: str) -> None:
    write(tree, "scripts/suppressions.txt", "1\n")
    write(tree, "src/a.py", f"x = 1  {comment}\n")
    assert check(tree) == (1, f"src/a.py:1: name the rule and the reason: {comment}\n")


def test_a_test_may_take_any_number_of_fixtures(tree: Path) -> None:
    write(tree, "tests/a.py", "def test_run(a, b, c, d, e, f): ...\n")
    assert check(tree)[0] == 0


def test_what_a_string_says_is_no_suppression(tree: Path) -> None:
    write(tree, "src/a.py", 'x = "# noqa"\n')
    assert check(tree) == (0, "1 files, 0 functions, 0 of them longer than 40 lines, 0 suppressions\n")


def test_the_number_of_suppressions_may_only_fall(tree: Path) -> None:
    write(tree, "src/a.py", "x = 1  # noqa: S603 - the program is ours\n")
    assert check(tree) == (1, "1 suppressions, at most 0: do without the new one\n")
    write(tree, "scripts/suppressions.txt", "2\n")
    code, output = check(tree)
    assert code == 1
    assert "write that number into scripts/suppressions.txt" in output
