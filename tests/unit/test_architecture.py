"""The project is what it says it is: what it needs and imports, what is committed and what is not."""

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
import warnings
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "fluxbeat"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]


def test_weights_recipes_and_types_travel_with_the_wheel_and_tools_do_not():
    wheel = SETTINGS["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["fluxbeat"]
    assert wheel["force-include"] == {name: f"fluxbeat/{name}" for name in ("checkpoints", "recipes")}
    assert list((ROOT / "recipes").glob("*.yaml")) and list((ROOT / "checkpoints").glob("*/config.json"))
    assert (ROOT / "fluxbeat" / "py.typed").is_file()


def test_requirements_are_those_of_the_program_and_its_web_app():
    """A Space sees requirements.txt alone, and pip pyproject.toml: each has the whole list."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    listed = [str(Requirement(line)) for line in lines if line]
    needed = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["web"]]
    assert listed == [str(Requirement(line)) for line in needed]


def test_extras_bound_what_the_program_bounds():
    """Else an installer that meets a conflict tries every older release of the package, for an hour."""
    extras = PROJECT["optional-dependencies"]
    bounds = {one.name: one.specifier for one in map(Requirement, [*PROJECT["dependencies"], *extras["web"]])}
    again = [one for extra in extras.values() for one in map(Requirement, extra) if one.name in bounds]
    assert "gradio" in {one.name for one in again}
    assert {one.name: one.specifier for one in again} == {one.name: bounds[one.name] for one in again}


def test_the_core_needs_no_web_server_and_no_trainer():
    names = {Requirement(line).name for line in PROJECT["dependencies"]}
    assert not names & {"gradio", "fastapi", "starlette", "uvicorn", "websockets", "lightning", "ray"}


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    """Everything that a file of Python says."""
    return list(ast.walk(ast.parse(path.read_text())))


def top_modules(path: Path) -> set[str]:
    """What a file imports, anywhere in it."""
    nodes = nodes_of(path)
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names} - {"fluxbeat", *sys.stdlib_module_names}


def test_what_a_room_imports_comes_with_the_core_or_the_extra_of_that_room():
    """What a clean `pip install fluxbeat`, `fluxbeat[web]` ... would miss."""
    own = {
        "starlette": "fastapi",
        "pydantic_core": "pydantic",
        "essentia": "torch",  # a peer
        "spaces": "torch",  # part of the only machine that has a use for it
    }
    extra_of = {"web": "web", "training": "train", "library": "scale", "models": "transformers"}
    with_mcp = ROOT / "fluxbeat" / "web" / "mcp_tools.py"
    packages, missing = packages_distributions(), set()
    for path in (ROOT / "fluxbeat").rglob("*.py"):
        extra = PROJECT["optional-dependencies"].get(extra_of.get(path.relative_to(ROOT / "fluxbeat").parts[0], ""), [])
        more = PROJECT["optional-dependencies"]["mcp"] if path == with_mcp else []
        needed = {canonicalize_name(Requirement(line).name) for line in [*PROJECT["dependencies"], *extra, *more]}
        # what is asked of tools/ in a checkout, and told to be missing elsewhere
        for module in top_modules(path) - ({"tools"} if "cli" in path.parts else set()):
            names = {canonicalize_name(name) for name in [*packages.get(module, []), own.get(module, module)]}
            if not names & needed:
                missing.add(f"{path.relative_to(ROOT)} imports {module}")
    assert not missing


def shared_by_tests() -> set[str]:
    """Modules of tests/ that are no tests."""
    return {path.stem for path in (ROOT / "tests").rglob("*.py") if not path.stem.startswith("test_")}


@pytest.mark.parametrize("category", [DeprecationWarning, FutureWarning])
def test_what_our_own_calls_deprecate_fails(category):
    """And what libraries do among themselves does not."""
    for module in ("fluxbeat.analysis.engine", "tools.release", "fuzz_audio", "test_export", *shared_by_tests()):
        with pytest.raises(category):
            warnings.warn_explicit("soon gone", category, "engine.py", 1, module=module)
    with pytest.warns(category):
        warnings.warn_explicit("soon gone", category, "inside.py", 1, module="library.inside")


def test_importing_fluxbeat_is_light():
    heavy = {"torch", "gradio", "librosa", "plotly", "lightning"}
    result = run(sys.executable, "-c", "import sys, fluxbeat; print(*sys.modules)")
    assert result.returncode == 0, result.stderr
    assert "fluxbeat" in result.stdout.split()
    assert not heavy & set(result.stdout.split())


def tracked_files() -> list[Path]:
    listed = run("git", "ls-files", "-z").stdout.split("\0")
    return [ROOT / name for name in listed if name]


def test_nothing_of_a_private_machine_is_committed():
    private = re.compile(rb"(?<![\w.])/(?:home|work|root|tmp|Users)/\w")
    contents = {path: path.read_bytes() for path in tracked_files() if path.exists()}
    texts = {path: content for path, content in contents.items() if b"\0" not in content}
    assert {"Dockerfile", "LICENSE", "run", ".gitignore"} <= {path.name for path in texts}
    assert {".py", ".md", ".toml", ".yaml", ".txt", ".json", ".js", ".css", ".jinja"} <= {path.suffix for path in texts}
    assert not [str(path) for path, content in texts.items() if private.search(content)]


def test_committed_files_are_small():
    checkpoints = sum(path.stat().st_size for path in (ROOT / "checkpoints").rglob("*") if path.is_file())
    assert checkpoints < 40e6
    big = [path for path in tracked_files() if path.exists() and path.stat().st_size > 16e6]
    assert not big


def names_of(path: Path, content: str) -> set[str]:
    """Names in Python or JavaScript, and a style sheet's classes; in the package keys and codes too."""
    if path.suffix == ".css":
        return set(re.findall(r"\.([a-z][\w-]*)", content))
    if path.suffix == ".js":
        inside = r"\$\{(?:[^{}`]|`[^`]*`|\{[^{}]*\})*\}"
        text = rf"//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|`(?:\\.|{inside}|[^`\\])*`"
        return set(re.findall(r"[A-Za-z_$][\w$]*", re.sub(text, " ", content, flags=re.DOTALL)))
    tokens = list(tokenize.generate_tokens(io.StringIO(content).readline))
    texts = {token.string.strip("\"'") for token in tokens if token.type == tokenize.STRING and PACKAGE in path.parents}
    keys = {text for text in texts if re.fullmatch("[a-z_]+", text)}
    return {token.string for token in tokens if token.type == tokenize.NAME} | keys


def test_names_are_the_words_of_the_field():
    """A result is no `heard`, a message no `said`, a registry no `zoo`; mutagen may call a cover a picture."""
    words = r"zoo|shel(?:f|ves)|heard|said|stretch(?:es)?|ripples?|pictures?|pulses?|usual"
    anywhere = re.compile(rf"(?:^|_)({words})(?:_|$)", re.IGNORECASE)
    in_package = re.compile(rf"(?:^|_)({words}|hear|hears|hearer|hearing|told|believed)(?:_|$)", re.IGNORECASE)

    def apart(text: str) -> str:
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|\W", "_", text)

    found = set()
    for path in tracked_files():
        if path.suffix not in (".py", ".js", ".css") or not path.exists():
            continue
        private, content = in_package if PACKAGE in path.parents else anywhere, path.read_text()
        if private.search(apart(content)):  # to find all names takes longer
            found |= {(path.name, name) for name in names_of(path, content) if private.search(apart(name))}
    allowed = {"Picture", "add_picture", "pictures", "pulse", "stretch"}  # of mutagen, of CSS and Plotly
    assert {name for _, name in found} <= allowed, found


def test_the_package_stays_small():
    """Lines of code (no blanks, comments, docstrings) without training; of training all lines. What comes in, may take
    something else out."""
    modules = [path for path in tracked_files() if path.suffix == ".py" and PACKAGE in path.parents and path.exists()]
    training = [path for path in modules if PACKAGE / "training" in path.parents]
    assert sum(len(path.read_text().splitlines()) for path in training) <= 5_000
    assert sum(lines_of_code(path) for path in modules if path not in training) <= 14_000


def lines_of_code(path: Path) -> int:
    texts = [
        node
        for node in nodes_of(path)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    empty = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type not in empty:
            code.update(range(token.start[0], token.end[0] + 1))
    for text in texts:
        code.difference_update(range(text.lineno, text.end_lineno + 1))
    return len(code)


def test_no_file_has_a_name_that_says_nothing():
    vague = {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert not [path for path in tracked_files() if path.name in vague]
