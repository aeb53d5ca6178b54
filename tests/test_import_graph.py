"""Imports run one way: from the doors through the stages of a film's way down to the roots, without a circle."""

import ast
import importlib
from pathlib import Path

import pytest

from tests.conftest import ROOT

LAYERS = (  # a module imports from its own package and from the layers above it in this list, never from those below
    ("cxrcore.errors", "cxrcore.findings", "cxrcore.resources", "cxrcore.storage", "cxrcore.text"),
    ("cxrcore.films", "cxrcore.metrics"),
    ("cxrcore.explain", "cxrcore.phantom"),
    ("cxrcore.bundle", "cxrcore.gate"),
    ("cxrcore.hub",),
    ("cxrcore.datasets",),
    ("cxrcore.predictions",),
    ("cxrcore.models",),
    ("cxrcore.evaluation",),
    ("cxrcore.serving",),
    ("cxrcore.reporting",),
    ("cxrcore.publishing",),
    ("cxrcore.training",),
    ("cxrcore",),  # its names for everybody, and its version
    ("dashboard", "page"),
    ("app",),
    ("train",),  # cxr app and cxr dashboard start the screens
)
SCREENS = ("gradio", "streamlit", "typer", "app", "dashboard", "page", "train")
PACKAGES = sorted(path.parent.name for path in (ROOT / "cxrcore").glob("*/__init__.py"))

Graph = dict[str, set[str]]


def import_graph(root: Path) -> Graph:
    """Module to the project's modules that it imports, at its top or inside a function, itself and parents left out."""
    tops = sorted({layer_name.split(".")[0] for layer in LAYERS for layer_name in layer})
    files = [path for top in tops for path in (root / top).rglob("*.py")]
    files += [path for top in tops if (path := root / f"{top}.py").exists()]
    modules = {_module_name(path, root): path for path in files}
    exports = {name: _exports(name, path) for name, path in modules.items() if path.name == "__init__.py"}
    graph: Graph = {}
    for name, path in modules.items():
        imported = {target for target in _imported(name, path, exports) if target in modules}
        graph[name] = {target for target in imported if target != name and not name.startswith(f"{target}.")}
    return graph


def _module_name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _imported(name: str, path: Path, exports: dict[str, dict[str, str]]) -> set[str]:
    """Names of modules, some of which may not be modules of the project; a package's export counts as its home."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = _absolute(node, name if path.name == "__init__.py" else name.rpartition(".")[0])
            for alias in node.names:
                home = exports.get(package, {}).get(alias.name)
                found |= {package, home or f"{package}.{alias.name}"}
    return found


def _absolute(node: ast.ImportFrom, package: str) -> str:
    parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    return ".".join([*parents, *([node.module] if node.module else [])])


def _exports(package: str, init: Path) -> dict[str, str]:
    """Exported name to the module that defines it, read from the package's stub."""
    stub = init.with_suffix(".pyi")
    if not stub.exists():
        return {}
    nodes = [node for node in ast.parse(stub.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: _absolute(node, package) for node in nodes for alias in node.names}


def circles(graph: Graph) -> list[str]:
    """Chains of modules that end where they began, as ``a -> b -> a``."""
    found: list[str] = []
    finished: set[str] = set()
    path: list[str] = []

    def visit(module: str) -> None:
        if module in path:
            found.append(" -> ".join([*path[path.index(module) :], module]))
        elif module not in finished:
            path.append(module)
            for target in sorted(graph[module]):
                visit(target)
            finished.add(path.pop())

    for module in sorted(graph):
        visit(module)
    return found


def layer(module: str) -> tuple[int, str]:
    """The number of the module's layer and its place there; the longest name that fits decides."""
    places = [(place, number) for number, names in enumerate(LAYERS) for place in names]
    fitting = [(place, number) for place, number in places if f"{module}.".startswith(f"{place}.")]
    assert fitting, f"{module} is in no layer: add it to LAYERS, or move it"
    place, number = max(fitting, key=lambda item: len(item[0]))
    return number, place


def against_the_order(graph: Graph) -> list[str]:
    """Imports of a later layer, or of a neighbour in the same one; only the roots may import each other."""
    found = []
    for module, targets in graph.items():
        if module == "cxrcore":
            continue
        number, place = layer(module)
        for target in targets:
            other_number, other_place = layer(target)
            neighbour = other_number == number and other_place != place and number > 0
            if target != "cxrcore" and (other_number > number or neighbour):
                found.append(f"{module} imports {target}")
    return sorted(found)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return import_graph(ROOT)


def test_no_modules_import_each_other(graph):
    assert len(graph) > 150
    assert circles(graph) == []


def test_imports_follow_the_order_of_the_layers(graph):
    assert against_the_order(graph) == []


def test_the_library_names_no_screen_and_no_command_line():
    named = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "cxrcore").rglob("*.py")
        for name in _imported(_module_name(path, ROOT), path, {})
        if name.split(".")[0] in SCREENS
    }
    assert named == set()


def test_six_modules_at_the_root_of_the_library():
    assert len(list((ROOT / "cxrcore").glob("*.py"))) <= 6


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_says_what_lives_there_and_exports_it(name):
    package = importlib.import_module(f"cxrcore.{name}")
    assert package.__doc__
    assert len(package.__doc__.strip().splitlines()) <= 2
    exports = _exports(f"cxrcore.{name}", ROOT / "cxrcore" / name / "__init__.py")
    assert exports
    assert set(package.__all__) == set(exports)
    for export, home in exports.items():
        module = importlib.import_module(home)  # a module named as its export would take the export's place here
        assert getattr(package, export) is getattr(module, export)


@pytest.fixture
def plant(tmp_path: Path):
    """A function that writes modules, dotted name to text, and returns the graph of the tree."""

    def write(modules: dict[str, str]) -> Graph:
        for name, text in modules.items():
            path = tmp_path / f"{name.replace('.', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return import_graph(tmp_path)

    return write


def test_the_diagram_shows_these_layers() -> None:
    from docs.stages import PICTURE, picture

    assert PICTURE.read_text("utf-8") == picture(), "draw it again: python -m docs.stages"


def test_a_planted_circle_is_found_also_inside_a_function_and_through_an_export(plant, tmp_path):
    modules = {
        "cxrcore.__init__": "",
        "cxrcore.films.__init__": "",
        "cxrcore.films.a": "from cxrcore.films import b",
        "cxrcore.films.b": "def later():\n    from cxrcore.films.c import x",
        "cxrcore.films.c": "from . import value",
    }
    assert circles(plant(modules)) == []
    (tmp_path / "cxrcore/films/__init__.pyi").write_text("from .a import value")
    assert circles(import_graph(tmp_path)) == [
        "cxrcore.films.a -> cxrcore.films.b -> cxrcore.films.c -> cxrcore.films.a"
    ]


def test_a_planted_import_against_the_order_is_found(plant):
    modules = {
        "cxrcore.errors": "from cxrcore.text import words",
        "cxrcore.text": "",
        "cxrcore.films.read": "def late():\n    import cxrcore.models.load\n    from cxrcore.errors import X",
        "cxrcore.metrics.area": "import cxrcore.films.read",
        "cxrcore.models.load": "from cxrcore.films.read import late",
        "cxrcore.training.run": "from dashboard import app",
        "dashboard.app": "import cxrcore.training.run",
    }
    assert against_the_order(plant(modules)) == [
        "cxrcore.films.read imports cxrcore.models.load",
        "cxrcore.metrics.area imports cxrcore.films.read",
        "cxrcore.training.run imports dashboard.app",
    ]
