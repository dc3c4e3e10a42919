"""Settings of the site, which `make docs` builds."""

from rl_depth import __version__ as release
from rl_depth import device

device.start()  # as the package does; it keeps MJX from printing while it is imported for its docstrings

project = "rl_depth"
copyright = "the rl_depth authors"
html_title = f"rl_depth {release}"
html_theme = "furo"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "cyclopts.ext.sphinx"]
myst_heading_anchors = 3

smartquotes = False  # they would make one dash of the two of an option
default_role = "code"  # as docstrings write it
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
highlight_language = "text"  # of blocks that name none: shell, mostly, and what it printed
html_show_sourcelink = False
