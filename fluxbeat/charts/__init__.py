"""How an analysis is drawn and worded for listeners, wherever it is shown: in the app or in an exported report.

`figures.css` has the colours of the day and of the night, `painted.js` gives them to a figure in a browser, and
`wording.js` writes numbers there as `wording.py` does here. Plotly's own script comes from its package, less what is
never drawn (`plotly_script.py`).
"""

from pathlib import Path

FIGURES_CSS = Path(__file__).with_name("figures.css")
PAINTED_JS = Path(__file__).with_name("painted.js")
WORDING_JS = Path(__file__).with_name("wording.js")
