"""What `fluxbeat benchmark` found, as tables in a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table


def draw_benchmark(report: dict[str, Any]) -> RenderableType:
    """One window, whole tracks beside their decoding, and whatever else was asked for."""
    tables = [_windows(report), *(_track(track) for track in report["tracks"])]
    if "memory" in report:
        tables.append(_memory(report["memory"]))
    if "app" in report:
        tables.append(_app(report["imports"], report["app"]))
    return Group(*tables)


def _windows(report: dict[str, Any]) -> Table:
    machine = report["machine"]
    table = Table(
        "one window", "one thread", f"{machine['torch_threads']} threads", "first claimed", "operations",
        "of peak, 1 thread", "its explanation", "ratio",
        title=f"{machine['processor']}, {machine['cores']} cores, {machine['peak_gflops']:.0f} GFLOP/s in a product of "
        f"matrices, torch {machine['torch']}",
        title_justify="left",
    )  # fmt: skip
    for name, found in report["windows"].items():
        claimed = found["first_claimed_ms"]
        table.add_row(
            name,
            _milliseconds(found["answer_one_thread"]),
            _milliseconds(found["answer"]),
            f"{claimed:.1f} ms" if claimed else "",
            f"{found['operations'] / 1e6:.0f} million",
            f"{100 * found['share_of_peak_one_thread']:.0f} %",
            _milliseconds(found["explanation"]),
            f"{found['explanation_per_answer']:.1f}",
        )
    return table


def _track(track: dict[str, Any]) -> Table:
    decoding_s = track["decode"]["median_s"]
    table = Table(
        "step", "seconds", "least to most", "/ decoding", "times real time",
        title=f"A track of {track['duration_s']:.0f} s: decoding alone takes one thread {decoding_s:.2f} s",
        title_justify="left",
    )  # fmt: skip

    def row(name: str, seconds: float, spread: str = "", speed: str = "", style: str = "") -> None:
        table.add_row(name, f"{seconds:.2f}", spread, f"{seconds / decoding_s:.2f}", speed, style=style)

    row("decode, one thread", decoding_s, _spread(track["decode"]))
    shared = track["decode_shared"]
    row(f"decode, {track['decoding_threads']} threads", shared["median_s"], _spread(shared))
    row("resample", track["resample_s"])
    row("log-mel spectrogram", track["log_mel"]["median_s"], _spread(track["log_mel"]))
    row("these three at once", track["read"]["median_s"], _spread(track["read"]))
    for name, found in track["models"].items():
        row(f"{name}: windows, tempo, segments", found["model"]["median_s"], _spread(found["model"]))
        row(f"{name}: the rest", found["rest_s"])
        whole = found["whole"]
        row(f"{name}: file to JSON", whole["median_s"], _spread(whole), f"{found['times_real_time']:.0f}", "bold")
    for name, found in track["peers"].items():
        whole, longer = (
            found["whole"],
            ", ".join(f"{times:.1f} x {ours}" for ours, times in found["times_as_long"].items()),
        )
        row(f"{name} ({longer})", whole["median_s"], _spread(whole), f"{found['times_real_time']:.0f}")
    return table


def _memory(found: list[dict[str, Any]]) -> Table:
    table = Table("peak memory", "ten minutes", "three hours", "ratio", title="A process that analyses one file")
    for entry in found:
        sizes = [f"{entry[key] / 2**20:.0f} MiB" for key in ("ten_minutes_bytes", "three_hours_bytes")]
        table.add_row(entry["model"], *sizes, f"{entry['ratio']:.2f}")
    return table


def _app(imports: dict[str, Any], app: dict[str, Any]) -> Table:
    table = Table("the app", "seconds", title=f"The app with the {app['model']} model", title_justify="left")
    for words, seconds in (
        ("import torch and torchaudio", imports["torch"]["median_s"]),
        ("import FluxBeat, beyond that", imports["beyond_torch_s"]),
        ("start to first page", app["first_page_s"]),
        ("first upload to answer", app["first_answer_s"]),
        ("next upload to answer", app["next_answer_s"]),
        (f"{app['people']} people at once: median answer", app["median_answer_s"]),
        ("the slowest answer", app["slowest_answer_s"]),
    ):
        table.add_row(words, f"{seconds:.2f}")
    table.add_row("answers per minute", f"{app['answers_per_minute']:.0f}")
    table.add_row("music per time, all together", f"{app['times_real_time']:.0f} times real time")
    return table


def _milliseconds(entry: dict[str, Any]) -> str:
    least, most = 1000 * entry["least_s"], 1000 * entry["most_s"]
    return f"{1000 * entry['median_s']:.1f} ms ({least:.1f} to {most:.1f})"


def _spread(entry: dict[str, Any]) -> str:
    return f"{entry['least_s']:.2f} to {entry['most_s']:.2f}"
