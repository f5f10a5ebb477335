"""An analysis in JAMS, the JSON Annotated Music Specification (Humphrey et al., ISMIR 2014)."""

from __future__ import annotations

from typing import Any

from fluxbeat import __version__
from fluxbeat.analysis import Segment, TrackAnalysis
from fluxbeat.charts.wording import segment_name


def to_jams(analysis: TrackAnalysis) -> bytes:
    """JAMS with annotations over the whole track, checked against its schema.

    `tag_open` has the genres that are clearly present with their probability; `tempo` every candidate with its share
    of the tempo distribution, most probable first, and nothing where there is no beat; `beat` the beats, which count
    from 1 in each bar where the bars are sure; `segment_open` the segments.
    """
    import jams  # with pandas: a second that only this format should cost

    found = analysis.to_dict()
    duration_s = found["duration_s"]
    whole = {"time": 0.0, "duration": duration_s}
    document = jams.JAMS(file_metadata=jams.FileMetadata(title=analysis.file, duration=duration_s))

    def annotate(namespace: str, observations: list[dict[str, Any]]) -> None:
        annotation = jams.Annotation(namespace, annotation_metadata=_metadata(jams, analysis), **whole)
        for observation in observations:
            annotation.append(**observation)
        document.annotations.append(annotation)

    annotate(
        "tag_open",
        [
            {**whole, "value": genre["label"], "confidence": genre["probability"]}
            for genre in found["genres"]
            if genre["active"]
        ],
    )
    annotate(
        "tempo",
        [
            {**whole, "value": candidate["bpm"], "confidence": candidate["probability"]}
            for candidate in (found["tempo"]["candidates"] if found["tempo"]["bpm"] is not None else [])
        ],
    )
    if found["tempo"]["beats_s"]:
        annotate("beat", _beats(found["tempo"]["beats_s"], found["tempo"]["downbeats_s"]))
    annotate("segment_open", [_observation(segment) for segment in analysis.segments])
    document.validate(strict=True)
    text: str = document.dumps(indent=2)
    return (text + "\n").encode()


def _beats(beats_s: list[float], downbeats_s: list[float]) -> list[dict[str, Any]]:
    begins, number, observations = set(downbeats_s), None, []
    for beat_s in beats_s:
        number = 1 if beat_s in begins else None if number is None else number + 1
        observations.append({"time": beat_s, "duration": 0.0, "value": number, "confidence": None})
    return observations


def _observation(segment: Segment) -> dict[str, Any]:
    found = segment.to_dict()
    duration_s = round(found["end_s"] - found["start_s"], 2)
    return {"time": found["start_s"], "duration": duration_s, "value": segment_name(segment), "confidence": None}


def _metadata(jams: Any, analysis: TrackAnalysis) -> Any:
    return jams.AnnotationMetadata(
        annotator={"model": analysis.model.name, "source": analysis.model.source, "revision": analysis.model.revision},
        version=analysis.model.revision,
        annotation_tools=f"FluxBeat {__version__}",
        data_source="program",
    )
