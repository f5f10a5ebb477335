"""What the service answers, as types: the JSON of `TrackAnalysis.to_dict`, of models, labels and health."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Bpm = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(ge=0)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)


class ModelDocument(_Document):
    """Which weights gave the answer."""

    name: str
    source: str
    revision: str = Field(description="first 12 digits of the SHA-256 of the weights")


class GenreDocument(_Document):
    """How present a genre is in the whole track."""

    label: str
    probability: Share
    active: bool = Field(description="whether the probability passes the label's threshold")


class TempoCandidateDocument(_Document):
    """A tempo that the track may have."""

    bpm: Bpm
    probability: Share


class TempoDocument(_Document):
    """The track's tempo."""

    bpm: Bpm | None = Field(description="null where there is no steady beat")
    confidence: Share
    candidates: list[TempoCandidateDocument] = Field(description="most probable first")


class TimelineDocument(_Document):
    """Genre and tempo along the track, one entry per window."""

    window_s: Seconds = Field(description="length of a window")
    hop_s: Seconds = Field(description="distance of windows")
    start_s: list[Seconds] = Field(description="where each window begins")
    labels: list[str]
    probability: list[list[Share]] = Field(description="per window, per label")
    bpm: list[Bpm | None] = Field(description="per window; null where there is no steady beat")


class SegmentDocument(_Document):
    """A stretch of the track in which the same genres are present."""

    start_s: Seconds
    end_s: Seconds
    labels: list[str]


class AnalysisDocument(_Document):
    """All that one model says of one track: what `fluxbeat analyze --json` prints."""

    schema_: Literal[1] = Field(alias="schema")
    file: str
    duration_s: Seconds
    model: ModelDocument
    genres: list[GenreDocument] = Field(description="every label, most probable first")
    tempo: TempoDocument
    timeline: TimelineDocument
    segments: list[SegmentDocument] = Field(description="without gaps from the track's beginning to its end")
    warnings: list[str]


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
    accuracy: MeasuredDocument | None = Field(description="of genre, on music of artists the model did not hear")
    tempo_accuracy: MeasuredDocument | None = Field(description="within 4 % of the annotated tempo")


class LabelThresholdDocument(_Document):
    """A model that knows a label."""

    model: str
    threshold: Share = Field(description="probability from which the label counts as present")


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


class GainsDocument(_Document):
    """Insertion minus deletion, -1..1; 0 for a map that knows nothing."""

    map: float
    random: float
    energy: float


class FaithfulnessDocument(_Document):
    """How far the map may be trusted, measured on its own window."""

    score: float = Field(description="the map's insertion minus deletion, less the better of random and energy")
    words: str
    insertion_minus_deletion: GainsDocument
    without_marked_fifth: Share
    marked_fifth_alone: Share
    without_random_fifth: Share
    deletion: list[Share]
    insertion: list[Share]


class SumsDocument(_Document):
    """All that speaks for and against, in units of the logit."""

    for_: float = Field(alias="for")
    against: float


class ExplanationDocument(_Document):
    """What in one window speaks for an answer: what `fluxbeat explain --json` prints."""

    schema_: Literal[1] = Field(alias="schema")
    file: str
    model: ModelDocument
    kind: Literal["genre", "tempo"]
    about: str = Field(description="the genre, or the tempo in words")
    layer: str
    start_s: Seconds
    window_s: Seconds
    logit: float
    probability: Share
    evidence: SumsDocument
    faithfulness: FaithfulnessDocument | None
    regions: list[RegionDocument]
