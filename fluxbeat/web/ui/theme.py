"""How the page looks: warm paper by day, deep slate by night, and the fonts of the listener's own system."""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils import colors, sizes

SANS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")

_ACCENT = colors.Color(
    name="flux",
    c50="#edf3f6",
    c100="#d7e6ec",
    c200="#b0cfdb",
    c300="#84b4c7",
    c400="#5597b0",
    c500="#347d98",
    c600="#27667e",
    c700="#205367",
    c800="#1c4354",
    c900="#173745",
    c950="#0e2430",
)


def page_theme() -> gr.themes.Base:
    """The Gradio theme of the page."""
    theme = gr.themes.Base(
        primary_hue=_ACCENT,
        secondary_hue=_ACCENT,
        neutral_hue=colors.stone,
        radius_size=sizes.radius_lg,
        font=SANS,
        font_mono=MONO,
    )
    return theme.set(
        body_background_fill="#faf9f6",
        body_background_fill_dark="#14161c",
        body_text_color="#22252b",
        body_text_color_dark="#e9e7e1",
        body_text_color_subdued="#5c6068",
        body_text_color_subdued_dark="#a5a9b3",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#1b1e26",
        block_background_fill_dark="#1b1e26",
        block_border_color="#e6e2d9",
        block_border_color_dark="#2c313c",
        border_color_primary="#e0dcd2",
        border_color_primary_dark="#343a46",
        button_secondary_background_fill="#f3f1ec",
        button_secondary_background_fill_dark="#262b35",
        button_secondary_text_color="#22252b",
        button_secondary_text_color_dark="#e9e7e1",
        checkbox_label_background_fill_selected="#d7e6ec",
        checkbox_label_background_fill_selected_dark="#1c4354",
        checkbox_label_text_color_selected="#173745",
    )
