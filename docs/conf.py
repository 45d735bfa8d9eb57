"""Settings of the documentation site, which ``make docs-site`` builds with Sphinx."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARY = str(ROOT / "workflow_scripts")

# The reference imports the library here; tutorials run in processes of their own, with one thread each.
sys.path.insert(0, LIBRARY)
os.environ |= {"PYTHONPATH": LIBRARY, "OMP_NUM_THREADS": "1"}
import whatwhere  # noqa: E402

project = "whatwhere"
author = "the whatwhere developers"
copyright = author
release = whatwhere.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]


# Headings can be linked to by their text, as on GitHub.
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline", "colon_fence"]

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "pydata_sphinx_theme"
html_title = "whatwhere"
html_show_sourcelink = False
html_domain_indices = False
# These pages have no further pages below them.
html_sidebars: dict[str, list[str]] = {"index": [], "start": [], "gallery": []}
html_theme_options = {
    "navbar_align": "left",
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
}
