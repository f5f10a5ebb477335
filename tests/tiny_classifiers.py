"""Classifiers of transformers as small as they can be, with random weights, saved as their makers save them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers

GENRES = ("rock", "Hip hop music", "jazz", "techno")
_SMALL: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "conv_dim": (8, 8),
    "conv_stride": (20, 16), "conv_kernel": (20, 16), "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2, "classifier_proj_size": 8,
}  # fmt: skip


def _ast(settings: dict[str, Any]) -> tuple[Any, Any]:
    config = transformers.ASTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, max_length=1024,
        num_mel_bins=32, frequency_stride=16, time_stride=64, **settings,
    )  # fmt: skip
    return transformers.ASTForAudioClassification(config), transformers.ASTFeatureExtractor(num_mel_bins=32)


def _wav2vec2(settings: dict[str, Any]) -> tuple[Any, Any]:
    config = transformers.Wav2Vec2Config(**_SMALL, **settings)
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=False)
    return transformers.Wav2Vec2ForSequenceClassification(config), extractor


def _hubert(settings: dict[str, Any]) -> tuple[Any, Any]:
    config = transformers.HubertConfig(**_SMALL, **settings)
    return transformers.HubertForSequenceClassification(config), transformers.Wav2Vec2FeatureExtractor()


def _whisper(settings: dict[str, Any]) -> tuple[Any, Any]:
    config = transformers.WhisperConfig(
        d_model=16, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=16, decoder_layers=1,
        decoder_attention_heads=2, decoder_ffn_dim=16, num_mel_bins=16, classifier_proj_size=8, vocab_size=60,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, **settings,
    )  # fmt: skip
    return transformers.WhisperForAudioClassification(config), transformers.WhisperFeatureExtractor(feature_size=16)


MAKERS = {"ast": _ast, "wav2vec2": _wav2vec2, "hubert": _hubert, "whisper": _whisper}


def save_classifier(folder: Path, kind: str, labels: tuple[str, ...] = GENRES, problem: str | None = None) -> Path:
    """A classifier of one of `MAKERS`, with weights that tell sounds apart, and its feature extractor."""
    torch.manual_seed(0)
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: place for place, label in enumerate(labels)}}
    model, extractor = MAKERS[kind]({**names, "problem_type": problem})
    _louder(model)
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
    return folder


def save_clap(folder: Path, fusion: bool = False) -> Path:
    """A CLAP model whose tokenizer knows letters."""
    torch.manual_seed(0)
    characters = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *(chr(code) for code in range(33, 127)), "Ġ"]
    (folder / "words").mkdir(parents=True)
    (folder / "words" / "vocab.json").write_text(json.dumps({one: place for place, one in enumerate(characters)}))
    (folder / "words" / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.RobertaTokenizer.from_pretrained(folder / "words")
    text = {
        "vocab_size": len(characters), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "projection_dim": 16,
    }  # fmt: skip
    audio = {
        "num_mel_bins": 64, "spec_size": 256, "hidden_size": 32, "patch_embeds_hidden_size": 8, "depths": [1, 1, 1],
        "num_attention_heads": [1, 2, 2], "projection_dim": 16, "num_hidden_layers": 3, "window_size": 8,
        "enable_fusion": fusion, "aff_block_r": 2,
    }  # fmt: skip
    model = transformers.ClapModel(transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=16))
    model.save_pretrained(folder)
    transformers.ClapFeatureExtractor(truncation="fusion" if fusion else "rand_trunc").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _louder(model: Any) -> None:
    """Random weights as they are made say nearly the same of everything."""
    with torch.no_grad():
        for value in model.parameters():
            value += 0.4 * torch.randn_like(value)
