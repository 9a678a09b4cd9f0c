"""The repository as a product: its front page, its links, its decisions, its lock."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from entrepot.testing.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements.lock", "requirements-dev.lock")
PIN = re.compile(r"([a-z0-9-]+)==([^ ]+?)(?: ; (.+?))? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")
LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")


def tracked(*patterns: str) -> list[Path]:
    """List the files of the repository, those not yet committed too."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    return [ROOT / line for line in sorted(set(listing.stdout.splitlines())) if (ROOT / line).is_file()]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def pins(lock: str) -> set[tuple[str, str, str | None]]:
    matches = (PIN.fullmatch(line) for line in (ROOT / lock).read_text().splitlines())
    return {(match[1], match[2], match[3]) for match in matches if match}


def anchors(page: Path) -> set[str]:
    """Make the anchors of a page's headings as its readers' viewers do."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> Iterator[str]:
    for target, anchor in LINK.findall(page.read_text()):
        if "://" in target:
            continue
        found = page.parent / target if target else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            yield target + anchor


def test_the_front_page_is_short_and_leads_with_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    first_commands = text.split("```")[1].splitlines()[1:]
    assert len(text.splitlines()) <= 60
    assert [command.split()[0] for command in first_commands] == ["scripts/serve", "scripts/test"]


def test_the_top_folder_can_be_taken_in_at_a_glance() -> None:
    entries = {relative(path).split("/")[0] for path in tracked()}
    assert len([entry for entry in entries if not entry.startswith(".")]) <= 15


@pytest.mark.parametrize("page", tracked("*.md"), ids=relative)
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


@pytest.mark.parametrize(
    "command",
    sorted(
        set(re.findall(r"(?:scripts|\.ci)/[a-z_.]+", " ".join(path.read_text() for path in tracked("*.md"))))
    ),
)
def test_every_script_that_a_page_names_can_be_run(command: str) -> None:
    assert (ROOT / command.rstrip(".")).exists()


@pytest.mark.parametrize(
    "script", [path for path in tracked("scripts", ".ci") if not path.suffix], ids=relative
)
def test_every_script_may_be_executed_and_parses(script: Path) -> None:
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True, timeout=PATIENCE)


@pytest.mark.parametrize("page", tracked("docs/adr/*.md"), ids=relative)
def test_every_decision_has_a_number_a_context_a_decision_and_consequences(page: Path) -> None:
    text = page.read_text()
    number = int(page.name.split("-")[0])
    assert text.startswith(f"# {number}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_no_two_decisions_share_a_number() -> None:
    numbers = [page.name.split("-")[0] for page in tracked("docs/adr/*.md")]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("module", tracked("src/*.py"), ids=relative)
def test_every_module_begins_with_why_it_exists(module: Path) -> None:
    docstring = ast.get_docstring(ast.parse(module.read_text()))
    assert docstring
    assert docstring.splitlines()[0].endswith(".")


def test_no_module_that_a_start_imports_makes_a_dataclass() -> None:
    """Each would take a millisecond of every start: docs/adr/0018-import-little-to-start.md."""
    modules = [module for module in tracked("src/*.py") if "entrepot/testing/" not in str(module)]
    assert [relative(module) for module in modules if "import dataclass" in module.read_text()] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_holds_versions_and_hashes_and_names_no_place(lock: str) -> None:
    lines = (ROOT / lock).read_text().splitlines()
    assert lines
    assert [line for line in lines if not PIN.fullmatch(line) and not HASH.fullmatch(line)] == []


def test_the_development_tools_can_be_installed_over_the_runtime() -> None:
    developments = pins("requirements-dev.lock")
    unconditional = {(name, version) for name, version, marker in developments if marker is None}
    missing = pins("requirements.lock") - developments
    assert {(name, version) for name, version, _ in missing} <= unconditional


@pytest.mark.parametrize(
    ("lock", "requirement"),
    [
        *(("requirements.lock", text) for text in PROJECT["project"]["dependencies"]),
        *(("requirements.lock", text) for text in PROJECT["build-system"]["requires"]),
        *(("requirements-dev.lock", text) for text in PROJECT["dependency-groups"]["dev"]),
    ],
)
def test_the_lock_satisfies_what_the_project_asks_for(lock: str, requirement: str) -> None:
    wanted = Requirement(requirement)
    versions = [version for name, version, _ in pins(lock) if name == wanted.name.lower()]
    assert versions, "run scripts/lock"
    assert all(wanted.specifier.contains(version) for version in versions), "run scripts/lock"


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    folder = re.compile(r"(?<![\w.}/~-])/(?:home|root|work|Users)/[\w.]+")
    texts = tracked("*.py", "*.md", "*.toml", "*.lock", "scripts", ".ci")
    assert [
        f"{relative(path)}: {found[0]}" for path in texts if (found := folder.search(path.read_text()))
    ] == []
