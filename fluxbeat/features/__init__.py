"""The one front end, used by training and inference alike: FeatureConfig and LogMel."""
