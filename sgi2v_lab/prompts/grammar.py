"""A small language for pictures that the toy's world can draw: words -> objects, relations, background.

`GRAMMAR` is the language. Capitals and punctuation other than commas do not matter; "gray", "center", "photograph" and
"big" are known too. An object's second colour is its texture's ("red white striped circle"); a background has at most
three. `A left of B above C` relates A to B and B to C.
"""

import difflib
import re
from dataclasses import dataclass, field

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput, VisitError

from sgi2v_lab.errors import InputError
from sgi2v_lab.toy.world.scenes import BACKGROUNDS, COLOURS, SHAPES, TEXTURES

__all__ = ["Item", "Picture", "read_prompt"]

GRAMMAR = """
    picture:    _clause (("and" | "," "and"?) _clause)* ("on" background)?
    _clause:    between | chain
    between:    item "between" item "and" item
    chain:      item (relation item)*
    item:       object [("in" | "at" | "on")? _ARTICLE? place]
    object:     _ARTICLE? (SIZE | TEXTURE | SURFACE | COLOUR)* SHAPE
    relation:   ("to" | "on" | "at")? _ARTICLE? SIDE "of" | VERTICAL
    place:      ROW SIDE? | SIDE
    background: _ARTICLE? (COLOUR (("and" | ",")? COLOUR)* (GROUND | SURFACE)? | GROUND | SURFACE)
"""
SURFACES = [word for word in TEXTURES if word in BACKGROUNDS]  # of an object or of the background
WORDS = {
    "SHAPE": SHAPES,
    "COLOUR": COLOURS,
    "SIZE": ("small", "large"),
    "TEXTURE": [word for word in TEXTURES if word not in SURFACES],
    "GROUND": [word for word in BACKGROUNDS if word not in SURFACES],
    "SURFACE": SURFACES,
    "SIDE": ("left", "right"),
    "ROW": ("top", "bottom", "centre", "middle"),
    "VERTICAL": ("above", "below"),
    "_ARTICLE": ("a", "an", "the"),
}
JOINERS = ("and", "on", "in", "at", "of", "to", "between", ",")
COLUMNS = {"left": 0.24, "right": 0.76}
ROWS = {"top": 0.24, "bottom": 0.76}
RELATIONS = {"left": (0, 1), "right": (0, -1), "above": (1, 1), "below": (1, -1)}  # axis, and +1: the first is smaller
SYNONYMS = {"gray": "grey", "center": "centre", "photograph": "photo", "big": "large"}
LISTS = {  # as messages name them
    "shapes": SHAPES,
    "textures": TEXTURES,
    "colours": COLOURS,
    "sizes": WORDS["SIZE"],
    "relations": ("left of", "right of", "above", "below", "between ... and ..."),
    "places": (*COLUMNS, *WORDS["ROW"]),
    "backgrounds": BACKGROUNDS,
}
WANTED = {  # by what may come next
    "SHAPE": f"a shape ({', '.join(SHAPES)})",
    "ROW": f"a place ({', '.join(LISTS['places'])})",
    "VERTICAL": "a relation",
    "GROUND": f"a background (a colour, {', '.join(BACKGROUNDS)})",
    "AND": "'and'",
    "ON": "'on' with a background",
    "OF": "'of'",
    "$END": "the end",
}

_parser = Lark(
    GRAMMAR + "".join(rf"{kind}: /({'|'.join(words)})\b/" + "\n" for kind, words in WORDS.items()) + '%ignore " "\n',
    start="picture",
    parser="earley",
    lexer="basic",
)


@dataclass
class Item:
    """One object of a picture, in the prompt's words; `place` is its centre (x, y) in picture sides, if it has one."""

    shape: str
    name: str
    size: str = ""
    texture: str = "plain"
    colours: list[str] = field(default_factory=list)
    place: tuple[float, float] | None = None


@dataclass
class Picture:
    """What a prompt says. (axis, a, b) in `smaller`: on that axis (0: x), item a comes before item b."""

    objects: list[Item] = field(default_factory=list)
    smaller: list[tuple[int, int, int]] = field(default_factory=list)
    background: str = "plain"
    colours: list[str] = field(default_factory=list)


def read_prompt(prompt: str) -> Picture:
    """Read a prompt by the grammar above.

    Raises InputError for an unknown word (naming it, what is known and the nearest known word) and for known words in
    an order that the grammar does not have.
    """
    words = [SYNONYMS.get(word, word) for word in re.findall(r"[\w'-]+|,", prompt.lower())]
    known = {*JOINERS, *(word for kind in WORDS.values() for word in kind)}
    for word in words:
        if word not in known:
            raise InputError(_unknown(word, known))
    text = " ".join(words)
    try:
        return _Reader().transform(_parser.parse(text))
    except VisitError as error:
        raise error.orig_exc from None
    except UnexpectedInput as error:
        where = getattr(error, "token", None) or Token("$END", "")
        found = f"{where.value!r} (word {text[: where.start_pos].count(' ') + 1})" if where.value else "the end"
        wanted = " or ".join(what for kind, what in WANTED.items() if kind in error.expected)
        wanted = wanted or ", ".join(word for kind in error.expected for word in WORDS.get(kind, ()))
        raise InputError(f"cannot read the prompt {prompt!r}: found {found} where {wanted} was expected") from None


class _Reader(Transformer):
    """A picture from a prompt's parts, each method a rule of the grammar."""

    def __init__(self):
        super().__init__()
        self.found = Picture()

    def object(self, words: list[Token]) -> Item:
        item = Item(shape=str(words[-1]), name=" ".join(words))
        for word in words:
            match word.type:
                case "SIZE":
                    item.size = str(word)
                case "TEXTURE" | "SURFACE":
                    item.texture = str(word)
                case "COLOUR":
                    item.colours.append(str(word))
        if len(item.colours) > 2:
            colours = ", ".join(item.colours)
            raise InputError(f"an object has at most two colours, got {colours}; join objects with 'and'")
        return item

    def place(self, words: list[Token]) -> tuple[float, float]:
        return COLUMNS.get(words[-1], 0.5), ROWS.get(words[0], 0.5)

    @v_args(inline=True)
    def item(self, item: Item, place: tuple[float, float] | None) -> int:
        item.place = place
        self.found.objects.append(item)
        return len(self.found.objects) - 1

    def relation(self, words: list[Token]) -> tuple[int, int]:
        return RELATIONS[words[0]]

    def chain(self, parts: list) -> None:
        for first, (axis, sign), second in zip(parts[::2], parts[1::2], parts[2::2], strict=False):
            self.found.smaller.append((axis, first, second) if sign > 0 else (axis, second, first))

    @v_args(inline=True)
    def between(self, middle: int, left: int, right: int) -> None:
        self.found.smaller += [(0, left, middle), (0, middle, right)]

    def background(self, words: list[Token]) -> None:
        self.found.colours = [str(word) for word in words if word.type == "COLOUR"]
        self.found.background = next((str(word) for word in words if word.type != "COLOUR"), "plain")
        if len(self.found.colours) > 3:
            raise InputError(f"a background has at most three colours, got {', '.join(self.found.colours)}")

    def picture(self, _: list) -> Picture:
        return self.found


def _unknown(word: str, known: set[str]) -> str:
    near = difflib.get_close_matches(word, [w for w in known if len(w) > 1], n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}? " if near else ""
    listed = "; ".join(f"{kind}: {', '.join(words)}" for kind, words in LISTS.items())
    return f"unknown word {word!r} in the prompt; {hint}known are {listed}"
