"""Text of a peer made safe to print: one printable line of bounded length.

It is used wherever text of a peer reaches a log, a note, an error, a table or the screen. Escape
sequences would control the terminal, and a line break could forge a line of a log.
"""

#: The most characters of a peer's text to print.
LONGEST = 300


def plain(text: str, longest: int = LONGEST) -> str:
    """Return a text with unprintable characters escaped, cut to a length.

    Args:
        text: the text of a peer.
        longest: the most characters to keep, 1 or more; if there are more, their number follows.
    """
    kept = text[:longest]
    if not kept.isprintable():
        kept = "".join(one if one.isprintable() else _escaped(one) for one in kept)[:longest]
    return kept if len(text) <= longest else f"{kept}… ({len(text)} characters)"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
