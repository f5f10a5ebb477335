"""Drawn drums at an exact tempo, for tests: what no recording has, the time of every beat."""

import numpy as np

RATE_HZ = 22_050


def hit(kind: str, rng: np.random.Generator) -> np.ndarray:
    length_s = {"kick": 0.15, "snare": 0.18, "hat": 0.05}[kind]
    t = np.arange(int(length_s * RATE_HZ)) / RATE_HZ
    decay = np.exp(-t / (length_s * 0.25))
    if kind == "kick":
        return np.sin(2 * np.pi * (55 * t + 3 * (1 - np.exp(-t * 40)))) * decay
    noise = rng.standard_normal(len(t))
    return (np.diff(noise, prepend=0) if kind == "hat" else 0.7 * noise + 0.5 * np.sin(400 * np.pi * t)) * decay


def drums(beats_s: np.ndarray, duration_s: float, off_beat: float = 0.5, seed: int = 0) -> np.ndarray:
    """Kick and snare in turns on these beats, hats on them and at `off_beat` between (2/3 swings); float32."""
    rng = np.random.default_rng(seed)
    kick, snare, hat = (hit(kind, rng) for kind in ("kick", "snare", "hat"))
    samples = np.zeros(int((duration_s + 1) * RATE_HZ))
    gaps_s = np.diff(beats_s, append=2 * beats_s[-1] - beats_s[-2])
    for number, (beat_s, gap_s) in enumerate(zip(beats_s, gaps_s, strict=True)):
        played = [(kick, 0.9) if number % 2 == 0 else (snare, 0.8), (hat, 0.4)]
        for at_s, sound, level in [*((beat_s, *one) for one in played), (beat_s + off_beat * gap_s, hat, 0.3)]:
            start = round(at_s * RATE_HZ)
            samples[start : start + len(sound)] += level * sound[: len(samples) - start]
    samples = samples[: int(duration_s * RATE_HZ)] + 1e-3 * rng.standard_normal(int(duration_s * RATE_HZ))
    return (0.8 * samples / np.abs(samples).max()).astype(np.float32)


def steady(tempo_bpm: float, duration_s: float, off_beat: float = 0.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Drums of one tempo, and when their beats are in seconds."""
    beats_s = np.arange(np.random.default_rng(seed).uniform(0, 60 / tempo_bpm), duration_s - 0.3, 60 / tempo_bpm)
    return drums(beats_s, duration_s, off_beat, seed), beats_s
