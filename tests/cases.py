"""Runs one test for many cases in a loop: an item of pytest for each would cost more than the case.

``each`` takes the place of ``pytest.mark.parametrize`` where cases are cheap and many. Fixtures are
made once for all cases, so a case must leave them as it found them.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence

import pytest

Test = Callable[..., None]


def each(names: str | Sequence[str], values: Iterable[object]) -> Callable[[Test], Test]:
    """Run a test for each value of an argument; below another ``each``, for every combination.

    Every case that fails is reported, by its arguments, and the others run all the same. A case
    that is skipped is left out.

    Args:
        names: the argument, or several that each value is a tuple for.
        values: what it is given.
    """
    several = not isinstance(names, str)
    cases = [
        dict(zip(names, value, strict=True)) if several else {names: value} for value in values
    ]
    if not cases:
        raise ValueError(f"there is no case of {names}")

    def decorate(test: Test) -> Test:
        inner = getattr(test, "cases", [{}])
        bare = getattr(test, "bare", test)

        @functools.wraps(test)
        def loop(subtests: pytest.Subtests, **fixtures: object) -> None:
            for case in loop.cases:
                timed_out = False
                with subtests.test(_described(case)):
                    try:
                        bare(**fixtures, **case)
                    except pytest.fail.Exception as failure:
                        timed_out = "pytest-timeout" in str(failure)
                        raise
                if timed_out:  # the clock runs once; the next case might never end
                    return

        loop.bare = bare
        loop.cases = [outer | one for outer in cases for one in inner]
        given = [
            one
            for name, one in inspect.signature(bare).parameters.items()
            if name not in loop.cases[0]
        ]
        fixture = inspect.Parameter("subtests", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        loop.__signature__ = inspect.Signature([fixture, *given])
        return loop

    return decorate


def _described(case: dict[str, object]) -> str:
    """Return the arguments as text, functions and classes by their names."""
    return ", ".join(f"{k}={getattr(v, '__name__', None) or repr(v)[:80]}" for k, v in case.items())
