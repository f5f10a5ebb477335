"""An analysis as a file for other programs: one module per format, one way to write them all."""

from fluxbeat.export.explained import explained_genres, explanation_picture, explanation_pictures
from fluxbeat.export.formats import FORMATS, Format, Picture, the_format
from fluxbeat.export.writing import export, file_name, media_type, refuse_output, render

__all__ = [
    "FORMATS",
    "Format",
    "Picture",
    "explained_genres",
    "explanation_picture",
    "explanation_pictures",
    "export",
    "file_name",
    "media_type",
    "refuse_output",
    "render",
    "the_format",
]
