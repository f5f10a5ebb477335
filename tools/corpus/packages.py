"""Debian packages with music: fetched with apt, unpacked, never installed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from fluxbeat.errors import FluxBeatError
from tools.corpus.programs import run_program
from tools.corpus.table import LineReport

PACKAGES = "packages"
DOWNLOAD_LIMIT_S = 1800
UNPACK_LIMIT_S = 600


def fetch_packages(packages: Iterable[str], output: Path, report: LineReport = print) -> dict[str, str]:
    """Download and unpack packages into OUTPUT/packages/PACKAGE; what is there already is left alone.

    Parameters
    ----------
    packages : iterable of str
    output : Path
        The corpus folder.
    report : callable
        Takes a line for each package.

    Returns
    -------
    dict
        Packages that failed, and why; they do not stop the others.

    Raises
    ------
    FluxBeatError
        If this machine has no apt-get or dpkg-deb.
    """
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise FluxBeatError(f"{program} is not installed: packages can be fetched on Debian and its relatives only")
    failed = {}
    for package in dict.fromkeys(packages):
        if (output / PACKAGES / package).is_dir():
            continue
        try:
            _fetch(package, output / PACKAGES)
            report(f"{package}: unpacked")
        except FluxBeatError as error:
            failed[package] = str(error)
            report(f"{package}: {error}")
    return failed


def _fetch(package: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as place:
        # apt gives up its rights to a user who must be able to write here
        os.chmod(place, 0o777)
        run_program(["apt-get", "download", package], DOWNLOAD_LIMIT_S, place)
        found = sorted(Path(place).glob("*.deb"))
        if not found:
            raise FluxBeatError("apt-get downloaded no .deb")
        run_program(["dpkg-deb", "-x", found[0].name, "unpacked"], UNPACK_LIMIT_S, place)
        os.replace(Path(place, "unpacked"), folder / package)
