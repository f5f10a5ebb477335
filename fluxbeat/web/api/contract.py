"""What the service answers, as types: the JSON of `TrackAnalysis.to_dict`, of models, labels and health."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from fluxbeat.analysis.result import TempoCandidate, TrackKind
from fluxbeat.errors import TrackWarning
from fluxbeat.models.hub.address import LONGEST
from fluxbeat.models.registry import ModelInfo

Share = Annotated[float, Field(ge=0, le=1)]
Bpm = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(ge=0)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)


class GenreDocument(_Document):
    """How present a genre is in the whole track."""

    label: str
    probability: Share = Field(description="on the label's own scale: 0.5 is even chance, from there on it is present")
    presence: Literal["clear", "likely", "trace", "none"] = Field(description="from 0.75, from 0.5, from 0.25, below")
    active: bool = Field(description="whether it is clear or likely")


class OtherLabelDocument(_Document):
    """A label of a model with very many that is strong nowhere in the track."""

    label: str
    probability: Share = Field(description="over the whole track, on the label's own scale")
    most: Share = Field(description="where it is strongest")
    at_s: Seconds = Field(description="when that is")


class TempoDocument(_Document):
    """The track's tempo."""

    bpm: Bpm | None = Field(description="null where there is no steady beat")
    confidence: Share
    stable: bool = Field(description="whether one tempo holds from beginning to end")
    corrected: bool = Field(description="whether a person said what the tempo is")
    candidates: list[TempoCandidate] = Field(description="most probable first")
    beats_s: list[Seconds] = Field(description="when the beats are; empty where there is no steady beat")
    downbeats_s: list[Seconds] = Field(description="those that begin a bar; empty where that is not sure")


class TimelineDocument(_Document):
    """Genre and tempo along the track, one entry per window."""

    window_s: Seconds = Field(description="length of a window")
    hop_s: Seconds = Field(description="distance of windows")
    start_s: list[Seconds] = Field(description="where each window begins")
    labels: list[str]
    probability: list[list[Share]] = Field(description="per window, per label, on the label's own scale")
    kind: list[list[Share]] = Field(description="per window: music, speech, neither; all 0 in silence")
    unfamiliar: list[Share] = Field(description="per window: how far the sound is from what the model learned")
    bpm: list[Bpm | None] = Field(description="per window; null where there is no steady beat")


class SegmentDocument(_Document):
    """A part of the track in which the same genres are present."""

    start_s: Seconds
    end_s: Seconds
    labels: list[str] = Field(description="none where no genre is sure or there is no music")
    kind: Literal["music", "speech", "noise", "silence"]
    bpm: Bpm | None = Field(description="null where there is no steady beat")


class AnalysisDocument(_Document):
    """All that one model says of one track: what `fluxbeat analyze --json` prints."""

    schema_: Literal[2] = Field(alias="schema")
    file: str
    title: str | None = Field(description="as the file's tags name it")
    artist: str | None
    duration_s: Seconds
    model: ModelInfo
    summary: str = Field(description="the answer in one sentence")
    genres: list[GenreDocument] = Field(
        description="every label, most probable first; of a model with very many those that are strongest somewhere"
    )
    others: list[OtherLabelDocument] = Field(
        default_factory=list, description="of a model with very many labels the rest, strongest first; else left out"
    )
    kind: TrackKind
    tempo: TempoDocument
    timeline: TimelineDocument
    segments: list[SegmentDocument] = Field(description="without gaps from the track's beginning to its end")
    warnings: list[TrackWarning]


class MeasuredDocument(_Document):
    """A measured share, with what it was measured on."""

    measure: str
    value: float
    n: int = Field(ge=1, description="how many tracks")
    interval_95: tuple[float, float] | None = None
    split: str
    seed: int | None = None
    date: str | None = None


class ModelFactsDocument(_Document):
    """The key facts of a model's card: what `fluxbeat models --json` prints."""

    name: str
    family: str
    parameters: int
    window_s: Seconds
    labels: list[str]
    source: str
    revision: str
    licence: str | None
    accuracy: MeasuredDocument | None = Field(description="of genre, on music of artists the model was not trained on")
    tempo_accuracy: MeasuredDocument | None = Field(description="within 4 % of the annotated tempo")


class ModelToAdd(_Document):
    """A model of the Hub that shall stand beside the others."""

    source: str = Field(
        min_length=1,
        max_length=LONGEST,
        description="hf://owner/repo[/folder][@revision][?options], as `--model` takes it",
        examples=["hf://MIT/ast-finetuned-audioset-10-10-0.4593?scores=sigmoid"],
    )


class LabelThresholdDocument(_Document):
    """A model that knows a label."""

    model: str
    threshold: Share = Field(description="calibrated probability from which it counts as present; shown as 0.5")


class LabelDocument(_Document):
    """A genre, and who can name it."""

    label: str
    models: list[LabelThresholdDocument]


class HealthDocument(_Document):
    """That the service is there, and how busy it is."""

    status: Literal["ready"]
    version: str
    models: list[str]
    running: int = Field(ge=0, description="analyses at this moment")
    places_taken: int = Field(ge=0, description="requests that upload, wait, are analysed or answered")


class RegionDocument(_Document):
    """One place on the spectrogram that speaks for the answer."""

    start_s: Seconds
    end_s: Seconds
    low_hz: Annotated[float, Field(ge=0)]
    high_hz: Annotated[float, Field(ge=0)]
    share: Share = Field(description="of all that speaks for the answer in this window")
    words: str


class FaithfulnessDocument(_Document):
    """How far the map may be trusted, measured on its own window."""

    score: float = Field(description="the map's insertion minus deletion, less the better of random and energy")
    words: str
    insertion_minus_deletion: dict[Literal["map", "random", "energy"], float] = Field(
        description="-1..1; 0 for a map that knows nothing"
    )
    without_marked_fifth: Share
    marked_fifth_alone: Share
    without_random_fifth: Share
    deletion: list[Share]
    insertion: list[Share]


class ExplanationDocument(_Document):
    """What in one window speaks for an answer: what `fluxbeat explain --json` prints."""

    schema_: Literal[1] = Field(alias="schema")
    file: str
    model: ModelInfo
    kind: Literal["genre", "tempo"]
    about: str = Field(description="the genre, or the tempo in words")
    layer: str
    method: str
    start_s: Seconds
    window_s: Seconds
    logit: float
    probability: Share
    evidence: dict[Literal["for", "against"], float] = Field(
        description="all that speaks for and against, in units of the logit"
    )
    faithfulness: FaithfulnessDocument | None
    regions: list[RegionDocument]
