"""What an analysis says: on tiny models whose answers are known, over drawn sound."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import LABELS, loaded, tiny, write_consensus, write_three

from fluxbeat.analysis.beginning import BEGINNINGS_S, analyze_beginning
from fluxbeat.analysis.disagreement import disagreement
from fluxbeat.analysis.engine import analyze, analyze_each, compare
from fluxbeat.analysis.live import LiveAnalysis
from fluxbeat.analysis.presence import own_scale, presence
from fluxbeat.analysis.result import Genre, Segment
from fluxbeat.analysis.windows import last_window, slide
from fluxbeat.errors import AnalysisCancelled, FluxBeatError
from fluxbeat.library.stored_analysis import pack, unpack
from fluxbeat.models.base import Familiarity
from fluxbeat.models.registry import load

RATE_HZ = 24_000
MUSIC, SPEECH, NOISE = ((9.0, 0.0, 0.0), (-9.0, 9.0, 0.0), (-9.0, 0.0, 9.0))
"""Logits of each kind of sound."""


def noise(duration_s: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(duration_s * RATE_HZ)).astype(np.float32)


def silence(duration_s: float) -> np.ndarray:
    return np.zeros(round(duration_s * RATE_HZ), np.float32)


def sure_of(logits=(4.0, -4.0, -4.0), kinds=MUSIC, **settings):
    """A model that gives the same answer whatever sounds."""
    model = tiny("cnn", kind_taught=True, **settings)
    with torch.no_grad():
        for head, values in ((model.genre_head, logits), (model.kind_head, kinds)):
            head.weight.zero_()
            head.bias.copy_(torch.tensor(values))
    return loaded(model)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    write_three(folder)
    write_consensus(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUXBEAT_CHECKPOINTS", str(folder))
        yield [load(name) for name in ("all", "cnn", "crnn", "vit")]


def test_a_probability_is_shown_on_its_labels_own_scale():
    thresholds = np.array([0.2, 0.5, 0.8])
    assert own_scale(thresholds, thresholds) == pytest.approx([0.5, 0.5, 0.5])
    assert own_scale(np.array([0.3, 0.3, 0.3]), np.array([0.3, 0.5, 0.7])) == pytest.approx([0.5, 0.3, 0.155], abs=1e-3)
    assert own_scale(np.array([[0.0, 1.0, 0.0]]), thresholds).tolist() == [[0.0, 1.0, 0.0]]
    rising = own_scale(np.linspace(0, 1, 50)[:, None], np.array([0.35]))[:, 0]
    assert (np.diff(rising) > 0).all()


@pytest.mark.parametrize(
    ("probability", "word"),
    [
        (1.0, "clear"),
        (0.75, "clear"),
        (0.7499, "likely"),
        (0.5, "likely"),
        (0.49, "trace"),
        (0.25, "trace"),
        (0.2, "none"),
    ],
)
def test_a_word_says_how_present_a_genre_is(probability, word):
    assert presence(probability) == word


def test_what_passes_its_threshold_is_present_and_nothing_else():
    """The same 0.3 is clear for a label of threshold 0.1, and a trace for one of 0.5."""
    logit = float(np.log(0.3 / 0.7))
    found = analyze((noise(12), RATE_HZ), sure_of((logit, logit, -9.0), thresholds=(0.1, 0.5, 0.5)))
    assert [(genre.label, genre.presence, genre.active) for genre in found.genres] == [
        ("calm", "clear", True),
        ("loud", "trace", False),
        ("odd", "none", False),
    ]
    assert found.segments[0].labels == ("calm",)
    shown = dict(zip(found.timeline.labels, found.timeline.probability[0], strict=True))
    assert shown["calm"] == pytest.approx(found.genres[0].probability, abs=1e-3)


def test_where_there_is_no_music_there_is_no_genre():
    found = analyze((noise(15), RATE_HZ), sure_of(kinds=SPEECH))
    assert not any(genre.active for genre in found.genres)
    assert [(segment.labels, segment.kind) for segment in found.segments] == [((), "speech")]
    assert found.warned("no_music")
    assert found.tempo.bpm is None
    assert found.kind.speech > 0.99
    assert found.summary.startswith("Speech")


@pytest.mark.parametrize(("share", "kinds", "bpm"), [(0.15, MUSIC, 100), (0.15, NOISE, None), (0.02, MUSIC, None)])
def test_a_weak_beat_counts_in_music_but_not_in_noise(share, kinds, bpm, monkeypatch):
    """Of a threshold that sound without a beat reaches by chance, three quarters; and what says nothing of tempo."""
    model = sure_of(kinds=kinds, tempo_threshold=0.4)
    grid = model.network.config.tempo_grid
    logits = np.log(np.where(np.arange(grid.bins) == round(float(grid.position(100))), share, (1 - share) / grid.bins))

    def weak(ask):
        def asked(*arguments):
            found = ask(*arguments)
            return replace(found, tempo_logits=np.tile(logits, (len(found.start_s), 1)))

        return asked

    monkeypatch.setattr("fluxbeat.analysis.engine.slide", weak(slide))
    monkeypatch.setattr("fluxbeat.analysis.live.last_window", weak(last_window))
    wanted = bpm and pytest.approx(bpm, rel=0.04)
    assert analyze((noise(12), RATE_HZ), model).tempo.bpm == wanted
    assert LiveAnalysis(model, sample_rate_hz=RATE_HZ).push(noise(12)).bpm == wanted


def test_noise_is_a_segment_of_its_own_kind():
    found = analyze((noise(15), RATE_HZ), sure_of(kinds=NOISE))
    assert [segment.kind for segment in found.segments] == ["noise"]
    assert "without music" in found.summary


def test_unfamiliar_sound_pulls_the_answer_down_and_is_told():
    known = analyze((noise(12), RATE_HZ), sure_of(familiarity=Familiarity(1e3, 1.0)))
    strange = analyze((noise(12), RATE_HZ), sure_of(familiarity=Familiarity(-1e3, 1.0)))
    assert known.genres[0].active
    assert not known.warned("unfamiliar")
    assert strange.genres[0].probability < 0.01
    assert strange.warned("unfamiliar")
    assert strange.kind.unfamiliar > 0.99
    assert "Unlike" in strange.summary


def test_silence_belongs_to_no_genre_and_does_not_count():
    """Forty seconds of it after the music change nothing but the segments."""
    music, model = noise(40), sure_of()
    alone = analyze((music, RATE_HZ), model)
    followed = analyze((np.concatenate([music, silence(40)]), RATE_HZ), model)
    assert followed.genres[0].probability == pytest.approx(alone.genres[0].probability, abs=1e-3)
    *before, last = followed.segments
    assert {(one.labels, one.kind) for one in before} == {(("calm",), "music")}
    assert (last.labels, last.kind) == ((), "silence")
    assert last.start_s == pytest.approx(40, abs=3)
    assert followed.timeline.kind[-1].tolist() == [0.0, 0.0, 0.0]
    assert followed.timeline.probability[-1].max() == 0.0
    assert followed.summary.startswith("Calm")


def test_a_window_that_is_half_silence_counts_half(monkeypatch):
    """One window of sound that says calm, one that is half silence and says loud: two thirds to one."""
    model = sure_of((0.0, 0.0, 0.0))

    def answers(logits):
        return torch.tensor([[40.0, -40.0, -40.0] if at == 0 else [-40.0, 40.0, -40.0] for at in range(len(logits))])

    monkeypatch.setattr(model.network.genre_head, "forward", answers)
    sound = np.concatenate([noise(10), noise(5), silence(5)])
    found = analyze((sound, RATE_HZ), model, hop_s=10.0)
    assert len(found.timeline.start_s) == 2
    shares = {genre.label: genre.probability for genre in found.genres}
    assert shares["calm"] == pytest.approx(2 / 3, abs=0.02)
    assert shares["loud"] == pytest.approx(1 / 3, abs=0.02)


def test_a_file_of_silence_has_no_genre_no_kind_and_a_sentence():
    found = analyze((silence(12), RATE_HZ), sure_of())
    assert max(genre.probability for genre in found.genres) == 0.0
    assert (found.kind.music, found.kind.speech) == (0.0, 0.0)
    assert found.warned("silent")
    assert found.summary == "Nothing but silence."


@pytest.mark.parametrize(
    ("order", "kinds", "sentence"),
    [
        ("abac", {}, "Calm, odd and loud, by turns"),  # of all the track there is most of `a`, but never half
        ("aaabac", {}, "Mostly calm, with odd and loud"),
        ("abab", {}, "Calm and loud, by turns"),
        ("abcs", {"s": "speech"}, "Calm, speech and more, by turns"),
        ("ab", {}, "Calm that turns loud at 0:10"),
    ],
)
def test_a_sentence_orders_genres_as_the_whole_track_does(order, kinds, sentence):
    """Whatever leads the sentence is what all other places call most present."""
    names = {"a": "calm", "b": "loud", "c": "odd"}
    found = analyze((noise(12), RATE_HZ), sure_of())
    segments = tuple(
        Segment(10.0 * place, 10.0 * (place + 1), (names[key],) if key in names else (), kind=kinds.get(key, "music"))
        for place, key in enumerate(order)
    )
    present = tuple(Genre(label, share) for label, share in (("calm", 0.7), ("odd", 0.2), ("loud", 0.1)))
    whole = replace(found, segments=segments, genres=present, duration_s=10.0 * len(order))
    assert whole.summary.startswith(sentence)


def test_genres_that_are_called_like_kinds_are_genres():
    """A checkpoint may have any labels."""
    found = analyze((noise(12), RATE_HZ), sure_of(labels=("speech", "silence", "odd")))
    assert found.segments[0].labels == ("speech",)
    assert found.summary.startswith("Speech, ") and "no genre to name" not in found.summary
    by_name, by_kind = Segment(6.0, 9.0, ("silence",)), Segment(6.0, 9.0, (), kind="silence")
    for second, turns in ((by_name, "silence"), (by_kind, "silent")):
        segments = (Segment(0.0, 6.0, ("speech",)), second, Segment(9.0, 12.0, ("odd",)))
        assert replace(found, segments=segments).summary.startswith(
            f"Speech that turns {turns} at 0:06 and odd at 0:09"
        )
    spoken = (Segment(0.0, 12.0, (), kind="speech"),)
    assert replace(found, segments=spoken).summary.startswith("Speech, no genre to name")


@pytest.mark.parametrize("duration_s", [0.0001, 0.3, 0.9])
def test_less_than_a_second_has_no_genre(duration_s):
    found = analyze((noise(duration_s), RATE_HZ), sure_of())
    assert not any(genre.active for genre in found.genres)
    assert found.segments[0].labels == ()
    assert [warning.code for warning in found.warnings] == ["too_short"], "one sentence is enough"
    assert found.summary == "Too short for a genre or a tempo."


@pytest.mark.parametrize("duration_s", [2.0, 3.0, 10.02, 25.4])
def test_windows_stand_for_moments_of_the_track(duration_s):
    timeline = analyze((noise(duration_s), RATE_HZ), sure_of()).timeline
    assert timeline.start_s[0] == 0.0
    assert timeline.start_s[-1] + timeline.window_s <= duration_s + 1e-9
    assert timeline.window_s == min(10.0, duration_s)
    if duration_s <= 10:
        assert timeline.centre_s.tolist() == [duration_s / 2]


@pytest.mark.parametrize("hop_s", [0.05, 0.1, 1.0, 1.3])
def test_the_hop_that_is_told_is_the_hop_that_was_done(hop_s):
    model = sure_of()
    timeline = analyze((noise(14), RATE_HZ), model, hop_s=hop_s).timeline
    np.testing.assert_allclose(np.diff(timeline.start_s)[:-1], timeline.hop_s)
    least_s = model.network.time_stride / 24
    assert timeline.hop_s == pytest.approx(max(hop_s, least_s), abs=least_s / 2)


def test_what_a_long_track_begins_with_is_known_first_on_the_axis_of_the_whole():
    sound, model = noise(95), sure_of()
    begun, alone = analyze_beginning((sound, RATE_HZ), model), analyze((sound[: 30 * RATE_HZ], RATE_HZ), model)
    assert begun.duration_s == pytest.approx(95.0, abs=0.01)
    known = len(alone.timeline.start_s)
    assert begun.timeline.centre_s[:known] == pytest.approx(alone.timeline.centre_s)
    assert begun.timeline.probability[:known] == pytest.approx(alone.timeline.probability)
    assert begun.timeline.probability[:known].max() > 0.5
    assert (np.diff(begun.timeline.start_s) > 0).all()
    assert begun.timeline.start_s[-1] + begun.timeline.window_s == pytest.approx(95.0, abs=0.01)
    assert not begun.timeline.probability[known:].any()
    assert np.isnan(begun.timeline.bpm[known:]).all()
    assert begun.segments[-1].end_s == pytest.approx(30.0, abs=0.05)


def test_a_beginning_grows_and_is_not_shown_where_the_whole_is_there_nearly_as_soon():
    model, mix = sure_of(), (np.tile(noise(20), 37), RATE_HZ)
    known = [analyze_beginning(mix, model, length_s=length_s) for length_s in BEGINNINGS_S]
    assert [found and round(found.segments[-1].end_s) for found in known] == [30, 240, None]
    assert {round(found.duration_s) for found in known if found} == {740}
    assert analyze_beginning((noise(60), RATE_HZ), model) is None


def test_a_hop_of_nothing_is_refused_in_words():
    with pytest.raises(FluxBeatError, match="hop_s must be above 0, got 0"):
        analyze((noise(12), RATE_HZ), sure_of(), hop_s=0)


def test_the_json_is_whole_and_survives_the_cache():
    found = analyze((np.concatenate([noise(20), silence(15)]), RATE_HZ), sure_of(thresholds=(0.3, 0.5, 0.5)))
    document = found.to_dict()
    assert document["schema"] == 2
    assert document["genres"][0].keys() == {"label", "probability", "presence", "active"}
    assert document["kind"].keys() == {"music", "speech", "unfamiliar"}
    assert len(document["timeline"]["kind"]) == len(document["timeline"]["start_s"])
    assert document["segments"][-1]["kind"] == "silence"
    assert all(warning.keys() == {"code", "text"} for warning in document["warnings"])
    json.dumps(document, allow_nan=False)
    assert unpack(pack(found), found.file).to_dict() == document


def test_title_and_artist_come_from_the_tags(tmp_path):
    import soundfile
    from mutagen.flac import FLAC

    path = tmp_path / "song.flac"
    soundfile.write(path, noise(11), RATE_HZ)
    assert analyze(path, sure_of()).to_dict()["title"] is None
    tagged = FLAC(path)
    tagged["title"], tagged["artist"] = "Sea", "Someone"
    tagged.save()
    for source in (path, path.read_bytes()):
        found = analyze(source, sure_of()).to_dict()
        assert (found["title"], found["artist"]) == ("Sea", "Someone")


def test_every_way_to_an_answer_gives_the_same(three):
    sound = (noise(25), RATE_HZ)
    names = [model.info.name for model in three]
    together = [analysis.to_dict() for analysis in compare(sound, names)]
    alone = [analyze(sound, name).to_dict() for name in names]
    each = [analysis.to_dict() for _, analysis in analyze_each(sound, three)]
    assert together == alone == each
    assert analyze(sound).to_dict() == together[0]


def test_several_models_read_the_track_once_and_answer_one_by_one(three):
    seen: list[tuple[float, str]] = []
    answers = analyze_each((noise(25), RATE_HZ), three, progress=lambda share, doing: seen.append((share, doing)))
    track, first = next(answers)
    assert first.model.name == "all"
    assert seen[-1][0] < 0.5
    assert all(later is track for later, _ in answers)
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    steps = [doing for _, doing in seen]
    assert sorted(set(steps), key=steps.index) == [
        "listening", *(f"asking the {title} model" for title in ("Consensus", "CNN", "CRNN", "ViT"))
    ]  # fmt: skip


def test_what_progress_raises_ends_the_work(three):
    def stop(share, doing):
        raise AnalysisCancelled("no longer wanted")

    with pytest.raises(AnalysisCancelled):
        next(analyze_each((noise(25), RATE_HZ), three, progress=stop))


def test_the_consensus_is_no_party_to_a_difference(three):
    answers = compare((noise(25), RATE_HZ), three)
    np.testing.assert_allclose(disagreement(answers), disagreement(answers[1:]))


def test_models_with_other_labels_are_compared_on_what_both_know():
    first = sure_of((9.0, -9.0, -9.0))
    other = sure_of((-9.0, -9.0, 9.0), labels=("more", "odd", "calm"))
    unknown = sure_of(labels=("x", "y", "z"))
    same, opposite, strange = compare((noise(12), RATE_HZ), [first, other, unknown])
    np.testing.assert_allclose(disagreement([same, opposite]), 0.0, atol=1e-3)
    with pytest.raises(ValueError, match="no label in common"):
        disagreement([same, strange])
    assert LABELS[0] == "calm"
