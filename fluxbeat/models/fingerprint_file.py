"""fingerprints.safetensors beside a checkpoint: which recordings it learned from, so that nobody measures it on these.

It holds no sound, no name and no path: of each recording how the bands of its beginning move, by which the same
recording is known again (`fluxbeat.features.fingerprint`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from fluxbeat.atomic_write import atomic_write
from fluxbeat.errors import ModelLoadError
from fluxbeat.features.fingerprint import BANDS, BEGINNING_S, FLAT, STEP_S, Fingerprint, same_recordings
from fluxbeat.models.checkpoint import WEIGHTS_FILE, sha256_of

FINGERPRINT_FILE = "fingerprints.safetensors"
_STEPS = round(BEGINNING_S / STEP_S)
_LARGEST = 127.0
_BELONGS = "weights_sha256"


def write_fingerprints(folder: Path, prints: Sequence[Fingerprint]) -> None:
    """Write the file into the folder of a checkpoint that is there already, and bind it to its weights."""
    bands = min([BANDS, *(len(known.curve) for known in prints)])
    curve = np.zeros((len(prints), bands, _STEPS), np.int8)
    digest = np.zeros((len(prints), 32), np.uint8)
    for number, known in enumerate(prints):
        most = float(np.abs(known.curve).max(initial=0.0))
        if most > FLAT:  # what is compared are correlations: the scale does not count
            curve[number] = np.round(known.curve / most * _LARGEST)
        digest[number] = np.frombuffer(bytes.fromhex(known.digest), np.uint8)
    belongs = {_BELONGS: sha256_of(folder / WEIGHTS_FILE)}
    with atomic_write(folder / FINGERPRINT_FILE) as partial:
        save_file({"curve": curve, "digest": digest}, partial, belongs)


def read_fingerprints(folder: Path) -> list[Fingerprint]:
    """Fingerprints of what a checkpoint learned from; empty where it does not say.

    Raises
    ------
    ModelLoadError
        If the file is damaged, or belongs to other weights.
    """
    path = folder / FINGERPRINT_FILE
    if not path.is_file():
        return []
    try:
        with safe_open(path, framework="np") as content:
            belongs = (content.metadata() or {}).get(_BELONGS)
            tensors = {name: content.get_slice(name) for name in content.keys()}  # noqa: SIM118
            found = {name: (*tensor.get_shape(), tensor.get_dtype()) for name, tensor in tensors.items()}
            count, bands = (*found.get("curve", ()), 0, 0)[:2]
            expected = {"curve": (count, bands, _STEPS, "I8"), "digest": (count, 32, "U8")}
            if found != expected or not 0 < bands <= BANDS:
                raise ModelLoadError(f"{path} is no file of fingerprints: it holds {str(found)[:200]}")
            curve, digest = content.get_tensor("curve"), content.get_tensor("digest")
    except (SafetensorError, OSError) as error:
        raise ModelLoadError(f"{path} is cut short, damaged or no safetensors file ({str(error)[:200]})") from error
    if belongs != sha256_of(folder / WEIGHTS_FILE):
        raise ModelLoadError(f"{path} belongs to other weights than {WEIGHTS_FILE} holds: save the checkpoint anew")
    return [
        Fingerprint(bytes(row).hex(), moves.astype(np.float32) / _LARGEST)
        for row, moves in zip(digest, curve, strict=True)
    ]


def learned_from(folder: Path, prints: Sequence[Fingerprint]) -> list[int]:
    """Places of those among `prints` that a checkpoint learned from, rising.

    Raises
    ------
    ModelLoadError
        As `read_fingerprints`, and if `prints` were made with other features than the checkpoint's.
    """
    known = read_fingerprints(folder)
    if not known or not prints:
        return []
    if known[0].curve.shape != prints[0].curve.shape:
        raise ModelLoadError(f"{folder / FINGERPRINT_FILE} was made with other features than the checkpoint's")
    return sorted({place for place, _ in same_recordings(prints, known)})
