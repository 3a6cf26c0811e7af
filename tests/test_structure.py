"""The structure: which way imports go, what starts quickly, and what is in our own packages."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("cli", "selection", "embedders")


def imports(path: Path) -> set[str]:
    """All modules of tithe that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "tithe.selection":
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.partition(".")[0] in ("tithe", *FOLDERS)}


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [
        ("cli", ("tithe.cli", "tithe.selection", "tithe.embedders")),
        (
            "selection",
            (
                "tithe.selection",
                "tithe.embedders.base",
                "tithe.embedders.entries",
                "tithe.embedders.errors",
                "tithe.embedders.reading",
            ),
        ),
        ("embedders", ("tithe.embedders",)),
    ],
)
def test_imports_go_one_way(folder: str, allowed: tuple[str, ...]) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        wrong = {name for name in imports(path) if not name.startswith(allowed)}
        assert not wrong, f"{path} imports {wrong}"


# The rooms of selection/ in the order in which data flows. PIPELINE are the modules beside them, which see all but what is
# done with a finished selection.
PIPELINE = "pipeline"
ROOMS = (
    *("storage", "options", "engine", "corpus", "embedding", "clustering", "losses", "population", "scoring"),
    *("sampling", "evidence", "subset", PIPELINE, "review"),
)
EVERYWHERE = {"", "arrays", "errors", "sizes", "__init__"}

# Who imports from a later room all the same, and why.
UPWARDS = {("scoring/low_rank.py", "sampling"): "the records whose losses it asks for are a sample"}

# Names, and where to find what they name: whoever checks a name reads them.
REGISTRIES = ("registry", "formats")


def number_of_room(name: str) -> int:
    """The place of a module of selection/, or of a folder, among the rooms; -1 for one that all may import."""
    return -1 if name in EVERYWHERE else ROOMS.index(name if name in ROOMS else PIPELINE)


def test_imports_go_down_the_rooms() -> None:
    found = set()
    for path in (ROOT / "selection").rglob("*.py"):
        name = path.relative_to(ROOT / "selection").as_posix()
        here = number_of_room(name.partition("/")[0].removesuffix(".py"))
        for module in imports(path):
            if module.startswith("tithe.selection") and not module.endswith(REGISTRIES):
                there = number_of_room(module.removeprefix("tithe.selection").lstrip(".").partition(".")[0])
                if there > here:
                    found.add((name, ROOMS[there]))
    assert found == set(UPWARDS), "a room imports from a later one"


def prints(path: Path) -> list[str]:
    """The places of a file that print, or get hold of a standard stream, in a way of their own."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "input"):
            found.append(f"{node.lineno}: {node.func.id}")
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            if name in PRINTING:
                found.append(f"{node.lineno}: {name}")
        elif isinstance(node, ast.ImportFrom) and node.module in ("click", "sys", "tqdm", "tqdm.auto", "warnings"):
            names = {f"{node.module.partition('.')[0]}.{alias.name}" for alias in node.names}
            found += [f"{node.lineno}: {name}" for name in names & PRINTING]
    return found


PRINTING = {
    *(f"click.{name}" for name in ("echo", "secho", "echo_via_pager", "prompt", "confirm", "progressbar", "get_text_stream", "get_binary_stream")),
    *(f"sys.{name}" for name in ("stdout", "stderr", "stdin", "__stdout__", "__stderr__", "displayhook")),
    *("warnings.warn", "tqdm.tqdm", "os.write"),
}  # fmt: skip

# Who may, and what: the streams themselves; bars drawn there; where Ray's own talk goes, and a flush; the pipe to a command.
ALLOWED = {
    "cli/terminal.py": {"sys.stdout", "sys.stderr", "sys.stdin"},
    "cli/progress.py": {"sys.stderr", "tqdm.tqdm"},
    "selection/engine/ray_cluster.py": {"sys.stdout", "sys.stderr"},
    "selection/losses/pipes.py": {"os.write"},
}


def test_nothing_prints_but_by_the_terminal() -> None:
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            wrong = [place for place in prints(path) if place.partition(": ")[2] not in ALLOWED.get(name, set())]
            assert not wrong, f"{name} prints by itself: {wrong}"


def test_no_message_counts_things_in_brackets() -> None:
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    text = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
                    assert "(s)" not in text, f"{path}:{node.lineno}: counted() has both numbers"


# Where a file is opened to be written, or by its name, and why that is no door for links, pipes and devices. All else goes
# through own_files.py and reading.py.
OPENED_ELSEWHERE = {
    ("cli/start.py", "open"): "a constant name: /dev/null",
    ("cli/terminal.py", "open"): "a constant name: /dev/null",
    ("selection/engine/ray_cluster.py", "open"): "a constant name: /dev/null",
    ("selection/engine/blas.py", "read_text"): "a constant name in /proc",
    ("selection/engine/stages.py", "read_text"): "a constant name in /proc",
    ("selection/review/report/render.py", "read_text"): "a file of this package",
    ("selection/api.py", "read_table"): "files of this process, in a new temporary folder",
    ("selection/embedding/work_folder.py", "TemporaryFile"): "has no name",
    ("selection/engine/columns.py", "TemporaryFile"): "has no name",
    ("selection/engine/columns.py", "memmap"): "of a file without a name",
    ("selection/review/manifest_schema.py", "read_text"): "a file of this package",
    ("selection/storage/places.py", "OSFile"): "to be read, and checked before",
    ("selection/storage/places.py", "read_table"): "of an open file",
    ("embedders/npy.py", "load"): "to be read, and checked before",
}

OPENERS = {"selection/storage/own_files.py", "embedders/reading.py"}

# Of Path and of modules; and functions that are often imported by their bare names.
BY_NAME = {
    *("read_text", "read_bytes", "write_text", "write_bytes", "tofile", "fromfile", "symlink_to", "hardlink_to"),
    *("OSFile", "memory_map", "output_stream", "read_metadata", "savez", "truncate"),
    *("os.open", "os.remove", "os.unlink", "os.rename", "os.replace", "os.mkdir", "os.makedirs", "os.rmdir"),
    *("np.save", "np.load", "shutil.copy", "shutil.move"),
}
TEMPORARY = {"NamedTemporaryFile", "TemporaryFile", "mkstemp", "mkdtemp", "rmtree", "copy2", "copyfile", "copytree"}
TABLES = {"write_table": 1, "ParquetWriter": 0, "CompressedOutputStream": 0}


def opened_by_name(tree: ast.AST) -> Iterator[str]:
    """Calls that open, make or remove a file or folder by its name."""
    opened = {
        item.optional_vars.id
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        for item in node.items
        if isinstance(item.optional_vars, ast.Name)
    }
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name, whole = ast.unparse(call.func), ast.unparse(call)
        last = name.rpartition(".")[2]
        texts = re.findall("'([^']*)'", whole)
        target = ast.unparse(call.args[TABLES[last]]) if last in TABLES and len(call.args) > TABLES[last] else None
        if (
            last in TEMPORARY
            or ("." in name and not BY_NAME.isdisjoint((name, last)))
            or (last == "open" and any(re.fullmatch("[rwax+bt]{1,3}", text) for text in texts))
            or (last == "memmap" and "r" not in texts)
            or (last == "read_table" and "open_for_arrow(" not in whole)
            or (target is not None and target not in opened and "PythonFile(" not in target)
        ):
            yield last


def test_files_are_opened_in_two_places_only() -> None:
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if path.relative_to(ROOT).as_posix() not in OPENERS
        for name in opened_by_name(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set(OPENED_ELSEWHERE), "open files of ours by OwnPath, others by open_regular"


@pytest.mark.parametrize(
    "line",
    [
        "path.open('wb')",
        "path.open(mode='a')",
        "open(path, 'r+b')",
        "open('x', 'rb')",
        "path.write_text('x')",
        "os.open(path, os.O_WRONLY)",
        "np.memmap(path, mode='w+')",
        "np.memmap(path, 'f4', 'r+')",
        "np.memmap(path)",
        "np.save(path, array)",
        "np.load(path)",
        "pq.write_table(table, path)",
        "pq.ParquetWriter(path, schema)",
        "pq.read_table(record.rows)",
        "pa.OSFile(path, 'w')",
        "shutil.copy(a, b)",
        "shutil.move(a, b)",
        "shutil.rmtree(folder)",
        "tempfile.mkstemp(dir=folder)",
    ],
)
def test_whatever_opens_a_file_by_its_name_is_seen(line: str) -> None:
    assert [*opened_by_name(ast.parse(line))]


def test_help_does_not_wait_for_the_heavy_libraries() -> None:
    script = (
        "import sys\nfrom tithe.cli.main import main\n"
        "try:\n    main(['select', '--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted(set(sys.modules) & {'numpy', 'faiss', 'pyarrow', 'sklearn', 'scipy', 'torch'}), file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "[]"


def test_every_package_folder_is_listed_for_the_wheel() -> None:
    tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {
        "tithe." + ".".join(path.parent.relative_to(ROOT).parts)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert set(listed) == there


def test_the_wheel_and_the_sdist_hold_the_tree_and_the_wheel_brings_no_torch(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    (sdist,) = tmp_path.glob("*.tar.gz")
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sdist)], check=True)
    assert wheel.stat().st_size < 1_000_000
    sources = {
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for pattern in ("*.py", "py.typed", "*.j2", "*.json")
        for path in (ROOT / folder).rglob(pattern)
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = next(archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    assert names == {f"tithe/{name}" for name in sources}
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert sources <= packed
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert not [line for line in needed if "torch" in line or "sentence" in line]

    target = tmp_path / "from-sdist"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(sdist)]
    subprocess.run(command, check=True, capture_output=True)
    assert {path.relative_to(target).as_posix() for path in target.rglob("*.py")} == {
        f"tithe/{name}" for name in sources if name.endswith(".py")
    }

    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", str(wheel)], check=True, capture_output=True)
    installed = subprocess.run([*pip, "list"], check=True, capture_output=True, text=True).stdout.lower()
    assert "faiss-cpu" in installed
    assert "torch" not in installed
    (tmp_path / "c.jsonl").write_text("".join(f'{{"text": "record {i} {"ab" * (i % 7)}"}}\n' for i in range(50)))
    tithe = [str(environment / "bin" / "tithe"), "select", "c.jsonl", "-o", "s.parquet", "--size", "9"]
    subprocess.run(tithe, check=True, capture_output=True, cwd=tmp_path)
    verify = [str(environment / "bin" / "tithe"), "verify", "s.parquet.manifest.json"]
    subprocess.run(verify, check=True, capture_output=True, cwd=tmp_path)
