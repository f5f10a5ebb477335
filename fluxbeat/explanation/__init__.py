"""Why a model says what it says: maps over the spectrogram, how far they may be trusted, and how they sound."""
