"""docs/architecture.md says what each folder may import, and every import keeps to it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "inference", "streams", "ops")
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
#: A folder (`streams/audit/`) or the modules directly in one (`streams/*.py`).
NAME = re.compile(r"`([^`]+)`")


def table(header: str) -> list[list[str]]:
    """The rows of the page's table with this header, each a list of its cells."""
    rows = PAGE.partition(f"| {header} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


#: Folder → the folders that it may import from, besides itself.
FOLDERS: Mapping[str, tuple[str, ...]] = {
    NAME.findall(cells[0])[0]: tuple(NAME.findall(cells[2])) for cells in table("folder | holds | may import, of ours")
}
#: Library → the folders that may know it.
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    library: tuple(NAME.findall(cells[1]))
    for cells in table("library | known only in")
    for library in NAME.findall(cells[0])
}
MODULES = sorted(path.relative_to(ROOT).as_posix() for name in PACKAGES for path in (ROOT / name).rglob("*.py"))


def holds(folder: str, module: str) -> bool:
    """Whether a module (its path) lies in a folder of the table; `x/*.py` does not hold what lies in folders of x."""
    return PurePosixPath(module).match(folder) if folder.endswith("*.py") else module.startswith(folder)


def row_of(module: str) -> str:
    """The row that counts for a module: the most particular one."""
    return max(
        (folder for folder in FOLDERS if holds(folder, module)), key=lambda folder: len(folder.removesuffix("*.py"))
    )


def path_of(name: str) -> str | None:
    """The file of one of our modules or packages, by its dotted name; None for a name inside a module."""
    stem = name.replace(".", "/")
    return next((path for path in (f"{stem}.py", f"{stem}/__init__.py") if (ROOT / path).is_file()), None)


@cache
def imported(module: str) -> frozenset[str]:
    """The dotted names that a module imports anywhere in it, functions and type checking included."""
    return frozenset(_names(ast.parse((ROOT / module).read_text(encoding="utf-8"))))


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            # `from package import module` names a module, `from module import name` does not.
            yield from (
                f"{node.module}.{a.name}" if path_of(f"{node.module}.{a.name}") else f"{node.module}"
                for a in node.names
            )


def ours(names: Iterable[str]) -> set[str]:
    """The files of those of these names that are ours."""
    return {path for name in names if name.partition(".")[0] in PACKAGES and (path := path_of(name))}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_only_what_its_row_allows(folder: str) -> None:
    allowed = (folder, *FOLDERS[folder])
    modules = [module for module in MODULES if row_of(module) == folder]
    assert modules, f"{folder} is empty"
    wrong = [
        f"{module} imports {path}"
        for module in modules
        for path in sorted(ours(imported(module)))
        if not any(holds(each, path) for each in allowed)
    ]
    assert wrong == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_known_only_where_its_row_says(library: str) -> None:
    knowing = [module for module in MODULES if any(name.partition(".")[0] == library for name in imported(module))]
    assert knowing, f"nothing imports {library}"
    wrong = [module for module in knowing if not any(holds(folder, module) for folder in LIBRARIES[library])]
    assert wrong == []


def test_every_folder_of_streams_has_a_row() -> None:
    folders = {f"streams/{path.name}/" for path in (ROOT / "streams").iterdir() if (path / "__init__.py").is_file()}
    assert folders <= FOLDERS.keys()


def test_no_two_packages_import_each_other() -> None:
    edges: dict[str, set[str]] = defaultdict(set)
    for module in MODULES:
        package = module.rpartition("/")[0]
        edges[package] |= {path.rpartition("/")[0] for path in ours(imported(module))} - {package}
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as cycle:
        pytest.fail(f"packages import each other: {' <- '.join(cycle.args[1])}")


#: Where clients of Kafka may be made: one module, and two folders that must not share our settings.
CLIENTS_IN = ("streams/broker/clients.py", "ops/embedded/", "ops/bench/")
CLIENTS = {"Producer", "Consumer", "AdminClient", "AIOKafkaProducer", "AIOKafkaConsumer", "AIOKafkaClient"}
REGISTRY_CLIENT = "confluent_kafka.schema_registry"


@pytest.mark.parametrize("module", [module for module in MODULES if not module.startswith(CLIENTS_IN)])
def test_clients_of_kafka_are_made_in_one_module(module: str) -> None:
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    libraries = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("confluent_kafka", "aiokafka")
        for alias in node.names
    }
    made = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not made & libraries & CLIENTS, f"{module} makes a client of its own; see streams/broker/clients.py"


def test_clients_of_the_registry_are_made_in_one_module() -> None:
    making = [module for module in MODULES if any(name.startswith(REGISTRY_CLIENT) for name in imported(module))]
    assert [module for module in making if not module.startswith("ops/bench/")] == ["schemas/registry.py"]


def test_streams_is_a_handful_of_rooms() -> None:
    names = {
        path.stem for path in (ROOT / "streams").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert len(names - {"__init__"}) <= 15


#: Names that two classes share on purpose: what the model says, and the same in the contract.
TWINS = {"Finding"}


def test_no_two_public_classes_share_a_name() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for module in MODULES:
        for node in ast.parse((ROOT / module).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(module)
    assert {name: found for name, found in homes.items() if len(found) > 1 and name not in TWINS} == {}
