"""An analysis as a file for other programs: one module per format, `writing` to write them all."""
