"""Drawn rhythms with exact tempo, and sounds with no beat at all: they teach the tempo head, never a genre.

Annotated tempo is scarce and unevenly spread; a pattern played by simple percussion at any tempo is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# steps of a bar of four beats, sixteenths: kick, snare, hat strengths 0..9, and the tempi at which it is played
PATTERNS: dict[str, tuple[str, str, str, float, float]] = {
    "four on the floor": ("9000900090009000", "0000700000007000", "0050005000500050", 100, 150),
    "rock": ("9000000090000000", "0000900000009000", "5050505050505050", 75, 180),
    "rock, busy": ("9000003090300000", "0000900000009003", "5252525252525252", 70, 140),
    "half time": ("9000000000300000", "0000000090000000", "5050505050505050", 60, 100),
    "boom bap": ("9000000900900000", "0000900000009000", "5050505050505050", 75, 110),
    "breakbeat": ("9000000000900000", "0000900000009000", "6060606060606060", 155, 185),
    "one drop": ("0000000090000000", "0000000090000000", "0050005000500050", 60, 95),
    "waltz": ("9000", "0000", "5000", 80, 200),
    "ballad": ("9000000000000000", "0000000070000000", "4040404040404040", 50, 75),
    "shuffle": ("900000000900", "000900000900", "504504504504", 70, 160),
    "swing": ("400400400400", "000000000000", "600604600604", 90, 240),
    "polka": ("9000000090000000", "0000700000007000", "0000500000005000", 100, 220),
    "disco": ("9000900090009000", "0000800000008000", "4060406040604060", 105, 135),
    "clicks": ("0000", "9000", "0000", 40, 240),
}


def _hit(kind: str, rng: np.random.Generator, rate_hz: int) -> np.ndarray:
    length_s = {"kick": 0.15, "snare": 0.18, "hat": 0.05}[kind]
    t = np.arange(int(length_s * rate_hz)) / rate_hz
    decay = np.exp(-t / (length_s * rng.uniform(0.15, 0.4)))
    if kind == "kick":
        sweep = rng.uniform(45, 65) * t + rng.uniform(2, 5) * (1 - np.exp(-t * 40))
        return np.sin(2 * np.pi * sweep) * decay
    noise = rng.standard_normal(len(t))
    if kind == "hat":
        return np.diff(noise, prepend=0.0) * decay
    return (0.7 * noise + 0.5 * np.sin(2 * np.pi * rng.uniform(160, 240) * t)) * decay


def rhythm(tempo_bpm: float, pattern: str, duration_s: float, rng: np.random.Generator, rate_hz: int) -> np.ndarray:
    """A drum pattern at an exact tempo under a random pad, float32 (samples,)."""
    kick, snare, hat, *_ = PATTERNS[pattern]
    steps_per_beat = 3 if len(kick) == 12 else 4
    step_s = 60.0 / tempo_bpm / steps_per_beat
    samples = np.zeros(int(duration_s * rate_hz))
    offset_s = _first_beat_s(tempo_bpm, rng)
    sounds = {
        name: (_hit(name, rng, rate_hz), rng.uniform(0.5, 1.0) * (rng.random() > 0.1))
        for name in ("kick", "snare", "hat")
    }
    if pattern == "clicks":
        frequency_hz, click_s = rng.uniform(500, 3000), rng.uniform(0.01, 0.06)
        t = np.arange(int(click_s * rate_hz)) / rate_hz
        sounds["snare"] = (np.sin(2 * np.pi * frequency_hz * t) * np.exp(-t / click_s * 3), 1.0)
    human = rng.uniform(0, 0.008)
    for step in range(int((duration_s - offset_s) / step_s)):
        for name, steps in (("kick", kick), ("snare", snare), ("hat", hat)):
            strength = int(steps[step % len(steps)]) / 9
            if strength == 0 or (pattern != "clicks" and rng.random() < 0.04):
                continue
            sound, level = sounds[name]
            start = int((offset_s + step * step_s + rng.normal(0, human)) * rate_hz)
            if 0 <= start < len(samples) - len(sound):
                samples[start : start + len(sound)] += sound * strength * level
    if pattern != "clicks" or rng.random() < 0.3:
        beat_s = 60.0 / tempo_bpm
        samples += drone(duration_s, rng, rate_hz, change_s=beat_s * rng.choice([2, 4, 8])) * rng.uniform(0, 0.5)
    return (samples / max(np.abs(samples).max(), 1e-6)).astype(np.float32)


def beats_of_rhythm(tempo_bpm: float, duration_s: float, rng: np.random.Generator) -> np.ndarray:
    """When the beats are, in seconds, of what `rhythm` draws from a generator in the same state."""
    return np.arange(_first_beat_s(tempo_bpm, rng), duration_s, 60.0 / tempo_bpm)


def _first_beat_s(tempo_bpm: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(0, 60.0 / tempo_bpm))


def drone(duration_s: float, rng: np.random.Generator, rate_hz: int, change_s: float | None = None) -> np.ndarray:
    """Held tones with slow swells, a new chord every `change_s` where given; float64 (samples,), peak 1."""
    t = np.arange(int(duration_s * rate_hz)) / rate_hz
    sound = np.zeros(len(t))
    spans = [(0.0, duration_s)] if change_s is None else [(s, s + change_s) for s in np.arange(0, duration_s, change_s)]
    for begin_s, end_s in spans:
        first, last = int(begin_s * rate_hz), min(int(end_s * rate_hz), len(t))
        part = t[first:last]
        if not len(part):
            continue
        chord = np.zeros(len(part))
        for _ in range(rng.integers(1, 5)):
            tone_hz, swell_hz = 55 * 2 ** rng.uniform(0, 4), rng.uniform(0.02, 0.15)
            for overtone in range(1, rng.integers(2, 8)):
                chord += (
                    np.sin(2 * np.pi * tone_hz * overtone * part + rng.uniform(0, 6))
                    / overtone**1.5
                    * (1 + 0.5 * np.sin(2 * np.pi * swell_hz * part + rng.uniform(0, 6)))
                )
        fade = min(len(part) // 4, rate_hz // 4)
        ramp = np.linspace(0, 1, fade)
        chord[:fade] *= ramp
        chord[len(chord) - fade :] *= ramp[::-1]
        sound[first:last] += chord
    return sound / max(np.abs(sound).max(), 1e-6)


def beatless(duration_s: float, rng: np.random.Generator, rate_hz: int) -> np.ndarray:
    """A drone, coloured noise, both, or random irregular sounds like speech; float32 (samples,)."""
    n = int(duration_s * rate_hz)
    kind = rng.integers(4)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) / np.arange(1, n // 2 + 2) ** rng.uniform(0, 1), n)
    noise /= np.abs(noise).max()
    if kind == 0:
        sound = drone(duration_s, rng, rate_hz) + 1e-4 * rng.standard_normal(n)
    elif kind == 1:
        sound = noise
    elif kind == 2:
        sound = drone(duration_s, rng, rate_hz) + noise * rng.uniform(0.02, 0.5)
    else:
        sound = np.zeros(n)
        at_s = rng.uniform(0, 0.5)
        while at_s < duration_s:
            length = int(rng.uniform(0.05, 0.6) * rate_hz)
            syllable = drone(length / rate_hz, rng, rate_hz) * np.hanning(length)[: int(length / rate_hz * rate_hz)]
            start = int(at_s * rate_hz)
            end = min(start + len(syllable), n)
            sound[start:end] += syllable[: end - start] * rng.uniform(0.2, 1.0)
            at_s += rng.exponential(0.35) + 0.05
        sound += noise * rng.uniform(0.001, 0.05)
    return (sound / max(np.abs(sound).max(), 1e-6)).astype(np.float32)


@dataclass(frozen=True)
class Drawn:
    """A drawn sound: its name, mono float32 samples, and its tempo; None where it has no beat."""

    name: str
    samples: np.ndarray
    tempo_bpm: float | None


def drawn_sound(number: int, duration_s: float, rate_hz: int, seed: int) -> Drawn:
    """The sound of a number, decided by it and the seed: four of five have an exact tempo, the fifth has no beat."""
    rng = np.random.default_rng((seed, number))
    if number % 5 == 4:
        return Drawn(f"beatless {number}", beatless(duration_s, rng, rate_hz), None)
    pattern = list(PATTERNS)[rng.integers(len(PATTERNS))] if rng.random() > 0.15 else "clicks"
    *_, slowest, fastest = PATTERNS[pattern]
    tempo_bpm = float(slowest * (fastest / slowest) ** rng.random())
    return Drawn(f"{pattern} {number}", rhythm(tempo_bpm, pattern, duration_s, rng, rate_hz), tempo_bpm)
