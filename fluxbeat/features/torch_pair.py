"""torch and torchaudio are built for each other: say so in one sentence when the installed pair does not match."""

from importlib import metadata

from fluxbeat.errors import ConfigMismatchError

PAIR = "torch==2.11.0 torchaudio==2.11.0"


def check_torch_pair() -> None:
    """Make sure that torch and torchaudio can be imported together.

    Raises
    ------
    ConfigMismatchError
        One sentence with both versions and the cure, in place of the loader's stack of OSErrors.
    """
    found = {}
    for package in ("torch", "torchaudio"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    cure = f"install the matching pair with: pip install {PAIR}"
    torch_version, audio_version = found["torch"], found["torchaudio"]
    if torch_version.split("+")[0] != audio_version.split("+")[0]:
        raise ConfigMismatchError(f"torch {torch_version} and torchaudio {audio_version} do not match; {cure}")
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise ConfigMismatchError(
            f"torch {torch_version} and torchaudio {audio_version} cannot be loaded together "
            f"({type(error).__name__}); {cure}"
        ) from None
