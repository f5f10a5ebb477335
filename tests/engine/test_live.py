"""Music heard while it goes on: live answers equal those about files, pauses say so, and an hour takes no memory."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from fluxbeat.analysis import live as live_module
from fluxbeat.analysis.engine import analyze
from fluxbeat.analysis.live import LiveAnalysis, LivePrediction
from fluxbeat.analysis.windows import WindowPredictions
from fluxbeat.audio.decoding import load_audio
from fluxbeat.errors import AudioDecodeError
from fluxbeat.features.log_mel import FeatureConfig, LogMel, LogMelStream
from fluxbeat.models.base import GenreTempoModel
from fluxbeat.models.registry import load
from fluxbeat.web.ui.example_tracks import FOLDER

RATE_HZ = 24_000
METAL = FOLDER / "metal_muldjord_chaos_god.mp3"
CLASSICAL = FOLDER / "classical_john_michel_ave_maria.mp3"
TECHNO = FOLDER / "techno_george_ellinas_pulse.mp3"
CHANGE = FOLDER / "change_obsidian_shell_megtort_alom.mp3"


@pytest.fixture(scope="module")
def metal() -> np.ndarray:
    return load_audio(METAL, sample_rate_hz=RATE_HZ).samples


@pytest.fixture(scope="module")
def classical() -> np.ndarray:
    return load_audio(CLASSICAL, sample_rate_hz=RATE_HZ).samples


def odd_chunks(samples: np.ndarray, most: int, seed: int = 1) -> Iterator[tuple[int, np.ndarray]]:
    """Pieces of 1 to `most` samples, each with where it ends."""
    at, random = 0, np.random.default_rng(seed)
    while at < len(samples):
        end = min(at + int(random.integers(1, most)), len(samples))
        yield end, samples[at:end]
        at = end


def predictions(live: LiveAnalysis, samples: np.ndarray, chunk: int = 4410) -> list[LivePrediction]:
    pieces = (samples[at : at + chunk] for at in range(0, len(samples), chunk))
    return [found for piece in pieces if (found := live.push(piece))]


def noise(seconds: float, level_db: float, seed: int = 3) -> np.ndarray:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))
    return (samples * 10 ** (level_db / 20)).astype(np.float32)


def top(found: LivePrediction) -> str:
    return found.labels[int(found.probability.argmax())]


def test_frames_come_as_they_are_in_one_piece(metal: np.ndarray) -> None:
    front_end = LogMel(FeatureConfig())
    stream = LogMelStream(front_end)
    pieces = [stream.push(piece) for _, piece in odd_chunks(metal, 5000)]
    early = stream.tail()
    np.testing.assert_array_equal(early, stream.tail())
    whole = front_end.from_blocks([metal])
    np.testing.assert_allclose(np.concatenate([*pieces, early], axis=1), whole, atol=1e-3)


@pytest.mark.parametrize("model", ["cnn", "crnn", "vit"])
def test_live_equals_the_analysis_of_what_was_pushed_so_far(model: str, metal: np.ndarray) -> None:
    """Each answer is that of the last window of `analyze`, to 1e-5: at the start, at a full window, and later."""
    live, compared = LiveAnalysis(model, sample_rate_hz=RATE_HZ), 0
    wanted = [1.5, 4.0, 8.5, 15.0, 27.0]
    for end, piece in odd_chunks(metal, 9000):
        found = live.push(piece)
        if found is None or not wanted or end < wanted[0] * RATE_HZ:
            continue
        wanted.pop(0)
        expected = analyze((metal[:end], RATE_HZ), model)
        np.testing.assert_allclose(found.probability, expected.timeline.probability[-1], atol=1e-5)
        assert found.labels == expected.timeline.labels
        assert found.end_s == pytest.approx(end / RATE_HZ, abs=1e-6)
        compared += 1
    assert compared == 5


def test_after_thirty_seconds_the_newest_thirty_count(metal: np.ndarray, classical: np.ndarray) -> None:
    music = np.concatenate([classical, metal, metal[: 10 * RATE_HZ]])
    live = LiveAnalysis("cnn", sample_rate_hz=RATE_HZ)
    found = predictions(live, music)[-1]
    end = round(found.end_s * RATE_HZ)
    expected = analyze((music[end - 30 * RATE_HZ : end], RATE_HZ), "cnn")
    np.testing.assert_allclose(found.probability, expected.timeline.probability[-1], atol=1e-3)
    assert found.end_s - found.start_s == pytest.approx(10.0)


@pytest.mark.parametrize(("rate_hz", "channels", "kind"), [(48_000, 1, "int16"), (44_100, 2, "float32")])
def test_any_rate_channels_and_kind_give_the_same(rate_hz: int, channels: int, kind: str) -> None:
    """A microphone's 48 kHz in 16 bits and a mixer's stereo are heard as the file is: to 0.02."""
    sound = load_audio(METAL, sample_rate_hz=rate_hz).samples[: 12 * rate_hz]
    shaped = np.repeat(sound[:, None], channels, axis=1)
    given = np.round(shaped * 32_767).astype(np.int16) if kind == "int16" else shaped
    live = LiveAnalysis("crnn", sample_rate_hz=rate_hz, channels=channels)
    found = [answer for _, piece in odd_chunks(given, 20_000) if (answer := live.push(piece))][-1]
    plain = load_audio(METAL, sample_rate_hz=RATE_HZ).samples[: round(found.end_s * RATE_HZ)]
    expected = analyze((plain, RATE_HZ), "crnn").timeline.probability[-1]
    np.testing.assert_allclose(found.probability, expected, atol=0.02)
    assert live.elapsed_s == pytest.approx(12.0, abs=0.1)


def test_one_answer_per_hop_at_most_however_the_sound_comes(metal: np.ndarray) -> None:
    live = LiveAnalysis("cnn", sample_rate_hz=RATE_HZ, hop_s=1.0)
    answers = predictions(live, metal[: 10 * RATE_HZ], chunk=700)
    ends = np.array([found.end_s for found in answers])
    assert len(answers) in (9, 10)
    assert (np.diff(ends) >= 1.0).all()
    assert live.push(np.zeros(0, np.float32)) is None
    newest = live.push(metal[10 * RATE_HZ :])
    assert newest is not None
    assert newest.end_s == pytest.approx(len(metal) / RATE_HZ)


def test_tempo_of_techno_is_analysed_while_it_plays() -> None:
    answers = predictions(
        LiveAnalysis("crnn", sample_rate_hz=RATE_HZ, hop_s=1.0), load_audio(TECHNO, sample_rate_hz=RATE_HZ).samples
    )
    late = [found.bpm for found in answers if found.end_s > 8]
    assert all(bpm is not None and abs(bpm / 130 - 1) < 0.04 for bpm in late)
    assert all(found.bpm is None for found in answers if found.end_s < 4)


def test_a_new_genre_is_on_top_before_the_window_is_full_of_it() -> None:
    """A loud part that ends at 15.5 s: what follows has won before the window is full of it."""
    answers = predictions(
        LiveAnalysis("crnn", sample_rate_hz=RATE_HZ, hop_s=1.0), load_audio(CHANGE, sample_rate_hz=RATE_HZ).samples
    )
    loud = {"metal", "rock"}
    assert {top(found) for found in answers if 8 < found.end_s < 15} <= loud
    first = next(found.end_s for found in answers if found.end_s > 15 and top(found) not in loud)
    assert first <= 21.5  # the window is full at 25.5 s
    assert all(top(found) == "classical" for found in answers if 21.5 < found.end_s < 27)


def test_silence_is_reported_within_two_seconds_and_what_follows_begins_anew(
    metal: np.ndarray, classical: np.ndarray
) -> None:
    pause = noise(5, -75)
    parts = np.concatenate([metal[: 12 * RATE_HZ], pause, classical[RATE_HZ : 13 * RATE_HZ]])
    answers = predictions(LiveAnalysis("crnn", sample_rate_hz=RATE_HZ), parts)
    silent = [found for found in answers if found.silence]
    assert 12 < silent[0].end_s <= 14
    assert all(found.silence for found in answers if silent[0].end_s <= found.end_s < 17)
    assert all(found.bpm is None and not found.probability.any() for found in silent)
    assert silent[-1].level_db == pytest.approx(-75, abs=3)
    after = [found for found in answers if found.end_s > 17 and not found.silence]
    assert after[0].end_s <= 18.7
    assert after[0].start_s == pytest.approx(17, abs=0.8)
    assert all(top(found) != "metal" for found in after)


def test_digital_silence_and_a_loud_start_are_no_trouble() -> None:
    quiet = predictions(LiveAnalysis("cnn", sample_rate_hz=RATE_HZ), np.zeros(5 * RATE_HZ, np.float32))
    assert quiet
    assert all(found.silence and found.level_db == -120 for found in quiet)
    loud = predictions(LiveAnalysis("cnn", sample_rate_hz=RATE_HZ), 5 * noise(5, 0))
    assert all(np.isfinite(found.probability).all() and not found.silence for found in loud)


def test_channels_that_cancel_are_listened_to_one_by_one(metal: np.ndarray) -> None:
    one = metal[: 8 * RATE_HZ]
    alone = predictions(LiveAnalysis("cnn", sample_rate_hz=RATE_HZ), one)[-1]
    for pair, codes in ((np.stack([one, -one], axis=1), ["stereo_cancels"]), (np.stack([one, one], axis=1), [])):
        together = predictions(LiveAnalysis("cnn", sample_rate_hz=RATE_HZ, channels=2), pair)[-1]
        assert not together.silence
        assert [warning.code for warning in together.warnings] == codes
        np.testing.assert_allclose(together.probability, alone.probability, atol=0.01)
        assert together.level_db == pytest.approx(alone.level_db, abs=0.1)


def test_channels_whose_phase_turns_every_half_second_are_listened_to_one_by_one(metal: np.ndarray) -> None:
    one = metal[: 16 * RATE_HZ]
    turned = np.where(np.arange(len(one)) // (RATE_HZ // 2) % 2 == 1, -1, 1)
    live = LiveAnalysis("cnn", sample_rate_hz=RATE_HZ, channels=2)
    together = predictions(live, np.stack([one, turned * one], axis=1).astype(np.float32))[-1]
    alone = predictions(LiveAnalysis("cnn", sample_rate_hz=RATE_HZ), one)[-1]
    assert [warning.code for warning in together.warnings] == ["stereo_cancels"]
    np.testing.assert_allclose(together.probability, alone.probability, atol=0.02)


def test_lost_sound_moves_the_clock(metal: np.ndarray) -> None:
    live = LiveAnalysis("cnn", sample_rate_hz=RATE_HZ)
    predictions(live, metal[: 4 * RATE_HZ])
    live.skip(10.0)
    assert predictions(live, metal[4 * RATE_HZ : 8 * RATE_HZ])[-1].end_s == pytest.approx(17.8, abs=0.3)


def test_answer_as_json_has_the_contract_of_the_socket(metal: np.ndarray) -> None:
    found = predictions(LiveAnalysis("crnn", sample_rate_hz=RATE_HZ), metal[: 6 * RATE_HZ])[-1].to_dict()
    keys = ["start_s", "end_s", "probability", "bpm", "rival_bpm", "level_db", "silence", "kind", "warnings"]
    assert list(found) == keys
    assert found["probability"].keys() == set(load("crnn").network.config.labels)
    assert found["probability"]["metal"] > 0.5
    assert -30 < found["level_db"] < 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sample_rate_hz": 4_000}, "sample_rate_hz must be 8000 to 192000, got 4000"),
        ({"channels": 0}, "channels must be 1 to 8, got 0"),
        ({"hop_s": 0.01}, "hop_s must be 0.25 to 10, got 0.01"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LiveAnalysis("cnn", **{"sample_rate_hz": 48_000, **settings})


def test_wrong_samples_are_refused_and_change_nothing(metal: np.ndarray) -> None:
    live = LiveAnalysis("cnn", sample_rate_hz=RATE_HZ)
    with pytest.raises(ValueError, match="float32 or int16, got float64"):
        live.push(np.zeros(10))
    with pytest.raises(ValueError, match=r"\(samples, 1\), got \(10, 2\)"):
        live.push(np.zeros((10, 2), np.float32))
    as_float = np.round(metal[:20_000] * 32_767).astype(np.int16).view(np.float32)
    with pytest.raises(AudioDecodeError, match="least significant byte first"):
        live.push(np.append(as_float, np.float32("nan")))
    assert live.elapsed_s == 0.0


def test_an_hour_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything but the network runs for an hour of music with pauses; the network is asked once a minute."""
    ask, asked, known = live_module.last_window, itertools.count(), {}

    def seldom(network: GenreTempoModel, log_mel: np.ndarray) -> WindowPredictions:
        if next(asked) % 30 == 0:
            known["answer"] = ask(network, log_mel)
        return known["answer"]

    monkeypatch.setattr(live_module, "last_window", seldom)
    minute = np.concatenate(
        [load_audio(TECHNO, sample_rate_hz=RATE_HZ).samples, noise(4, -80), load_audio(METAL).samples]
    )[: 60 * RATE_HZ]
    live = LiveAnalysis("cnn", sample_rate_hz=RATE_HZ, hop_s=2.0)
    answers = 0
    tracemalloc.start()
    try:
        sizes = []
        for number in range(60):
            for _, piece in odd_chunks(minute, 2 * RATE_HZ, seed=number):
                answers += live.push(piece) is not None
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert live.elapsed_s > 55 * 60
    assert answers > 1000
    assert max(sizes[5:]) - min(sizes[5:]) < 1e6
