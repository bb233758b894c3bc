"""Docstrings of components on a terminal: formulas and links as plain text."""

import re

from fedsiege import attacks, detectors, rules
from fedsiege.cli.docstring import as_paragraphs
from fedsiege.cli.formula import as_text
from tests.cases import each

FORMULAS = {
    r"n \ge 2f + 3": "n ≥ 2f + 3",
    r"s_i = \sum_{j \in N_i} \lVert g_i - g_j \rVert^2": "s_i = Σ_(j ∈ N_i) ‖ g_i - g_j ‖²",
    r"\frac{1}{n} \sum_{i=1}^n g_i": "1/n Σ_(i=1)ⁿ g_i",
    r"\frac{1 - \frac{a}{b}}{\sqrt{c}}": "(1 - a/b)/(√(c))",
    r"w_{t-1}": "w_(t-1)",
    r"y \mapsto \begin{cases} a & b \\ c & d \end{cases}": "y ↦ a b\nc d",
    r"\bar g": "g\u0304",
    r"13{,}106": "13,106",
    r"\{1, \ldots, k\}": "{1, ..., k}",
}


COMPONENTS = [one for kind in (rules, attacks, detectors) for one in kind.registry]


@each(("latex", "text"), FORMULAS.items())
def test_formulas_become_text(latex, text):
    assert as_text(latex) == text


@each("component", COMPONENTS)
def test_no_mark_of_the_documentation_is_left_in_any_docstring(component):
    text = as_paragraphs(component, 80)
    assert not re.findall(r"\\[a-zA-Z]|`|:math:|\.\. math|>_|frac\b", text)
    assert "Source:" in text
    wide = [line for line in text.splitlines() if len(line) > 80 and line[0] != " "]
    assert all("https://" in line for line in wide), "paragraphs are filled to the width"
