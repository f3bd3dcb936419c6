"""What the pages tell people to type, to open and to read exists, and every page is found from the README."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ops.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
    if "node_modules" not in path.parts
}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
TESTS = {path.name for path in ROOT.glob("tests/**/*.py")}

FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", flags=re.M | re.S)
SPAN = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
#: A file or folder of this repository, as a page names it.
PATH = re.compile(r"(?:schemas|inference|streams|ops|tests|docs|examples|\.ci)/[\w./*-]*|[\w-]+\.(?:cfg|toml|lock|yml)")


def blocks(page: str) -> Iterator[str]:
    """The lines of a page's blocks of commands, continued lines joined."""
    for language, text in FENCE.findall(page):
        if language in ("", "console", "sh"):
            yield from text.replace("\\\n", " ").splitlines()


def spans(page: str) -> Iterator[str]:
    """The code inside a page's sentences."""
    for span in SPAN.findall(FENCE.sub("", page)):
        yield " ".join(span.split())


def commands(page: str) -> Iterator[str]:
    """What a page tells people to type, without comments, placeholders and what a shell makes of the output."""
    for line in (*blocks(page), *spans(page)):
        # `make PYTHON=/path demo`, `echo … | vigia grade`: the part that is ours.
        for part in re.split(r" \| | && ", line.strip()):
            found = re.match(r"(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?((?:vigia|make|python -m) [^#…<>]*)", part)
            if found and not re.match(r"(?:vigia|make) ?[-=|]", found[1]):
                yield found[1].strip()


def headings(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", page), flags=re.M)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


def cases(what: str) -> list[tuple[str, str]]:
    """Each different thing of a kind, with the page that it is on."""
    finders = {
        "commands": commands,
        "paths": lambda page: (span for span in spans(page) if PATH.fullmatch(span)),
        "links": lambda page: (link for link in LINK.findall(page) if "://" not in link),
    }
    return [(name, each) for name, page in PAGES.items() for each in dict.fromkeys(finders[what](page))]


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that these words reach, and the words left for it."""
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"no command {words[0]}"
        command, words = found, words[1:]
    return command, words


@pytest.mark.parametrize(("page", "line"), cases("commands"))
def test_a_command_exists_with_its_options(page: str, line: str) -> None:
    program, *words = shlex.split(line)
    if program == "make":
        assert [word for word in words if "=" not in word and word not in TARGETS] == []
        return
    if program == "python":
        assert words[0] == "-m"
        assert importlib.util.find_spec(words[1]) is not None
        return
    command, rest = resolve(words)
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in rest if word.startswith("--")} <= known | {"--help"}


@pytest.mark.parametrize(("page", "path"), cases("paths"))
def test_a_file_or_folder_exists(page: str, path: str) -> None:
    assert path in TESTS or any(ROOT.glob(path.rstrip("/"))), f"{page} names {path}"


@pytest.mark.parametrize(("page", "link"), cases("links"))
def test_a_link_leads_somewhere(page: str, link: str) -> None:
    target, _, anchor = link.partition("#")
    path = (ROOT / page).parent / target if target else ROOT / page
    assert path.exists()
    if anchor:
        assert anchor in headings(path.read_text(encoding="utf-8"))


def test_there_is_enough_to_check() -> None:
    assert all(
        len([name for name, _ in cases("commands") if name == page]) > 5 for page in ("README.md", "CONTRIBUTING.md")
    )
    assert len([name for name, _ in cases("commands") if name == "docs/runbook.md"]) > 15
    assert len(cases("paths")) > 60


def test_every_page_is_found_from_the_readme() -> None:
    found, waiting = set[str](), ["README.md"]
    while waiting:
        name = waiting.pop()
        if name in found or name not in PAGES:
            continue
        found.add(name)
        for link in LINK.findall(PAGES[name]):
            path = ((ROOT / name).parent / link.partition("#")[0]).resolve()
            if path.is_relative_to(ROOT):
                waiting.append((path / "README.md" if path.is_dir() else path).relative_to(ROOT).as_posix())
    assert set(PAGES) - found == set()


@pytest.mark.parametrize("page", PAGES)
def test_a_paragraph_is_not_torn_apart(page: str) -> None:
    """A line that goes on with a list entry is indented under it: one that is not was broken by a re-wrap."""
    inside = False
    for line in FENCE.sub("", PAGES[page]).splitlines():
        entry = re.match(r" *(?:[-*]|\d+\.) ", line)
        assert not inside or entry or not line.strip() or line.startswith("  "), f"{page}: {line}"
        inside = bool(entry) or (inside and line.startswith("  "))


def test_every_decision_has_its_date_its_parts_and_its_place_in_the_list() -> None:
    records = {name: page for name, page in PAGES.items() if re.match(r"docs/decisions/\d", name)}
    assert len(records) >= 8
    for at, (name, page) in enumerate(records.items(), 1):
        (date,) = re.findall(r"\A# \d+\. .*\n\nDecided on (\d{4}-\d\d-\d\d); ", page)
        assert page.startswith(f"# {at}. ")
        assert re.findall(r"^## (.*)$", page, flags=re.M) == ["Context", "Decision", "Rejected", "Consequences"]
        assert re.search(rf"\]\({Path(name).name}\) \| {date} \| ", PAGES["docs/decisions/README.md"]), name
