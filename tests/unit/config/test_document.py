from __future__ import annotations

from pathlib import Path

import pytest

from entrepot.config.document import read_document, read_file
from entrepot.config.tree import Node, Place, Problem

PLACE = Place("entrepot.yaml", Path("/etc"))


def read(text: str) -> tuple[Node, list[str]]:
    problems: list[Problem] = []
    node = read_document(text, PLACE, problems)
    return node, [str(problem) for problem in problems]


def test_scalars_stay_the_text_that_was_written() -> None:
    node, problems = read("a: 007\nb: yes\nc: 1.10\nd: '~'\ne: 2001-01-01\nf: 12:30")
    assert [child.value for child in node.children().values()] == [
        "007",
        "yes",
        "1.10",
        "~",
        "2001-01-01",
        "12:30",
    ]
    assert problems == []


@pytest.mark.parametrize("text", ["a:", "a: ~", "a: null"])
def test_nothing_and_null_are_nothing(text: str) -> None:
    assert read(text)[0].children()["a"].value is None


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_document_holds_nothing_and_is_no_problem(text: str) -> None:
    assert (read(text)[0].value, read(text)[1]) == (None, [])


def test_every_node_knows_its_line() -> None:
    node, _ = read("a: 1\nb:\n  c:\n    - x\n    - y\n")
    deep = node.children()["b"].children()["c"]
    assert [str(node.place_of("a")), str(node.place_of("b", "c"))] == ["entrepot.yaml:1", "entrepot.yaml:3"]
    assert isinstance(deep.value, tuple)
    assert [item.place.line for item in deep.value] == [4, 5]


def test_a_key_given_twice_is_refused_with_both_lines() -> None:
    assert read("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n")[1] == [
        "entrepot.yaml:5: b.c: given twice, first at line 3"
    ]


def test_merged_keys_may_be_given_anew_wherever_an_alias_leads() -> None:
    node, problems = read("a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: *b\n")
    assert problems == []
    assert {key: child.value for key, child in node.children()["c"].children().items()} == {
        "x": "3",
        "y": "2",
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: [1", "entrepot.yaml:2: is no YAML: while parsing a flow sequence"),
        ("a: 1\n\tb: 1", "entrepot.yaml:2: is no YAML: "),
        ("a: \x01", "entrepot.yaml:1: expected no control characters"),
        ("a: 1\n--- \nb: 1", "entrepot.yaml:2: is no YAML: expected a single document"),
        ("? [a]\n: b", "entrepot.yaml:1: expected text as a key"),
        ("a: *hunter2", "entrepot.yaml:1: expected no alias: put quotes around"),
        ("a: !hunter2 x", "entrepot.yaml:1: a: expected no tags: put quotes around"),
        ("a: &a [*a]", "entrepot.yaml: expected at most 20 levels"),
        ("[" * 2000, "entrepot.yaml: expected at most 20 levels"),
        ("a: {<<: 1}", "entrepot.yaml:1: is no YAML: "),
    ],
)
def test_what_is_no_configuration_is_refused_with_its_line(text: str, problem: str) -> None:
    problems = read(text)[1]
    assert [line[: len(problem)] for line in problems] == [problem]
    assert "hunter2" not in problems[0]


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    assert read_problems(tmp_path / "none.yaml") == [
        f"{tmp_path}/none.yaml: cannot be read: No such file or directory"
    ]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert read_problems(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]


def test_a_file_in_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"a: 1\nb: \xfc\n")
    assert read_problems(file) == [f"{file}:2: expected UTF-8 text"]


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "windows.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\n")
    assert read_file(file, []).children()["a"].value == "1"


def read_problems(file: Path) -> list[str]:
    problems: list[Problem] = []
    assert read_file(file, problems).value is None
    return [str(problem) for problem in problems]
