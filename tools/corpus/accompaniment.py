"""Accompaniments at an exact tempo: grooves of MMA (Bob van der Poel's Musical MIDI Accompaniment), by FluidSynth.

Both are programs of their own (Debian packages mma and fluidsynth, and a soundfont); nothing of them is part of
FluxBeat.
"""

from __future__ import annotations

import math
import re
import shutil
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from fluxbeat.audio.decoding import load_audio
from fluxbeat.errors import FluxBeatError
from tools.corpus.programs import run_program
from tools.corpus.tempo_map import read_tempo_map

LIBRARY = Path("/usr/share/mma/lib")
SOUNDFONT_FOLDERS = (Path("/usr/share/sounds/sf2"), Path("/usr/share/sounds/sf3"), Path("/usr/share/soundfonts"))
LIMIT_S = 120
SLOWEST_BPM, FASTEST_BPM = 60.0, 190.0

# compound meters, whose beat is not the quarter that MMA counts, are left out; so are styles whose drums put the
# backbeat on every half beat or on every other one: the tempo that a listener taps is not the stated one
UNSURE_STYLES = {
    "casio/60spop", "casio/ambient1", "casio/slowrock", "kara/happyshuffle", "stdlib/bvfunk", "zoom/thr",
    "stdlib/metronome", "stdlib/metronome2-4", "stdlib/metronome3", "stdlib/none",
}  # fmt: skip
NO_MAIN_PART = re.compile(r"intro|end|fill|break|count", re.IGNORECASE)

MAJOR_PROGRESSIONS = (
    "I V vi IV", "I vi IV V", "I IV V V", "vi IV I V", "ii V I I", "I vi ii V", "I iii IV V", "I IV I V", "I I IV V",
    "I7 I7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7", "IM7 vi7 ii7 V7", "iii7 vi7 ii7 V7", "IM7 IVM7 iii7 vi7", "I bVII IV I",
)  # fmt: skip
MINOR_PROGRESSIONS = (
    "i VI III VII", "i iv v i", "i VII VI V7", "i iv VII III", "i i iv V7", "i7 iv7 i7 v7", "ii7 V7 i7 i7",
    "i VII VI VII", "i III VII iv", "i7 i7 i7 i7 iv7 iv7 i7 i7 V7 iv7 i7 V7",
)  # fmt: skip
MAJOR_STEPS = {"I": 0, "II": 2, "III": 4, "IV": 5, "V": 7, "VI": 9, "VII": 11}
MINOR_STEPS = {"I": 0, "II": 2, "III": 3, "IV": 5, "V": 7, "VI": 8, "VII": 10}
NOTES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")


@dataclass(frozen=True)
class Style:
    """One file of MMA's library.

    Attributes
    ----------
    name : str
        FOLDER/FILE, such as stdlib/salsa.
    beats_per_bar : int
        3 or 4.
    grooves : tuple of str
        Its grooves, without introductions, fills and endings.
    """

    name: str
    beats_per_bar: int
    grooves: tuple[str, ...]


@dataclass(frozen=True)
class Groove:
    """One accompaniment to render.

    Attributes
    ----------
    style : Style
    name : str
        One of the style's grooves.
    tempo_bpm : int
        Beats of a quarter; MMA knows whole numbers only.
    chords : tuple of str
        One per bar, in MMA's spelling; they begin again where they end.
    soundfont : Path
    volumes : tuple of int
        Of the 16 channels, as MIDI controller 7 has it, 0 to 127.
    seed : int
        Of MMA's own chances.
    """

    style: Style
    name: str
    tempo_bpm: int
    chords: tuple[str, ...]
    soundfont: Path
    volumes: tuple[int, ...]
    seed: int


def check_programs() -> None:
    """Make sure that mma and fluidsynth are installed.

    Raises
    ------
    FluxBeatError
        If one is not.
    """
    for program in ("mma", "fluidsynth"):
        if shutil.which(program) is None:
            raise FluxBeatError(f"grooves need {program}: apt-get install {program}")


@lru_cache(maxsize=2)
def read_styles(library: Path = LIBRARY) -> tuple[Style, ...]:
    """The styles whose beat is a quarter, in three or four.

    Raises
    ------
    FluxBeatError
        If the library has none.
    """
    styles = []
    for path in sorted(library.glob("*/*.mma")):
        text = path.read_text(encoding="utf-8", errors="replace")
        times = set(re.findall(r"^\s*time\s+(\S+)", text, re.IGNORECASE | re.MULTILINE))
        compound = re.search(r"^\s*timesig\s+\d+[ /]+8", text, re.IGNORECASE | re.MULTILINE)
        names = re.findall(r"^\s*defgroove\s+(\S+)", text, re.IGNORECASE | re.MULTILINE)
        grooves = tuple(dict.fromkeys(name for name in names if not NO_MAIN_PART.search(name)))
        name = f"{path.parent.name}/{path.stem}"
        if len(times) == 1 and times <= {"3", "4"} and grooves and not compound and name not in UNSURE_STYLES:
            styles.append(Style(name, int(times.pop()), grooves))
    if not styles:
        raise FluxBeatError(f"{library} holds no grooves: apt-get install mma")
    return tuple(styles)


def find_soundfonts() -> tuple[Path, ...]:
    """All soundfonts that are installed, by name.

    Raises
    ------
    FluxBeatError
        If there is none.
    """
    files = {path.resolve() for folder in SOUNDFONT_FOLDERS for path in folder.glob("*.sf[23]")}
    found = tuple(sorted((path for path in files if path.is_file()), key=lambda path: path.name))
    if not found:
        raise FluxBeatError("no soundfont is installed: apt-get install timgm6mb-soundfont fluid-soundfont-gm")
    return found


def draw_groove(styles: tuple[Style, ...], soundfonts: tuple[Path, ...], rng: np.random.Generator) -> Groove:
    """A groove with everything about it drawn: every style is as likely, every octave of tempo too."""
    style = styles[rng.integers(len(styles))]
    return Groove(
        style,
        style.grooves[rng.integers(len(style.grooves))],
        round(SLOWEST_BPM * (FASTEST_BPM / SLOWEST_BPM) ** rng.random()),
        draw_chords(rng),
        soundfonts[rng.integers(len(soundfonts))],
        tuple(int(value) for value in rng.integers(50, 128, 16)),
        int(rng.integers(1, 2**31)),
    )


def draw_chords(rng: np.random.Generator) -> tuple[str, ...]:
    """A usual progression in a random key, one chord a bar, such as ('D', 'A', 'Bm', 'G')."""
    minor = bool(rng.random() < 0.4)
    progressions = MINOR_PROGRESSIONS if minor else MAJOR_PROGRESSIONS
    key = int(rng.integers(12))
    return tuple(_chord(step, key, minor) for step in progressions[rng.integers(len(progressions))].split())


def render_groove(groove: Groove, duration_s: float, place: Path, sample_rate_hz: int) -> tuple[np.ndarray, float]:
    """Render a groove.

    Parameters
    ----------
    groove : Groove
    duration_s : float
        As long as the music is, at least.
    place : Path
        Folder for files on the way.
    sample_rate_hz : int

    Returns
    -------
    samples, tempo_bpm : float32 array (samples,), float
        The tempo as the MIDI file states it in whole microseconds a beat.

    Raises
    ------
    FluxBeatError
        If a program fails or the tempo does not stay what was asked for.
    """
    script, midi, sound = (place / f"groove.{ending}" for ending in ("mma", "mid", "wav"))
    bars = math.ceil(duration_s * groove.tempo_bpm / 60 / groove.style.beats_per_bar) + 1
    lines = [f"RndSeed {groove.seed}", f"Tempo {groove.tempo_bpm}", f"Groove {groove.style.name}:{groove.name}"]
    lines += [f"{bar + 1} {groove.chords[bar % len(groove.chords)]}" for bar in range(bars)]
    script.write_text("\n".join(lines) + "\n", encoding="ascii")
    run_program(["mma", "-w", "-f", str(midi), str(script)], LIMIT_S)
    tempo_bpm = read_tempo_map(midi).constant_bpm(0.0, duration_s)
    if tempo_bpm is None or abs(tempo_bpm / groove.tempo_bpm - 1) > 0.01:
        raise FluxBeatError(f"{groove.style.name}:{groove.name} plays at {tempo_bpm} BPM, not at {groove.tempo_bpm}")
    midi.write_bytes(with_volumes(midi.read_bytes(), groove.volumes))
    # only what is played is loaded: a large soundfont takes seconds otherwise
    command = ["fluidsynth", "-ni", "-q", "-o", "synth.dynamic-sample-loading=1", "-g", "0.4"]
    run_program([*command, "-r", str(sample_rate_hz), "-F", str(sound), str(groove.soundfont), str(midi)], LIMIT_S)
    samples = load_audio(sound, sample_rate_hz=sample_rate_hz).samples
    return samples[: round(duration_s * sample_rate_hz)], tempo_bpm


def with_volumes(midi: bytes, volumes: tuple[int, ...]) -> bytes:
    """A MIDI file of format 1 with the volumes of its 16 channels set at its start, by a track of their own."""
    kind, tracks, division = struct.unpack(">HHH", midi[8:14])
    if kind != 1:
        raise FluxBeatError(f"volumes can be set in MIDI files of format 1, got format {kind}")
    body = b"".join(bytes((0, 0xB0 | channel, 7, value)) for channel, value in enumerate(volumes)) + b"\0\xff\x2f\0"
    header = midi[:8] + struct.pack(">HHH", kind, tracks + 1, division)
    return header + midi[14:] + b"MTrk" + struct.pack(">I", len(body)) + body


def _chord(step: str, key: int, minor: bool) -> str:
    flat, numeral, kind = re.fullmatch(r"(b?)([IViv]+)(M?7?)", step).groups()  # type: ignore[union-attr]
    steps = MINOR_STEPS if minor else MAJOR_STEPS
    note = NOTES[(key + steps[numeral.upper()] - len(flat)) % 12]
    if minor and numeral == "ii":
        return f"{note}m7b5"
    return note + ("m" if numeral.islower() else "") + kind
