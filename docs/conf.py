"""The documentation site: ``sphinx-build -W -b html docs build/site``, without a network."""

import sys
from pathlib import Path

import marketsim

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `docs.extension`

project = "marketsim"
author = "The marketsim developers"
version = release = marketsim.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "docs.extension.written",
    "docs.extension.formulas",
]
exclude_patterns = ["extension", "images/make.sh", "gallery/make.sh"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autosummary_generate = False
autodoc_typehints = "none"  # the signature would say twice what "Parameters" says
autodoc_class_signature = "mixed"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

smartquotes = False  # options begin with two dashes

html_theme = "pydata_sphinx_theme"
html_title = "marketsim"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "marketsim"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["sphinx-version"],
    "footer_end": ["theme-version"],
    "show_toc_level": 2,
    "navigation_with_keys": False,
}
html_sidebars = {"index": []}
