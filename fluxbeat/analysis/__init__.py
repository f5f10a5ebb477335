"""Windows over a track, through a model, to a TrackAnalysis."""
