"""Settings of the documentation site; ``make docs`` builds it, warnings are errors."""

import importlib.metadata
import sys
from pathlib import Path

DOCS = Path(__file__).parent
MERMAID = sorted((DOCS.parent / "node_modules").glob("mermaid@*/mermaid.min.js"))
sys.path.insert(0, str(DOCS / "_extensions"))

if not MERMAID:
    raise FileNotFoundError(
        "mermaid, which draws the diagrams, is not here: `make docs` installs it"
    )

project = "FedSiege"
author = "The FedSiege authors"
copyright = author  # noqa: A001 - Sphinx's name
version = release = importlib.metadata.version("fedsiege")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",
    "sphinxcontrib.mermaid",
    "components",
    "reference",
    "repository",
    "sections",
]
exclude_patterns = ["README.md", "_*", "reference/_*"]  # README.md is a link to index.md

myst_enable_extensions = ["deflist", "dollarmath"]
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 4

# Names in signatures that this site does not describe: those of other libraries, and type aliases.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!fedsiege\.).*")]
nitpick_ignore = [("py:class", "fedsiege.rules.updates.U")]  # a type variable

autodoc_typehints = "none"  # the parameters' tables have them
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Source"]

html_theme = "furo"
html_title = f"FedSiege {version}"
html_static_path = ["_static", str(MERMAID[-1])]
html_css_files = ["site.css"]
html_show_sphinx = False
mermaid_use_local = "mermaid.mjs"
mermaid_fullscreen = False
mermaid_height = "auto"
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True

linkcheck_timeout = 15
linkcheck_anchors = False
linkcheck_ignore = [r"https?://(localhost|127\.0\.0\.1).*"]
