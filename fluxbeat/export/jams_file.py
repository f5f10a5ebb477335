"""An analysis in JAMS, the JSON Annotated Music Specification (Humphrey et al., ISMIR 2014)."""

from __future__ import annotations

from typing import Any

from fluxbeat import __version__
from fluxbeat.analysis.result import TrackAnalysis
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
    whole_track = {"time": 0.0, "duration": duration_s}
    document = jams.JAMS(file_metadata=jams.FileMetadata(title=analysis.file, duration=duration_s))

    model = analysis.model
    about = jams.AnnotationMetadata(
        annotator={"model": model.name, "source": model.source, "revision": model.revision},
        version=model.revision,
        annotation_tools=f"FluxBeat {__version__}",
        data_source="program",
    )

    def annotate(namespace: str) -> Any:
        annotation = jams.Annotation(namespace, annotation_metadata=about, **whole_track)
        document.annotations.append(annotation)
        return annotation

    tags = annotate("tag_open")
    for genre in found["genres"]:
        if genre["active"]:
            tags.append(**whole_track, value=genre["label"], confidence=genre["probability"])
    tempo = annotate("tempo")
    if found["tempo"]["bpm"] is not None:
        for candidate in found["tempo"]["candidates"]:
            tempo.append(**whole_track, value=candidate["bpm"], confidence=candidate["probability"])
    if found["tempo"]["beats_s"]:
        beats, number, downbeats_s = annotate("beat"), None, set(found["tempo"]["downbeats_s"])
        for beat_s in found["tempo"]["beats_s"]:
            number = 1 if beat_s in downbeats_s else None if number is None else number + 1
            beats.append(time=beat_s, duration=0.0, value=number)
    segments = annotate("segment_open")
    for segment in analysis.segments:
        place = segment.to_dict()
        duration_s = round(place["end_s"] - place["start_s"], 2)
        segments.append(time=place["start_s"], duration=duration_s, value=segment_name(segment))
    document.validate(strict=True)
    text: str = document.dumps(indent=2)
    return (text + "\n").encode()
