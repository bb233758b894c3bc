"""The text in which components and their parameters are written.

::

    chain      = component *( "/" component )
    component  = NAME [ ":" ( VALUE [ "," settings ] | settings ) ]
    settings   = KEY "=" VALUE *( "," KEY "=" VALUE )
    list       = NAME [ ":" VALUE ] *( "," NAME [ ":" VALUE ] )

``nnm:f=3/krum`` is a chain, ``dirichlet:0.5`` a component with a lone value,
``csv:iris.csv,label=species`` one with a value and settings, ``streams=2000`` are settings,
``kill:0.2,pause:0.1`` is a list. Spaces around names, keys and values do not count.

What names there are, which keys each takes and which values a key may have is not known here: see
``fedsiege.registry``.
"""

from collections.abc import Iterator

from fedsiege.errors import InvalidValue

#: Between the components of a chain.
SEPARATOR = "/"


def chain(text: str) -> list[str]:
    """Return the texts of the components of a chain, at least one."""
    return [part.strip() for part in text.split(SEPARATOR)]


def component(text: str) -> tuple[str, str | None]:
    """Return the name of a component and what is behind its colon, None where there is no colon."""
    return _halves(text, ":")


def pairs(about: str, text: str, mark: str) -> Iterator[tuple[str, str | None]]:
    """Yield the names of ``NAME<mark>VALUE,NAME<mark>VALUE`` with their values, in order.

    Args:
        about: what the text is about, for the error.
        text: an empty text has no pairs.
        mark: ``=`` for settings, ``:`` for a list.

    Yields:
        A name and its value, which is None where there is no mark. Between two commas both are
        missing: the name is empty, and the caller decides whether that is allowed.

    Raises:
        InvalidValue: a name is given twice.
    """
    seen: dict[str, str | None] = {}
    for part in text.split(",") if text.strip() else ():
        name, value = _halves(part, mark)
        if name and name in seen:
            first = f", first as {seen[name]}" if seen[name] else ""
            raise InvalidValue(f"{about}:{name}", value, f"given twice{first}")
        seen[name] = value
        yield name, value


def _halves(text: str, mark: str) -> tuple[str, str | None]:
    """Return what is before and behind the first mark, without spaces around."""
    name, found, value = text.partition(mark)
    return name.strip(), value.strip() if found else None
