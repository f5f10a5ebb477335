"""The one front end, used by training and inference alike: FeatureConfig and LogMel."""

from fluxbeat.features.log_mel import FeatureConfig, LogMel, LogMelStream, fill_window

__all__ = ["FeatureConfig", "LogMel", "LogMelStream", "fill_window"]
