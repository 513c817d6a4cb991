"""Tell Sphinx how to build the site: ``make docs``, or ``sphinx-build -W --keep-going -b html docs docs/_build/html``.

The build fetches nothing from the network, and every warning is an error. The pages are plain Markdown, so that they
can also be read in the repository; ``_ext/tinycnn_reference.py`` makes the reference from docstrings.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import tinycnn  # noqa: E402  (This is the checkout, whatever is installed.)

project = "tinycnn"
author = "The tinycnn developers"
project_copyright = author
version = release = tinycnn.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "plotting_pictures",
    "tinycnn_reference",
]
exclude_patterns = ["_build", "Thumbs.db", ".DS_Store"]

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

# In the reference, docstrings state the types, and a method that only does what its base promises is not repeated.
autodoc_typehints = "none"
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
add_module_names = False
maximum_signature_line_length = 88
default_role = "code"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
# A name in a docstring that cannot be resolved is a warning, and therefore an error.
nitpicky = True

html_theme = "furo"
html_title = f"tinycnn {release}"
html_static_path = ["_static"]
html_css_files = ["tinycnn.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6e99", "color-brand-content": "#0b6e99"},
    "dark_css_variables": {"color-brand-primary": "#5cc0e8", "color-brand-content": "#5cc0e8"},
}
pygments_style = "friendly"
