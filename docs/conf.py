"""Settings of the site, which `make docs` builds."""

from typing import Annotated, get_origin

from rl_depth import Config, device
from rl_depth import __version__ as release

device.start()  # as the package does; it keeps MJX from printing while it is imported for its docstrings

# What the command line has to know of an option is not its type.
for cls in Config.__mro__:
    for name, kind in getattr(cls, "__annotations__", {}).items():
        if get_origin(kind) is Annotated:
            cls.__annotations__[name] = kind.__origin__

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
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
highlight_language = "text"  # of blocks that name none: shell, mostly, and what it printed
html_show_sourcelink = False


def keep_whole(app, what, name, obj, options, lines):
    """Keep Napoleon from taking for a type what stands before a colon in an option's first line: "[default: none]"."""
    if what == "attribute":
        lines[:0] = ["..", ""]  # an empty comment


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", keep_whole, priority=400)  # before Napoleon
