"""Gates the tail, not the average: the longest file, the deepest block, the count of suppressions.

``check_sizes.py [ROOT]`` prints what is out of bounds under ROOT and exits with 1, or
prints the counts and exits with 0.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["main"]

FOLDERS = ("src", "tests", "scripts", "benchmarks")
HANDLER_FOLDERS = ("src/entrepot/http/v2/", "src/entrepot/http/api/")
SUPPRESSIONS_FILE = "scripts/suppressions.txt"
"""Holds the number of suppressions, so that a change that adds one is seen, and one that went stays away."""

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
LONG_FUNCTION_LINES = 40
MAX_LONG_SHARE = 0.03
"""The share of all functions that may be longer than ``LONG_FUNCTION_LINES``."""
MAX_HANDLER_LINES = 25
"""For the coroutines under ``HANDLER_FOLDERS``."""
MAX_NESTING = 3
MAX_POSITIONAL_PARAMETERS = 5
"""Except for tests, whose parameters are fixtures and given by name."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)

SUPPRESSION = re.compile(r"#\s*(?:(?:ruff|flake8):\s*)?noqa\b|#\s*type:\s*ignore\b|#\s*(?:mypy|pragma):")
RULE_AND_REASON = re.compile(
    r"#\s*(?:ruff:\s*)?(?:noqa:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*|type:\s*ignore\[[a-z-]+(?:,\s*[a-z-]+)*\])"
    r"\W+\w+\W+\w+\W+\w+"
)
"""The rules by name, then a reason of three words or more."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file; ``path`` is relative to the root, ``functions`` and ``suppressions`` are those of Python."""

    path: str
    lines: int
    functions: tuple[Function, ...] = ()
    suppressions: tuple[tokenize.TokenInfo, ...] = ()


def main(root: Path) -> int:
    sources = [_read(root, path) for path in _source_paths(root)]
    allowed = int((root / SUPPRESSIONS_FILE).read_text())
    complaints = [
        *(complaint for source in sources for complaint in _complaints_about(source)),
        *_complaints_about_all(sources, allowed),
    ]
    print("\n".join(complaints or [_summary(sources)]))
    return 1 if complaints else 0


def _source_paths(root: Path) -> Iterator[Path]:
    """Find Python files and scripts, which have no suffix."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.suffix in {"", ".py"}:
                yield path


def _read(root: Path, path: Path) -> Source:
    text, name = path.read_text(), path.relative_to(root).as_posix()
    lines = len(text.splitlines())
    if path.suffix != ".py":
        return Source(name, lines)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return Source(
        name,
        lines,
        tuple(node for node in ast.walk(ast.parse(text)) if isinstance(node, Function)),
        tuple(
            token for token in tokens if token.type == tokenize.COMMENT and SUPPRESSION.search(token.string)
        ),
    )


def _complaints_about(source: Source) -> Iterator[str]:
    if source.lines > MAX_FILE_LINES:
        yield f"{source.path}: {source.lines} lines, at most {MAX_FILE_LINES}"
    handlers = source.path.startswith(HANDLER_FOLDERS)
    for function in source.functions:
        is_handler = handlers and isinstance(function, ast.AsyncFunctionDef)
        for complaint in _complaints_about_function(function, is_handler=is_handler):
            yield f"{source.path}:{function.lineno}: {function.name} {complaint}"
    for comment in source.suppressions:
        if RULE_AND_REASON.search(comment.string) is None:
            yield f"{source.path}:{comment.start[0]}: name the rule and the reason: {comment.string}"


def _complaints_about_function(function: Function, *, is_handler: bool) -> Iterator[str]:
    most_lines = MAX_HANDLER_LINES if is_handler else MAX_FUNCTION_LINES
    if (lines := _lines(function)) > most_lines:
        yield f"has {lines} lines, at most {most_lines}"
    if (nesting := _nesting(function)) > MAX_NESTING:
        yield f"nests {nesting} blocks, at most {MAX_NESTING}"
    if (count := len(_positional_parameters(function))) > MAX_POSITIONAL_PARAMETERS:
        yield f"takes {count} positional parameters, at most {MAX_POSITIONAL_PARAMETERS}"


def _complaints_about_all(sources: list[Source], allowed: int) -> Iterator[str]:
    functions, long_functions, suppressions = _counts(sources)
    if long_functions > functions * MAX_LONG_SHARE:
        yield (
            f"{long_functions} of {functions} functions are longer than {LONG_FUNCTION_LINES} lines,"
            f" at most {MAX_LONG_SHARE:.0%} may be"
        )
    if suppressions > allowed:
        yield f"{suppressions} suppressions, at most {allowed}: do without the new one"
    if suppressions < allowed:
        yield f"{suppressions} suppressions, fewer than before: write that number into {SUPPRESSIONS_FILE}"


def _summary(sources: list[Source]) -> str:
    functions, long_functions, suppressions = _counts(sources)
    return (
        f"{len(sources)} files, {functions} functions,"
        f" {long_functions} of them longer than {LONG_FUNCTION_LINES} lines, {suppressions} suppressions"
    )


def _counts(sources: list[Source]) -> tuple[int, int, int]:
    """Count functions, long functions and suppressions."""
    lengths = [_lines(function) for source in sources for function in source.functions]
    return (
        len(lengths),
        sum(length > LONG_FUNCTION_LINES for length in lengths),
        sum(len(source.suppressions) for source in sources),
    )


def _lines(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _nesting(node: ast.AST) -> int:
    """Count how many blocks lie within one another; a function inside a function is counted on its own."""
    return max(
        (
            _nesting(child) + (isinstance(child, BLOCKS) and not _is_elif(node, child))
            for child in ast.iter_child_nodes(node)
            if not isinstance(child, SCOPES)
        ),
        default=0,
    )


def _is_elif(parent: ast.AST, child: ast.AST) -> bool:
    return isinstance(parent, ast.If) and parent.orelse == [child]


def _positional_parameters(function: Function) -> list[str]:
    if function.name.startswith("test_"):
        return []
    names = [parameter.arg for parameter in (*function.args.posonlyargs, *function.args.args)]
    return [name for name in names if name not in {"self", "cls"}]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]))
