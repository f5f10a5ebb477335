"""How fast the music is, to a thousandth, and when its beats are; on drums that were drawn, so that it is known."""

import dataclasses
import io
import itertools
import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import jams
import mir_eval
import numpy as np
import pytest
import soundfile
from drawn_beats import RATE_HZ, drums, hit, steady

import fluxbeat
from fluxbeat.analysis.correction import as_found, corrected, wanted_bpm
from fluxbeat.analysis.live import LiveAnalysis
from fluxbeat.analysis.octave import FREELY_BPM, freely_bpm_of
from fluxbeat.analysis.onsets import NO_ONSETS, OnsetStream, OnsetStrength
from fluxbeat.analysis.result import Tempo, TempoCandidate
from fluxbeat.analysis.steady import exact_bpm
from fluxbeat.analysis.tempo import beat_salience, find_tempo, softmax, tempo_of
from fluxbeat.audio.decoding import load_audio
from fluxbeat.audio.sound_files import SoundFile
from fluxbeat.charts.wording import tempo_choice
from fluxbeat.cli.main import main
from fluxbeat.cli.terminal import tempo_text
from fluxbeat.errors import FluxBeatError, TempoError
from fluxbeat.export.writing import render
from fluxbeat.library.stored_analysis import pack, unpack
from fluxbeat.library.table import analysed_row
from fluxbeat.models.hub.model_card import MEASURES
from fluxbeat.models.tempo import TempoGrid
from fluxbeat.web.ui.tempo_tab import tempo_view
from tools.known_tempo import PEERS, Reading, drawn_pieces, measure_known_tempo
from tools.known_tempo import main as measure_tempo
from tools.octave_rule import estimate, judged_by_the_others
from tools.octaves import OctaveCase, measure_octaves
from tools.release.shipped import tempo_measures


def onsets_of(samples: np.ndarray, block: int = 220_500) -> OnsetStrength:
    stream = OnsetStream(RATE_HZ)
    for first in range(0, len(samples), block):
        stream.push(samples[first : first + block])
    return stream.finish()


def f_measure(known_s: np.ndarray, found_s: np.ndarray) -> float:
    return mir_eval.beat.f_measure(mir_eval.beat.trim_beats(known_s), mir_eval.beat.trim_beats(found_s))


@pytest.mark.parametrize("off_beat", [0.5, 2 / 3])
@pytest.mark.parametrize("duration_s", [15.0, 40.0])
def test_onsets_tell_a_machines_tempo_within_a_thousandth(duration_s, off_beat):
    for seed, tempo_bpm in enumerate(np.random.default_rng(8).uniform(60, 200, 12)):
        samples, _ = steady(tempo_bpm, duration_s, off_beat, seed)
        found = exact_bpm(onsets_of(samples), tempo_bpm * (1.02 if seed % 2 else 0.98), [(0.0, duration_s)])
        assert found == pytest.approx(tempo_bpm, rel=1e-3)


def test_onset_strength_does_not_depend_on_blocks_nor_on_loudness():
    samples, _ = steady(97, 20)
    whole = onsets_of(samples)
    assert onsets_of(samples, 7_777).strength == pytest.approx(whole.strength, abs=1e-5)
    assert onsets_of(0.1 * samples).strength == pytest.approx(whole.strength, abs=1e-3)
    assert len(whole.strength) / whole.rate_hz == pytest.approx(20, abs=0.02)


@pytest.mark.parametrize("tempo_bpm", [128.0, 160.0, 180.0, 87.3])
def test_steady_music_has_its_tempo_to_a_thousandth_and_its_tag_is_whole(tempo_bpm):
    samples, beats_s = steady(tempo_bpm, 30)
    analysis = fluxbeat.analyze((samples, RATE_HZ))
    assert analysis.tempo.bpm == pytest.approx(tempo_bpm, rel=1e-3)
    assert analysis.tempo.stable
    assert round(analysis.tempo.bpm) == round(tempo_bpm)
    assert analysis.timeline.bpm == pytest.approx(np.full(len(analysis.timeline.bpm), tempo_bpm), rel=1e-3)
    assert f_measure(beats_s, analysis.tempo.beats_s) > 0.97
    assert [part.bpm for part in analysis.segments] == pytest.approx([tempo_bpm] * len(analysis.segments), rel=1e-3)


def test_a_tempo_that_changes_says_so_with_both_numbers():
    joined = np.concatenate([steady(tempo_bpm, 20)[0] for tempo_bpm in (100, 150)])
    analysis = fluxbeat.analyze((joined, RATE_HZ))
    assert not analysis.tempo.stable
    assert analysis.warned("tempo_changes")
    assert {round(candidate.bpm) for candidate in analysis.tempo.candidates[:2]} == {100, 150}
    assert [part.bpm for part in analysis.segments] == pytest.approx([100, 150], rel=1e-3)
    assert analysis.segments[0].end_s == pytest.approx(20, abs=3)


@pytest.mark.parametrize(("from_bpm", "to_bpm"), [(90, 140), (135, 100)])
def test_a_ramp_is_followed_beat_by_beat_and_is_no_cliff(from_bpm, to_bpm):
    phase = np.cumsum(np.linspace(from_bpm, to_bpm, 60 * RATE_HZ) / 60 / RATE_HZ)
    beats_s = np.searchsorted(phase, np.arange(1, int(phase[-1]))) / RATE_HZ
    analysis = fluxbeat.analyze((drums(beats_s, 60), RATE_HZ), "cnn")
    assert not analysis.tempo.stable
    assert f_measure(beats_s, analysis.tempo.beats_s) > 0.95
    assert np.abs(np.diff(analysis.timeline.bpm)).max() < 5
    inside = (analysis.timeline.centre_s > 6) & (analysis.timeline.centre_s < 54)
    wanted = from_bpm + (to_bpm - from_bpm) * analysis.timeline.centre_s / 60
    assert analysis.timeline.bpm[inside] == pytest.approx(wanted[inside], rel=0.05)
    neighbours = itertools.pairwise((one.kind, one.labels) for one in analysis.segments)
    assert all(one != other for one, other in neighbours), "the tempo alone divides nothing"


def test_players_who_hurry_and_drag_have_the_tempo_of_most_of_their_beats():
    rng = np.random.default_rng(0)
    gaps_s = 60 / 118 * np.exp(0.03 * np.sin(np.arange(140) / 12) + rng.normal(0, 0.012, 140))
    beats_s = np.cumsum(gaps_s)
    beats_s = beats_s[beats_s < 59]
    analysis = fluxbeat.analyze((drums(beats_s, 60), RATE_HZ))
    assert analysis.tempo.stable
    assert analysis.tempo.bpm == pytest.approx(60 / np.median(np.diff(beats_s)), rel=0.015)
    assert f_measure(beats_s, analysis.tempo.beats_s) > 0.95


@pytest.fixture(scope="module")
def found():
    return fluxbeat.analyze((steady(128, 30)[0], RATE_HZ), name="drums.wav")


def test_beats_are_in_every_export_that_has_a_place_for_them(found):
    beats_s = found.tempo.beats_s
    assert json.loads(render(found, "json"))["tempo"]["beats_s"] == pytest.approx(beats_s, abs=1e-3)
    labels = [line.split("\t") for line in render(found, "audacity-beats").decode().splitlines()]
    assert [float(start) for start, _, _ in labels] == pytest.approx(beats_s, abs=1e-5)
    (beats,) = jams.load(io.StringIO(render(found, "jams").decode())).search(namespace="beat")
    assert [one.time for one in beats.data] == pytest.approx(beats_s, abs=1e-3)
    rows = render(found, "csv").decode().splitlines()
    in_table = [float(beat) for row in rows[1:] for beat in row.split(",")[-1].split()]
    assert in_table == pytest.approx(beats_s, abs=1e-3)


@pytest.mark.parametrize(("message", "bpm"), [("half", 64), ("double", 256), ("96", 96)])
def test_a_correction_is_in_everything_that_is_shown_or_written(found, message, bpm):
    mine = corrected(found, wanted_bpm(found, message))
    answer = mine.to_dict()
    assert answer["tempo"]["corrected"]
    assert answer["tempo"]["bpm"] == pytest.approx(bpm, rel=1e-3)
    assert answer["timeline"]["bpm"] == pytest.approx([bpm] * len(answer["timeline"]["bpm"]), rel=1e-3)
    assert [part["bpm"] for part in answer["segments"]] == pytest.approx([bpm] * len(answer["segments"]), rel=1e-3)
    assert len(answer["tempo"]["beats_s"]) == pytest.approx(bpm / 2, abs=2)
    assert mine.tempo.rival_bpm is None
    assert as_found(mine) is found
    again = corrected(mine, 100.0)
    assert as_found(again) is found


def test_a_correction_of_no_beat_gives_one():
    hiss = 0.1 * np.random.default_rng(0).standard_normal(20 * RATE_HZ).astype(np.float32)
    analysis = fluxbeat.analyze((hiss, RATE_HZ))
    assert analysis.tempo.bpm is None
    mine = corrected(analysis, 90.0)
    assert mine.tempo.bpm == 90.0
    assert not mine.warned("no_steady_beat")
    with pytest.raises(TempoError, match="give it as a number"):
        wanted_bpm(analysis, "half")


@pytest.mark.parametrize("answer", ["fast", "0", "-120", "nan", "1e9"])
def test_what_is_no_tempo_is_refused(found, answer):
    with pytest.raises(TempoError, match="20 to 400|half, double or a number"):
        corrected(found, wanted_bpm(found, answer))


def test_what_is_kept_finds_the_same_beats_and_can_still_be_corrected(found):
    kept = unpack(pack(found), found.file)
    assert kept.to_dict() == found.to_dict()
    assert kept.tempo.bpm == found.tempo.bpm
    assert corrected(kept, 64.0).tempo.beats_s == pytest.approx(corrected(found, 64.0).tempo.beats_s, abs=0.01)
    assert unpack(pack(corrected(found, 64.0)), found.file).to_dict() == found.to_dict()


@pytest.mark.parametrize("bpm", [246.0, 48.0])
def test_an_unusual_tempo_is_never_named_without_its_typical_octave(found, bpm):
    alone = dataclasses.replace(
        found.tempo, bpm=bpm, candidates=(dataclasses.replace(found.tempo.candidates[0], bpm=bpm),)
    )
    assert 60 <= alone.rival_bpm <= 200
    assert max(bpm, alone.rival_bpm) / min(bpm, alone.rival_bpm) == pytest.approx(2)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with one drawn song, and a cache of its own."""
    monkeypatch.setenv("FLUXBEAT_CACHE", str(tmp_path / "cache"))
    music = tmp_path / "music"
    music.mkdir()
    soundfile.write(music / "drums.wav", steady(128, 16)[0], RATE_HZ)
    return music


def told(capsys, *words):
    code = main([*map(str, words)])
    return code, capsys.readouterr()


def library_bpm(capsys, folder, *words):
    code, answer = told(capsys, "library", folder, "--model", "cnn", "--json", *words)
    assert code == 0, answer.err
    (row,) = json.loads(answer.out)
    return row["bpm"]


def test_library_keeps_a_correction_until_it_is_taken_back(folder, capsys):
    assert library_bpm(capsys, folder) == pytest.approx(128, rel=1e-3)
    assert library_bpm(capsys, folder, "--tempo", "drums.wav=half") == pytest.approx(64, rel=1e-3)
    assert library_bpm(capsys, folder) == pytest.approx(64, rel=1e-3)
    assert library_bpm(capsys, folder, "--fresh") == pytest.approx(64, rel=1e-3)
    assert library_bpm(capsys, folder, "--tempo", "drums.wav=double") == pytest.approx(256, rel=1e-3)
    assert library_bpm(capsys, folder, "--tempo", "drums.wav=back") == pytest.approx(128, rel=1e-3)
    code, answer = told(capsys, "library", folder, "--tempo", "other.wav=90")
    assert code != 0
    assert "other.wav" in answer.err


def test_a_correction_finds_its_file_however_its_name_is_spelled_in_unicode(folder, capsys):
    (folder / "drums.wav").rename(folder / unicodedata.normalize("NFD", "Café.wav"))
    typed = unicodedata.normalize("NFC", "Café.wav")
    assert library_bpm(capsys, folder, "--tempo", f"{typed}=90") == 90


def test_analyze_takes_a_tempo_and_writes_clicks_on_the_beats(folder, capsys, tmp_path):
    clicks = tmp_path / "clicks.wav"
    code, answer = told(
        capsys, "analyze", folder / "drums.wav", "--model", "cnn", "--json", "--tempo", "half", "--click", clicks
    )
    assert code == 0, answer.err
    tempo = json.loads(answer.out)["tempo"]
    assert tempo["corrected"]
    assert tempo["bpm"] == pytest.approx(64, rel=1e-3)
    samples, rate_hz = soundfile.read(clicks)
    assert len(samples) / rate_hz == pytest.approx(16, abs=0.01)
    music = load_audio(folder / "drums.wav", sample_rate_hz=rate_hz).samples
    added = np.abs(samples - 0.6 * music[: len(samples)])
    starts_s = np.flatnonzero((added > 0.1) & (np.concatenate([[0], added[:-1]]) <= 0.1)) / rate_hz
    first_s = starts_s[np.diff(starts_s, prepend=-1) > 0.1]
    assert first_s == pytest.approx(tempo["beats_s"], abs=0.003)


def test_clicks_over_no_beat_or_over_the_music_itself_are_refused(folder, capsys):
    song = folder / "drums.wav"
    before = song.read_bytes()
    code, answer = told(capsys, "analyze", song, "--model", "cnn", "--click", song)
    assert code != 0
    assert "never changed" in answer.err
    assert song.read_bytes() == before


def logits_of(shares_bpm: dict[float, float], windows: int = 40) -> np.ndarray:
    """Logits of windows that all give these tempi these shares."""
    grid = TempoGrid()
    spread = np.full(grid.bins, 0.05 / grid.bins)
    for bpm, share in shares_bpm.items():
        spread[round(float(grid.position(bpm)))] += share
    return np.tile(np.log(spread), (windows, 1))


def reading_of(logits: np.ndarray, *freely_bpm: tuple[float, float]) -> tuple[Tempo, np.ndarray]:
    return find_tempo(logits, np.ones(len(logits), bool), TempoGrid(), 0.4, 8.0, *freely_bpm)


def test_where_the_sound_leaves_the_octave_open_the_one_that_people_tap_is_named():
    tempo, curve = reading_of(logits_of({246.0: 0.55, 123.0: 0.4}))
    assert tempo.bpm == pytest.approx(123, rel=0.02)
    assert curve == pytest.approx(np.full(40, 123), rel=0.02)
    assert reading_of(logits_of({174.0: 0.6, 87.0: 0.2}))[0].bpm == pytest.approx(174, rel=0.02)
    assert reading_of(logits_of({63.0: 0.6, 126.0: 0.3}))[0].bpm == pytest.approx(63, rel=0.02)
    assert reading_of(logits_of({240.0: 0.95}))[0].bpm == pytest.approx(240, rel=0.02)


def test_an_octave_slip_is_no_cliff_where_the_other_octave_is_as_likely():
    sure, open_ = logits_of({140.0: 0.8, 70.0: 0.15}, 60), logits_of({70.0: 0.6, 140.0: 0.3}, 30)
    tempo, curve = reading_of(np.concatenate([sure, open_, sure]))
    assert tempo.bpm == pytest.approx(140, rel=0.02)
    assert curve == pytest.approx(np.full(150, 140), rel=0.04)


def test_a_slip_to_three_in_two_is_no_cliff_where_the_beat_is_as_likely_and_a_change_is_one():
    swing = [logits_of({63.0: 0.5, 126.0: 0.1, 94.5: 0.3}, 50), logits_of({63.0: 0.35, 94.5: 0.4}, 40)]
    tempo, curve = reading_of(np.concatenate(swing))
    assert tempo.bpm == pytest.approx(63, rel=0.02)
    assert curve == pytest.approx(np.full(90, 63), rel=0.04)
    changed = np.concatenate([logits_of({100.0: 0.9}, 60), logits_of({150.0: 0.9}, 40)])
    tempo, curve = reading_of(changed)
    assert curve[[0, -1]] == pytest.approx([100, 150], rel=0.02)


def ride(tempo_bpm: float, duration_s: float) -> np.ndarray:
    """The cymbal of slow swing: every beat, and the last triplet of every second one; a foot on two and four."""
    rng = np.random.default_rng(0)
    cymbal, foot, samples = hit("hat", rng), hit("kick", rng), np.zeros(round((duration_s + 2) * RATE_HZ))
    for beat in range(int(duration_s * tempo_bpm / 60)):
        for at, sound in ((beat, cymbal), (beat + 2 / 3, cymbal), (beat, foot))[: 3 if beat % 2 else 1]:
            start = round(at * 60 / tempo_bpm * RATE_HZ)
            samples[start : start + len(sound)] += 0.5 * sound
    return samples[: round(duration_s * RATE_HZ)].astype(np.float32)


def test_slow_swing_is_named_by_its_beat_and_straight_music_is_not_renamed():
    """Where both tempi speak, the onsets tell; where one follows the other, it is a change of tempo and no swing."""
    grid, logits = TempoGrid(), logits_of({90.0: 0.5, 60.0: 0.15, 120.0: 0.1})
    swing, straight = onsets_of(ride(60, 40)), onsets_of(steady(90, 40)[0])
    for onsets, bpm in ((swing, 60), (straight, 90), (NO_ONSETS, 90)):
        tempo, curve = find_tempo(logits, np.ones(40, bool), grid, 0.4, 8.0, FREELY_BPM, onsets)
        assert tempo.bpm == pytest.approx(bpm, rel=0.03)
        assert curve == pytest.approx(np.full(40, bpm), rel=0.03)
        assert tempo_of(softmax(logits[0]), grid, 0.4, FREELY_BPM, onsets).bpm == pytest.approx(bpm, rel=0.03)
    changed = np.concatenate([logits_of({100.0: 0.9}, 40), logits_of({150.0: 0.9}, 60)])
    onsets = onsets_of(np.concatenate([steady(100, 40)[0], steady(150, 60)[0]]))
    tempo, curve = find_tempo(changed, np.ones(100, bool), grid, 0.4, 8.0, FREELY_BPM, onsets)
    assert curve[[0, -1]] == pytest.approx([100, 150], rel=0.02)
    assert tempo.bpm == pytest.approx(150, rel=0.02)


def test_a_tempo_that_is_taken_for_swing_is_judged_once():
    """The beat of swing has less mass around it than three in two, which is what the pulse was strong by."""
    grid, onsets = TempoGrid(), onsets_of(ride(60, 40))
    distribution = softmax(logits_of({90.0: 0.3, 60.0: 0.2, 180.0: 0.2, 45.0: 0.1})[0])
    tempo = tempo_of(distribution, grid, beat_salience(distribution, grid) - 0.01, FREELY_BPM, onsets)
    assert tempo.bpm == pytest.approx(60, rel=0.01)
    assert tempo.bpm == tempo.candidates[0].bpm


def test_in_reggae_the_octave_is_that_of_the_drums_where_the_sound_leaves_it_open():
    labels = ["rock", "reggae"]
    reggae, rock = freely_bpm_of(labels, np.array([0.2, 0.9])), freely_bpm_of(labels, np.array([0.9, 0.6]))
    assert freely_bpm_of(labels, np.array([0.1, 0.4])) == rock == FREELY_BPM, "what is not sure decides nothing"
    skank, straight = logits_of({151.0: 0.7, 75.5: 0.2}), logits_of({124.0: 0.93})
    for reading in (reading_of(skank, reggae)[0], tempo_of(softmax(skank[0]), TempoGrid(), 0.4, reggae)):
        assert reading.bpm == pytest.approx(75.5, rel=0.02)
    assert reading_of(skank, rock)[0].bpm == pytest.approx(151, rel=0.02)
    assert reading_of(straight, reggae)[0].bpm == pytest.approx(124, rel=0.02)


def test_live_library_and_track_name_the_same_tempo():
    samples, _ = steady(143.5, 24)
    live = LiveAnalysis("cnn", sample_rate_hz=RATE_HZ)
    answers = [live.push(samples[first : first + 4_096]) for first in range(0, len(samples), 4_096)]
    newest = [answer for answer in answers if answer][-1]
    assert newest.bpm == pytest.approx(fluxbeat.analyze((samples, RATE_HZ), "cnn").tempo.bpm, rel=2e-3)
    assert newest.bpm == pytest.approx(143.5, rel=2e-3)


def test_bars_begin_where_the_chords_change_and_are_not_guessed_otherwise():
    samples, beats_s = steady(120, 40)
    plain = fluxbeat.analyze((samples, RATE_HZ), "cnn").tempo
    assert len(plain.beats_s) > 70
    assert len(plain.downbeats_s) == 0
    t = np.arange(len(samples)) / RATE_HZ
    chord = np.searchsorted(beats_s[::3], t, side="right") % 4
    waltz = sum(
        np.sin(2 * np.pi * hz * t) * (chord == number)
        for number, notes in enumerate(((220, 277, 330), (196, 247, 294), (262, 330, 392), (175, 220, 262)))
        for hz in notes
    )
    tempo = fluxbeat.analyze(((0.5 * samples + 0.1 * waltz).astype(np.float32), RATE_HZ), "cnn").tempo
    assert tempo.bpm == pytest.approx(120, rel=1e-3)
    assert f_measure(beats_s[::3], tempo.downbeats_s) > 0.9
    assert set(tempo.downbeats_s) <= set(tempo.beats_s)


def test_no_view_names_246_bpm_alone(found):
    tempo = dataclasses.replace(found.tempo, bpm=246.0, candidates=(TempoCandidate(246.0, 0.9),))
    fast = dataclasses.replace(found, tempo=tempo)
    row = analysed_row(SoundFile(Path("fast.wav"), "fast.wav"), fast)
    assert (row.bpm, row.rival_bpm) == (246.0, 123.0)
    for words in (
        tempo_text(fast).plain,
        tempo_choice(tempo),
        tempo_view("1", fast)["words"],
        render(fast, "html").decode(),
    ):
        assert "246" in words
        assert "123" in words


def test_the_measure_of_tempo_tells_right_from_half_and_from_nothing():
    pieces = list(drawn_pieces(3, seed=5))
    by_sound = {piece.samples.tobytes(): piece for piece in pieces}

    def right(samples):
        piece = by_sound[samples.tobytes()]
        return Reading(piece.tempo_bpm, piece.beats_s)

    report = measure_known_tempo(
        {"right": right, "half": lambda samples: Reading(right(samples).bpm / 2), "none": lambda _: Reading(None)},
        pieces,
    )
    values = {name: [report[name][key]["value"] for key in ("accuracy1", "accuracy2", "exact")] for name in report}
    assert values == {"right": [1, 1, 1], "half": [0, 1, 1], "none": [0, 0, 0]}
    assert [report[name]["beats_f"]["value"] for name in ("right", "none")] == [1, 0]
    assert report["right"]["beats_f"]["interval_95"] == [1, 1]
    text = json.dumps({"music": "drawn", "tempo": "exact", "split": "test", **report})
    rows = {(one.measure, one.subject): (one.value, one.n, one.hits) for one in tempo_measures(text, [])}
    assert rows["tempo_exact", "half"] == (1, 3, 3)
    assert rows["beats_f", "right"] == (1, 3, None)
    assert {measure for measure, _ in rows} <= set(MEASURES)


def test_the_beats_of_a_drawn_rhythm_are_where_it_is_struck():
    """Within an eighth of a beat from there something begins, in the next eighth nothing does."""
    for piece in drawn_pieces(3, seed=2):
        strength, beat_frames = onsets_of(piece.samples).strength, 6000 / piece.tempo_bpm
        sixteenths = [
            np.mean(strength[np.round(piece.beats_s[1:-1] * 100 + part * beat_frames / 16).astype(int)])
            for part in range(7)
        ]
        assert np.mean(sixteenths[:3]) > 3 * np.mean(sixteenths[4:])


def test_recordings_are_measured_by_the_tempo_that_people_annotated(tmp_path, capsys, monkeypatch):
    """Of three clips of GTZAN: annotated 69 BPM and heard at 138, annotated 132 and heard so, and one not annotated."""
    rows = ["file,split,dataset,source"]
    for clip, bpm, split in (("blues.00005", 138, "dev"), ("blues.00004", 132, "dev"), ("blues.00050", 100, "dev")):
        soundfile.write(tmp_path / f"{clip}.wav", steady(bpm, 12)[0], RATE_HZ)
        rows.append(f"{clip}.wav,{split},gtzan,gtzan/{clip}.au")
    rows += ["absent.wav,test,gtzan,blues.00001.au", "absent.wav,dev,popular,blues.00001.au"]
    (tmp_path / "recordings.csv").write_text("\n".join(rows))
    monkeypatch.setitem(PEERS, "librosa", lambda _: Reading(132.0))
    measure_tempo(["cnn", "--recordings", str(tmp_path), "--peers", "librosa"])
    report = json.loads(capsys.readouterr().out)
    assert (report["music"], report["tempo"], report["split"], report["pieces"]) == ("gtzan", "annotated", "dev", 2)
    assert report["cnn"]["accuracy1"] == {"value": 0.5, "n": 2, "interval_95": [0.0945, 0.9055]}
    assert (report["cnn"]["accuracy2"]["value"], report["librosa"]["accuracy2"]["value"]) == (1, 0.5)
    measures = tempo_measures(json.dumps(report), ["cnn"])
    assert {(one.subject, one.split, one.hits) for one in measures if one.measure == "tempo_accuracy1"} == {
        ("cnn", "gtzan, annotated tempo, dev", 1),
        ("librosa", "gtzan, annotated tempo, dev", 1),
    }
    with pytest.raises(FluxBeatError, match="split 'train'"):
        measure_tempo(["cnn", "--recordings", str(tmp_path), "--split", "train"])


def test_the_measure_of_octaves_follows_the_weight():
    grid = TempoGrid()
    both = np.zeros(grid.bins)
    both[[round(float(grid.position(bpm))) for bpm in (246, 123)]] = 0.55, 0.45
    case = OctaveCase(grid.bpm, both, (123.2, 61.5, 123.9))
    found = measure_octaves([case, replace(case, others_bpm=(80.0, 100.0))])
    assert (found["none"]["value"], found["shipped"]["value"]) == (0, 1)
    assert found["none"]["n"] == 1  # the other one, on which nobody agrees, says nothing


def test_estimators_are_judged_by_what_two_others_agree_on():
    """Of music at 100 BPM: ours is right where the others agree, as is one of them, the second is an octave off."""
    samples, _ = steady(100, 20)
    readers = {name: lambda _, bpm=bpm: Reading(bpm) for name, bpm in (("right", 101.0), ("half", 50.0))}
    analysed = estimate(samples, fluxbeat.load(), readers)
    assert analysed.octaves.others_bpm == (101.0, 50.0)
    assert analysed.octaves.distribution.sum() == pytest.approx(1)
    report = judged_by_the_others([analysed, replace(analysed, bpm={**analysed.bpm, "half": None})])
    assert (report["half"]["accuracy1"]["value"], report["half"]["accuracy2"]["value"]) == (0, 0.5)
    assert report["right"]["accuracy1"]["n"] == 0, "ours and the half never agree"
