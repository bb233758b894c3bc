"""Make a peer's text safe to show: one printable line of bounded length.

Used wherever a peer's text reaches a log, a note, an error, a table or the screen. A terminal would
obey escape sequences in it, and a line break would let it forge a line of a log.
"""

#: Characters of a peer's text that are shown.
LONGEST = 300


def plain(text: str, longest: int = LONGEST) -> str:
    """Return a text with what cannot be printed escaped, and cut if it is long.

    Args:
        text: what a peer said.
        longest: the characters that are kept, 1 or more; what was cut is counted behind them.
    """
    kept = text[:longest]
    if not kept.isprintable():
        kept = "".join(one if one.isprintable() else _escaped(one) for one in kept)[:longest]
    return kept if len(text) <= longest else f"{kept}… ({len(text)} characters)"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
