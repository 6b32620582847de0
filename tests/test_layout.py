"""The order of the packages, as `darac_tf/__init__.py` gives it, against the code's imports."""

import ast
import functools
import re
from pathlib import Path

import pytest

import darac_tf

ROOT = Path(darac_tf.__file__).parent
MOST_FILES = 20


def order_of(docstring):
    """`{name: level}` of the indented list; names on one line may import each other."""
    names = re.findall(r"^ {4}(\w+(?:, \w+)*)", docstring, re.MULTILINE)
    return {name: level for level, line in enumerate(names) for name in line.split(", ")}


@functools.cache
def imported(path):
    """List of the names of all modules that a file imports, with their lines."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: imports are absolute here"
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def upward_imports(root, order):
    """A line for each import of what stands further down in the order."""
    faults = []
    for path in sorted(root.rglob("*.py")):
        own = path.relative_to(root).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for name, line in imported(path):
            first, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if first != root.name or not other:
                continue
            if order[other] > order[own]:
                where = f"{path.relative_to(root)}:{line}"
                faults.append(f"{where}: {own} imports {other}, which stands below it")
    return faults


def test_every_package_has_its_place():
    found = {p.stem for p in ROOT.glob("*.py")} | {
        p.parent.name for p in ROOT.glob("*/__init__.py")
    }
    assert found - {"__init__"} == set(order_of(darac_tf.__doc__))


def test_imports_point_one_way():
    assert upward_imports(ROOT, order_of(darac_tf.__doc__)) == []


def test_no_folder_is_too_full():
    folders = {path.parent for path in ROOT.rglob("*.py")}
    full = {str(f): len(list(f.glob("*.py"))) for f in folders}
    assert {name: count for name, count in full.items() if count > MOST_FILES} == {}


@pytest.mark.parametrize(
    "line",
    [
        "from darac_tf.upper.module import name",
        "import darac_tf.upper",
        "from darac_tf import upper",
    ],
)
def test_an_upward_import_is_found(tmp_path, line):
    root = tmp_path / "darac_tf"
    for name, code in {"lower": f"def late():\n    {line}\n", "upper": ""}.items():
        (root / name).mkdir(parents=True)
        (root / name / "module.py").write_text(code)
    order = order_of("    lower    what is first\n    upper    what is last\n")
    assert upward_imports(root, order) == [
        "lower/module.py:2: lower imports upper, which stands below it"
    ]
    assert upward_imports(root, {"upper": 0, "lower": 1}) == []


def reached(script, root):
    """Names of all modules of a package that a script imports, one through another."""
    found, left = set(), [script]
    while left:
        for name, _ in imported(left.pop()):
            parts = name.split(".")
            for end in range(1, len(parts) + 1) if parts[0] == root.name else ():
                path = root.joinpath(*parts[1:end])
                path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
                module = ".".join(parts[:end])
                if path.exists() and module not in found:
                    found.add(module)
                    left.append(path)
    return found


def test_evaluation_does_without_the_training_stack():
    of_eval, of_train = (
        reached(ROOT / "commands" / f"{name}.py", ROOT) for name in ("eval", "train")
    )
    assert "darac_tf.ranking.rank" in of_eval and "darac_tf.training.step" in of_train
    assert not [name for name in of_eval if name.startswith("darac_tf.training")]
