"""The site builds strictly, without a warning or broken link; what it is generated from is well formed."""

from __future__ import annotations

import html
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing" / "Benchmarks"))
from results import BenchmarkResult, check_result, markdown_table, read_results, write_result  # noqa: E402

MOST_README_WORDS = 600
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="needs the extra docs")
def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    text = (tmp_path / "site" / "benchmarks" / "registration.html").read_text(encoding="utf-8")
    assert "0.701" in text and ".json)" not in text
    assert (tmp_path / "site" / "pictures" / "registration.png").is_file()


def test_readme_is_one_screen() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= MOST_README_WORDS


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Testing/Benchmarks/README.md"])
def test_links_of_repository_pages_lead_to_files(page: str) -> None:
    links = LINK.findall((ROOT / page).read_text(encoding="utf-8"))
    here = (ROOT / page).parent
    assert [one for one in links if not (here / one).exists()] == []


def test_every_module_has_its_tutorial() -> None:
    modules = [path.parents[2].name for path in (ROOT / "Modules").glob("*/Resources/UI/*.ui")]
    assert len(modules) == 5
    for module in modules:
        assert (ROOT / "docs" / "tutorials" / f"{module.lower()}.md").is_file()


def test_workflows_and_settings_are_valid_yaml() -> None:
    yaml = pytest.importorskip("yaml")
    files = [*(ROOT / ".github" / "workflows").glob("*.yml"), ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"]
    assert len(files) == 5
    for file in files:
        assert isinstance(yaml.safe_load(file.read_text(encoding="utf-8")), dict), file.name
    ci = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert ci["jobs"]["linux"]["strategy"]["matrix"]["python"] == ["3.9", "3.11", "3.12"]
    assert any("bash .ci/run" in step.get("run", "") for step in ci["jobs"]["linux"]["steps"])


def test_all_result_files_are_valid_and_have_a_command() -> None:
    results = read_results()
    assert len(results) >= 30
    assert all(result.command.split()[0] in ("python", "python3", "synthreg") for result in results.values())


def test_written_results_are_read_back_and_faults_are_named(tmp_path: Path) -> None:
    fields = {"commit": "abc1234", "date": "2026-11-30", "machine": "any", "origin": "measured"}
    result = BenchmarkResult("a-b", "T", "python x.py", columns=["a|b", "c"], rows=[["1", "2"]], **fields)
    write_result(result, tmp_path)
    assert read_results(tmp_path) == {"a-b": result}
    assert "| a\\|b | c |" in markdown_table(result) and "`python x.py`" in markdown_table(result)
    short = BenchmarkResult("a-b", "T", "", columns=["a", "c"], rows=[["1"]], **fields)
    with pytest.raises(ValueError, match=r"no command; a row of 1 cells, expected 2"):
        check_result(short)


def panel_texts() -> str:
    """Return all texts of the panels: .ui files, module code, and the labels of the parameter records."""
    files = [*(ROOT / "Modules").rglob("*.ui"), *(ROOT / "Modules").rglob("*.py")]
    files += (ROOT / "SlicerSynthReg" / "parameters").glob("*.py")
    return html.unescape("\n".join(file.read_text(encoding="utf-8") for file in files))


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "tutorials").glob("*.md")), ids=lambda page: page.stem)
def test_bold_words_of_tutorials_are_labels_of_panels(page: Path) -> None:
    texts = panel_texts()
    labels = re.findall(r"\*\*([^*]+)\*\*", page.read_text(encoding="utf-8"))
    assert [label for label in labels if label not in texts] == []


def test_glossary_names_existing_modules() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    modules = re.findall(r"`([a-z_]+(?:\.[a-z_0-9]+)*)` \|$", text, re.MULTILINE)
    assert len(modules) > 60
    paths = [ROOT / "SlicerSynthReg" / module.replace(".", "/") for module in modules]
    assert [one.as_posix() for one in paths if not (one.is_dir() or one.with_suffix(".py").is_file())] == []


def test_logic_table_names_existing_methods() -> None:
    text = (ROOT / "docs" / "how-to" / "scripting-in-slicer.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (Synth\w+) \| `(\w+)` \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) == 4
    for module, name, methods in rows:
        source = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "Modules" / module).rglob("*.py"))
        body = source.partition(f"class {name}(")[2]
        assert [one for one in re.findall(r"`(\w+)`", methods) if f"    def {one}(" not in body] == []
