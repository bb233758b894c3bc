"""Formulas of the documentation, written in LaTeX, as text for a terminal."""

import re

_NOTHING = (
    *("left", "right", "big", "Big", "bigl", "bigr", "Bigl", "Bigr"),
    *("mathrm", "mathcal", "mathbb", "text", "texttt", "operatorname", "underbrace"),
)
#: What is put in place of a command; those not listed become their name.
_SYMBOLS = {
    **dict.fromkeys(_NOTHING, ""),
    **dict.fromkeys(("qquad", "quad"), "   "),
    **dict(zip(("mu", "lambda", "sigma", "varepsilon", "tau", "rho"), "μλσετρ", strict=True)),
    **dict(zip(("eta", "beta", "gamma", "alpha", "delta", "theta"), "ηβγαδθ", strict=True)),
    **dict(zip(("ell", "Sigma", "Phi", "nabla", "sum"), "ℓΣΦ∇Σ", strict=True)),
    **dict(zip(("cdot", "in", "le", "ge", "ne", "sim", "odot"), "·∈≤≥≠~⊙", strict=True)),
    **dict(zip(("lceil", "rceil", "lfloor", "rfloor", "langle", "rangle"), "⌈⌉⌊⌋⟨⟩", strict=True)),
    **dict(zip(("to", "mapsto", "leftarrow", "lVert", "rVert"), "→↦←‖‖", strict=True)),
    "times": "\N{MULTIPLICATION SIGN}",
    "top": "T",
    "ldots": "...",
    "bmod": "mod",
}
#: Accents, behind the letter that they stand on.
_ACCENTS = {"bar": "\u0304", "hat": "\u0302", "tilde": "\u0303"}
_POWERS = str.maketrans("0123456789+-nT", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿᵀ")
#: Braces with nothing in braces inside.
_BRACES = r"\{([^{}]*)\}"


def as_text(latex: str) -> str:
    r"""Return a formula as text, on one line or, of several rows, on several.

    Commands become symbols, ``\frac{a}{b}`` a/b and ``x^{2}`` x²; what there is no sign for stays
    as it is, such as ``w_{t-1}``, which becomes w_(t-1).
    """
    text = re.sub(r"\\(begin|end)\{\w+\}(\{\w+\})?", "", latex)
    text = re.sub(r"\\operatorname\*?\{(\w+)\\,(\w+)\}", r"\1 \2", text)
    text = text.replace("{,}", ",").replace(r"\{", "⦃").replace(r"\}", "⦄")
    text = re.sub(r"\\([bht]\w+)\s*(\{(\w)\}|(\w)\b)", _accented, text)
    before = ""
    while text != before:  # from the inside out
        before = text
        text = re.sub(rf"\\d?frac\s*{_BRACES}\s*{_BRACES}", _fraction, text)
        text = re.sub(r"\\d?frac\s*(\d)(\d)", r"\1/\2", text)
        text = re.sub(rf"\\sqrt\s*{_BRACES}", r"√(\1)", text)
        text = re.sub(
            rf"\\(?:text|mathrm|mathcal|mathbb|texttt|operatorname\*?)\s*{_BRACES}", r"\1", text
        )
        text = re.sub(rf"\^\s*{_BRACES}", lambda found: _raised(found[1]), text)
        text = re.sub(rf"_\s*{_BRACES}", lambda found: f"_{_grouped(found[1])}", text)
        text = re.sub(rf"(?<![\\\w^_}}]){_BRACES}", r"\1", text)
    text = re.sub(r"\^(\\?\w)", lambda found: _raised(found[1]), text)
    text = re.sub(r"\\([a-zA-Z]+)\*?", lambda found: _SYMBOLS.get(found[1], found[1]), text)
    text = text.replace("⦃", "{").replace("⦄", "}").replace("&", " ")
    rows = re.split(r"\\\\(?:\[\w+\])?", text)
    plain = (re.sub(r"\s+", " ", re.sub(r"\\[,;!: ]", " ", row)).strip() for row in rows)
    return "\n".join(row for row in plain if row)


def _accented(found: re.Match[str]) -> str:
    accent = _ACCENTS.get(found[1])
    return found[0] if accent is None else (found[3] or found[4]) + accent


def _fraction(found: re.Match[str]) -> str:
    return f"{_grouped(found[1].strip())}/{_grouped(found[2].strip())}"


def _grouped(text: str) -> str:
    """Return a part of a formula in parentheses, unless it is one sign or word."""
    return text if re.fullmatch(r"\\?\w+", text) else f"({text})"


def _raised(text: str) -> str:
    raised = text.translate(_POWERS)
    return (
        f"^{_grouped(text)}" if any(one.isalnum() and one.isascii() for one in raised) else raised
    )
