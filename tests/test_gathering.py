"""The music that a recipe names: found wherever it lies, and heard anew when somebody has changed it."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fluxbeat.errors import FluxBeatError
from fluxbeat.features import FeatureConfig
from fluxbeat.sound_files import SOUND_SUFFIXES
from fluxbeat.training.folder_data import audio_files, read_genre_folders
from fluxbeat.training.gathering import cached_items, items_file
from fluxbeat.training.items import Item
from fluxbeat.training.picture_simulation import simulate_picture
from fluxbeat.training.pictures import alignment, measure_alignment, read_archive
from fluxbeat.training.recipe import DataConfig, Recipe
from fluxbeat.training.run import claim_folder, pretrained
from fluxbeat.training.unlabelled import unlabelled_excerpts

RATE_HZ = 22_050


def save(path: Path, seconds: float = 12.0, seed: int = 0) -> Path:
    """A file with noise that comes and goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(seed).standard_normal(len(t))
    soundfile.write(path, 0.1 * noise * np.sin(2 * np.pi * 2 * t), RATE_HZ)
    return path


def test_training_finds_every_kind_of_sound_that_the_program_reads(tmp_path):
    for ending in SOUND_SUFFIXES:
        for genre in ("jazz", "rock"):
            (tmp_path / genre).mkdir(exist_ok=True)
            (tmp_path / genre / f"song{ending}").touch()
            (tmp_path / genre / f".hidden{ending}").touch()
    found = [entry.path.suffix for entry in read_genre_folders(tmp_path)]
    assert sorted(found) == sorted([*SOUND_SUFFIXES] * 2)


def test_unlabelled_music_of_every_kind_is_heard_and_hidden_files_are_not(tmp_path):
    save(tmp_path / "below" / "song.aiff")
    save(tmp_path / ".hidden.wav")
    assert {item.artist for item in unlabelled_excerpts(tmp_path, FeatureConfig())} == {"song"}
    with pytest.raises(FluxBeatError, match="no audio in this folder"):
        list(unlabelled_excerpts(tmp_path / "nothing", FeatureConfig()))


def test_a_folder_that_may_not_be_opened_is_named(tmp_path, caplog, monkeypatch):
    save(tmp_path / "open" / "song.wav")
    save(tmp_path / "closed" / "song.wav")
    scandir = os.scandir

    def refused(folder: Path):
        if folder.name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr("fluxbeat.sound_files.os.scandir", refused)
    with caplog.at_level(logging.WARNING):
        assert [path.parent.name for path in audio_files(tmp_path)] == ["open"]
    assert "closed/: this folder cannot be opened (Permission denied)" in caplog.text


LABELS = ("jazz", "rock")


def labels_of(recipe: Recipe, root: Path) -> dict[str, tuple[str, ...] | None]:
    return {Path(item.item_id).stem: item.labels for item in cached_items(recipe, root, root / "cache")}


def test_a_changed_table_and_a_changed_recording_are_read_anew(tmp_path):
    for seed, name in enumerate("abc"):
        save(tmp_path / f"{name}.wav", 4.0, seed)
    table, recipe = tmp_path / "songs.csv", Recipe("cnn", LABELS, DataConfig(recordings="songs.csv"))
    table.write_text("path,labels\na.wav,rock\nb.wav,jazz\n")
    assert labels_of(recipe, tmp_path) == {"a": ("rock",), "b": ("jazz",)}
    kept = items_file(recipe, tmp_path, tmp_path / "cache")
    os.utime(table, (1, 1))
    assert items_file(recipe, tmp_path, tmp_path / "cache") == kept, "a table is known by what it says"
    table.write_text("path,labels\na.wav,jazz\nb.wav,rock\n")
    os.utime(table, (1, 1))
    assert labels_of(recipe, tmp_path) == {"a": ("jazz",), "b": ("rock",)}
    table.write_text("path,labels\na.wav,jazz\nb.wav,jazz\nc.wav,rock\n")
    before = cached_items(recipe, tmp_path, tmp_path / "cache")[2].log_mel
    save(tmp_path / "c.wav", 4.0, seed=9)
    assert not np.array_equal(cached_items(recipe, tmp_path, tmp_path / "cache")[2].log_mel, before)


@pytest.mark.parametrize("changed", ["archive.npz", "archive.csv", "audio/b.flac", "corpus/free-0000.npz",
                                     "corpus/index.csv", "songs/album/a.wav", "teacher/MSD_musicnn.npz"])  # fmt: skip
def test_every_file_of_the_data_is_part_of_what_the_cache_is_named_by(tmp_path, changed):
    others = ["audio/a.flac", "songs/a.mp3", "teacher/MTT_musicnn.npz", "corpus/teacher-free-0000.npz"]
    for name in (changed, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    data = DataConfig("archive", "audio", corpus="corpus", unlabelled="songs", teacher="teacher")
    recipe = Recipe("cnn", LABELS, data)
    names = [items_file(recipe, tmp_path, tmp_path)]
    (tmp_path / "corpus" / "unread.csv").write_text("nothing is learned from this")
    assert items_file(recipe, tmp_path, tmp_path) == names[0]
    (tmp_path / changed).write_text("22")
    names.append(items_file(recipe, tmp_path, tmp_path))
    (tmp_path / changed).unlink()
    names.append(items_file(recipe, tmp_path, tmp_path))
    assert len(set(names)) == 3


def song(label: str) -> Item:
    return Item("a.wav", np.zeros((80, 10), np.float32), (label,), None)


def test_a_run_on_other_labels_is_another_run(tmp_path):
    recipe = Recipe("cnn", LABELS)
    claim_folder(tmp_path, recipe, [song("rock")])
    claim_folder(tmp_path, recipe, [song("rock")])
    with pytest.raises(FluxBeatError, match="labels_sha256 differ"):
        claim_folder(tmp_path, recipe, [song("jazz")])


def test_what_a_corpus_has_taught_is_not_taken_for_what_a_changed_one_teaches(tmp_path, monkeypatch):
    def fitted(task: object, items: list[Item], folder: Path, *rest: object) -> None:
        raise InterruptedError(folder.name)

    monkeypatch.setattr("fluxbeat.training.run.fit", fitted)
    recipe = Recipe("cnn", LABELS, pretrain_epochs=1)
    with pytest.raises(InterruptedError, match="pretrained-"):
        pretrained(recipe, [song("rock")], tmp_path)
    with pytest.raises(FluxBeatError, match="pretrained-.*another run: labels_sha256"):
        pretrained(recipe, [song("jazz")], tmp_path)


def test_measured_alignment_brings_pictures_to_their_recordings(tmp_path, monkeypatch, request):
    request.addfinalizer(alignment.cache_clear)
    recorded = save(tmp_path / "audio" / "a.wav", 30.0)
    samples = soundfile.read(recorded, dtype="float32")[0]
    np.savez(tmp_path / "archive.npz", clip_id=["a"], spectrogram=simulate_picture(samples)[None])
    (tmp_path / "archive.csv").write_text("clip_id,genre,bpm,artist_group,fold\na,rock,120,1,1\n")
    config = FeatureConfig()

    def apart() -> float:
        picture, recording = (item.log_mel for item in read_archive(tmp_path / "archive", config, tmp_path / "audio"))
        return float(np.abs(picture.mean(axis=1) - recording[:, : picture.shape[1]].mean(axis=1)).mean())

    monkeypatch.setattr("fluxbeat.training.pictures.ALIGNMENT", tmp_path / "alignment.json")
    alignment.cache_clear()
    before = apart()
    measure_alignment(tmp_path / "archive", tmp_path / "audio", config)
    assert apart() < 0.1 * before
