"""Plotly's script as its package brings it, without what our charts never draw: maps, three dimensions and more.

The script is one closure of statements, as esbuild writes it: most are `var NAME=LAZY((exports,module)=>{...});`, a
module that runs when `NAME()` is first called. The kinds of traces are all named in one call, `X.register([A(),B()])`.
Where only ours are left in it, what can no longer be reached from the closure's own statements is left out.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from functools import cache

KINDS = ("bar", "heatmap")
"""Traces in our figures; `scatter` belongs to Plotly's core."""
_log = logging.getLogger(__name__)
_BEGIN = "var Plotly=(()=>{"
_PIECE = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | [(){}\[\]`;/]""", re.DOTALL | re.VERBOSE
)
_TEMPLATE = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*(`|\$\{)", re.DOTALL)
_EXPRESSION = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/")
_BEFORE_EXPRESSION = re.compile(
    r"(?:[(,=:\[!&|?{};+\-*%^~<>]|(?<![\w$.])(?:return|typeof|case|in|of|delete|void|throw|new|else|do))\s*\Z"
)
"""What a slash may follow that begins a regular expression; after anything else it divides."""
_NEXT_STATEMENT = re.compile(r"\s*(?:async )?function\b|(?:class|var|let|const) ")
_PAIRS = {")": "(", "]": "[", "}": "{"}
_HELPERS = {
    "module": r"([\w$]+)=\(\w+,\w+\)=>\(\)=>(?:(?!var ).){,60}exports:\{\}",
    "lazy": r"([\w$]+)=\(\w+,\w+(?:,\w+)?\)=>\(\)=>(?:(?!var ).){,60}=\w+\(\w+=0\)",
    "names": r"([\w$]+)=\(\w+,\w+\)=>\{for\(var \w+ in \w+\)[\w$]+\(\w+,\w+,\{get:",
}
"""esbuild's functions, which have other names in each version: a module, a lazy part, and the names of such a part."""
_HELPERS_WITHIN = 5000
_FUNCTION = re.compile(r"\s*(?:(?:async )?function\*? ?([\w$]+)|class ([\w$]+))")
_REGISTER = re.compile(r"\.register\(\[((?:[\w$]+\(\),?){20,})\]\)")
_ALIAS = re.compile(r"\.exports=([\w$]+)\(\)\}\);")
_NAME = re.compile(r"[A-Za-z_$][\w$]*")
_CALL = re.compile(r"([\w$]+)\(\)")


class UnknownScriptError(Exception):
    """Plotly's script is not written as expected."""


@cache
def plotly_script() -> str:
    """Plotly's script with what our charts need; the whole script where it is not written as expected.

    The first time it takes about a second.
    """
    from plotly.offline import get_plotlyjs

    whole = str(get_plotlyjs())
    try:
        return smaller_script(whole)
    except UnknownScriptError as error:
        _log.warning("Plotly's script is used whole: %s", error)
        return whole


def smaller_script(whole: str) -> str:
    """The script with the traces of `KINDS` and `scatter` alone, and what these need.

    Raises
    ------
    UnknownScriptError
        If the script is not written as described above.
    """
    begin = whole.find(_BEGIN) + len(_BEGIN)
    if begin < len(_BEGIN):
        raise UnknownScriptError("its closure was not found")
    ends = list(_statement_ends(whole, begin))
    statements = [whole[start:end] for start, end in zip([begin, *ends[:-1]], ends, strict=True)]
    found = _Statements(statements, _helper_names(whole[begin : begin + _HELPERS_WITHIN]))
    found.register_only(KINDS)
    needed = "".join(found.needed())
    for kind in ("scatter", *KINDS):
        if not _named(kind, needed):
            raise UnknownScriptError(f"its {kind} traces were not found")
    return whole[:begin] + needed + whole[ends[-1] :]


def _helper_names(head: str) -> dict[str, str]:
    found = {name: re.search(pattern, head) for name, pattern in _HELPERS.items()}
    if missing := [name for name, match in found.items() if match is None]:
        raise UnknownScriptError(f"no function for {' and '.join(missing)} was found")
    return {name: re.escape(match[1]) for name, match in found.items() if match is not None}


def _statement_ends(script: str, at: int) -> Iterator[int]:
    """Where each statement of the closure that begins here ends; the last one ends with the closure."""
    opened: list[str] = []
    while piece := _PIECE.search(script, at):
        mark, at = piece[0], piece.end()
        if mark in _PAIRS:
            if not opened:
                yield piece.start()
                return
            before = opened.pop()
            if before == "`":
                at = _template_end(script, at, opened)
            elif before != _PAIRS[mark]:
                raise UnknownScriptError(f"the brackets at {at} do not match")
            elif mark == "}" and not opened and _NEXT_STATEMENT.match(script, at):
                yield at
        elif mark == "`":
            at = _template_end(script, at, opened)
        elif mark == "/":
            if _BEFORE_EXPRESSION.search(script, max(0, at - 12), at - 1):
                expression = _EXPRESSION.match(script, at - 1)
                if expression is None:
                    raise UnknownScriptError(f"the regular expression at {at} does not end")
                at = expression.end()
        elif mark == ";":
            if not opened:
                yield at
        elif len(mark) == 1:
            opened.append(mark)
    raise UnknownScriptError("its closure does not end")


def _template_end(script: str, at: int, opened: list[str]) -> int:
    """Past the template, or past the beginning of what is put into it, which ends with a bracket."""
    part = _TEMPLATE.match(script, at)
    if part is None:
        raise UnknownScriptError(f"the template at {at} does not end")
    if part[1] == "${":
        opened.append("`")
    return part.end()


def _named(kind: str, text: str) -> bool:
    return re.search(rf'\bname[:=]"{kind}"', text) is not None


class _Statements:
    """The closure's statements, and which of them are needed where a name is used."""

    def __init__(self, statements: list[str], helpers: dict[str, str]) -> None:
        self._all = statements
        self._lazy: dict[str, int] = {}
        self._functions: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self._always: list[int] = []
        lazy = re.compile(rf"\s*var (?:[\w$]+,)*([\w$]+)=(?:{helpers['module']}|{helpers['lazy']})\(")
        names = re.compile(rf"\s*{helpers['names']}\(([\w$]+),")
        for number, statement in enumerate(statements):
            if match := lazy.match(statement):
                self._lazy[match[1]] = number
            elif match := _FUNCTION.match(statement):
                self._functions[match[1] or match[2]] = number
            elif match := names.match(statement):
                self._names[match[1]] = number
            else:
                self._always.append(number)

    def register_only(self, kinds: tuple[str, ...]) -> None:
        """Take all other kinds of traces out of the call that names them."""
        found = [(number, match) for number in self._lazy.values() if (match := _REGISTER.search(self._all[number]))]
        if len(found) != 1:
            raise UnknownScriptError(f"its kinds of traces are named in {len(found)} places")
        number, match = found[0]
        kept = [name for name in _CALL.findall(match[1]) if any(_named(kind, self._module(name)) for kind in kinds)]
        if len(kept) != len(kinds):
            raise UnknownScriptError(f"of the kinds {', '.join(kinds)} {len(kept)} were found")
        statement = self._all[number]
        calls = ",".join(f"{name}()" for name in kept)
        self._all[number] = statement[: match.start(1)] + calls + statement[match.end(1) :]

    def _module(self, name: str) -> str:
        """A module's text; of one that only passes on another, that one's."""
        if name not in self._lazy:
            raise UnknownScriptError(f"its module {name} was not found")
        text = self._all[self._lazy[name]]
        alias = _ALIAS.search(text[-40:])
        return self._all[self._lazy[alias[1]]] if alias and alias[1] in self._lazy else text

    def needed(self) -> list[str]:
        """The statements that can be reached from those that always run, in their order."""
        reached = set(self._always)
        ahead = list(self._always)
        while ahead:
            text = self._all[ahead.pop()]
            called = {self._lazy[name] for name in _CALL.findall(text) if name in self._lazy}
            used = set(_NAME.findall(text))
            for known in (self._functions, self._names):
                called |= {known[name] for name in used & known.keys()}
            ahead += called - reached
            reached |= called
        return [self._all[number] for number in sorted(reached)]
