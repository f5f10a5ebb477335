"""An analysis as a file for other programs: one module per format, `writing` to write them all.

What every writer keeps to:

- Its docstring says which specification the file follows.
- It says the same as the page, from `fluxbeat.charts`: `segment_name(segment)` and `clock` of `wording`, the `chapters`
  of `chapters`.
- Numbers come from `to_dict`, of the analysis or of one part (`segment.to_dict()["start_s"]`, as `jams_file` does),
  where they are rounded as everywhere, unless the format asks for more digits, as Audacity's does; `clock` takes
  seconds as they are.
- Titles, names of files and genres come from strangers: they are escaped as the format wants it, and
  `" ".join(name.split())` keeps a name on its line.
- There is always a segment, but not always a beat: where there is nothing to write it raises `ExportError` with a
  sentence that says why.
"""
