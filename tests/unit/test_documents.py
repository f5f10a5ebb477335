"""What CONTRIBUTING.md, CHANGELOG.md and docs/architecture.md name is there, under that name."""

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import fluxbeat
from fluxbeat.export.formats import FORMATS

ROOT = Path(__file__).parents[2]
GUIDES = ("CONTRIBUTING.md", "docs/architecture.md")
MAKEFILE = (ROOT / "Makefile").read_text()


def quoted(name: str) -> list[str]:
    """Every word or line in backticks, and every line of code."""
    text = (ROOT / name).read_text()
    blocks = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)) + blocks


def looks_like_a_path(word: str) -> bool:
    return "NAME" not in word and re.fullmatch(r"[\w./-]+\.(py|js|md|yaml|toml)|[\w-]+(/[\w-]+)+/?", word) is not None


@pytest.mark.parametrize("name", GUIDES)
def test_paths_are_there(name: str) -> None:
    """A bare file name is that of a file somewhere; a folder stands as it is, or below the package."""
    words = {word for text in quoted(name) for word in text.split() if looks_like_a_path(word)}
    words -= {"runs/cnn", "model.safetensors"}
    assert len(words) > 5
    places = (ROOT, ROOT / "fluxbeat", ROOT / "fluxbeat" / "web" / "ui")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    names = {Path(file).name for file in tracked}
    assert not [word for word in words if not any((place / word).exists() for place in places) and word not in names]


@pytest.mark.parametrize("name", GUIDES)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text()):
        assert ((ROOT / name).parent / target).exists(), target


def test_the_guide_has_every_export_format_in_the_order_of_the_menu() -> None:
    exports = (ROOT / "USER_GUIDE.md").read_text().partition("\n## Exports\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", exports, re.MULTILINE) == list(FORMATS)


def test_verbs_are_those_of_the_makefile() -> None:
    targets = {word for line in re.findall(r"^([\w -]+):(?!=)", MAKEFILE, re.MULTILINE) for word in line.split()}
    used = {verb for name in GUIDES for text in quoted(name) for verb in re.findall(r"^make (.+?)(?: +#|$)", text)}
    verbs = {verb for line in used for verb in line.split()}
    assert {"install", "test", "check", "test-all"} <= verbs <= targets


def test_code_that_is_named_exists() -> None:
    text = "".join((ROOT / name).read_text() for name in GUIDES)
    code = "".join(
        path.read_text() for folder in ("fluxbeat", "tools", "tests") for path in (ROOT / folder).rglob("*.py")
    )
    for name in set(re.findall(r"`([A-Z]{4,}|_?[a-z]+_[a-z_]+)`", text)):
        assert re.search(rf"\b{name}\b", code), name


def test_changelog_knows_this_version_and_where_modules_went() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[([\d.]+)\]", text, re.MULTILINE)[1] == fluxbeat.__version__
    rows = re.findall(r"^ +\| (`.+`) \| (`.+`) \|$", text, re.MULTILINE)
    assert rows
    for _, now in rows:
        for module in re.findall(r"`((?:fluxbeat|tools)[\w.]*)`", now):
            assert find_spec(module), module


def test_hooks_are_what_make_check_runs() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    check = re.search(r"^check:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1].replace("$(PYTHON)", "python")
    for hook in local["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].removesuffix(" --fix") in check
