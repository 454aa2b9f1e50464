"""A small language for pictures that the toy's world can draw: words -> objects, relations, background.

The scene language, in EBNF (capitals and punctuation other than commas do not matter; "gray" and "center" are known):

    prompt     = clause, { ( "and" | "," ), clause }, [ "on", background ] ;
    clause     = item, "between", item, "and", item
               | item, { relation, item } ;
    item       = object, [ [ "in" | "at" | "on" ], place ] ;
    object     = [ article ], { size | texture | colour }, shape ;
    relation   = [ ( "to" | "on" | "at" ), [ article ] ], ( "left" | "right" ), "of"
               | "above" | "below" ;
    place      = [ article ], ( "top" | "bottom" | "centre" | "middle" | "left" | "right"
                              | ( "top" | "bottom" ), ( "left" | "right" ) ) ;
    background = [ article ], [ colour, { [ "and" | "," ], colour } ], [ "plain" | "clouds" | "tiles" | "photo" ] ;
    article    = "a" | "an" | "the" ;
    size       = "small" | "large" ;

Shapes, textures and colours are those of `toy.scenes`. An object's second colour is its texture's ("red white striped
circle"); a background has at most three. `A left of B above C` relates A to B and B to C.
"""

import difflib
import re
from dataclasses import dataclass, field

from sgi2v_lab.errors import InputError
from sgi2v_lab.toy.world.scenes import BACKGROUNDS, COLOURS, SHAPES, TEXTURES

__all__ = ["Item", "Picture", "read_prompt"]

SIZES = ("small", "large")
COLUMNS = {"left": 0.24, "right": 0.76}
ROWS = {"top": 0.24, "bottom": 0.76}
PLACES = (*COLUMNS, *ROWS, "centre", "middle")
RELATIONS = {"left": (0, 1), "right": (0, -1), "above": (1, 1), "below": (1, -1)}  # axis, and +1: the first is smaller
ARTICLES = ("a", "an", "the")
SYNONYMS = {"gray": "grey", "center": "centre", "photograph": "photo", "big": "large"}
JOINERS = ("and", "on", "in", "at", "of", "to", "between")


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
    return _Reader(prompt).read()


class _Reader:
    """A recursive-descent reader of the scene language: one method per rule of the grammar."""

    def __init__(self, prompt: str):
        self.prompt = prompt
        self.words = [SYNONYMS.get(w, w) for w in re.findall(r"[\w'-]+|,", prompt.lower())]
        self.at = 0
        self.picture = Picture()
        known = {*SHAPES, *TEXTURES, *BACKGROUNDS, *COLOURS, *SIZES, *PLACES, *RELATIONS, *ARTICLES, *JOINERS, ","}
        for word in self.words:
            if word not in known:
                raise InputError(_unknown(word, known))

    def peek(self, ahead: int = 0) -> str:
        return self.words[self.at + ahead] if self.at + ahead < len(self.words) else ""

    def take(self, *options: str) -> str:
        """The next word if it is one of the options, and move past it; otherwise the empty string."""
        if word := self.peek() if self.peek() in options else "":
            self.at += 1
        return word

    def fail(self, expected: str) -> InputError:
        found = f"{self.peek()!r} (word {self.at + 1})" if self.peek() else "the end"
        return InputError(f"cannot read the prompt {self.prompt!r}: found {found} where {expected} was expected")

    def read(self) -> Picture:
        self.clause()
        while self.take("and", ","):
            self.take("and")
            self.clause()
        if self.take("on"):
            self.background()
        if self.peek():
            raise self.fail("a relation, a place, 'and', or 'on' with a background")
        return self.picture

    def clause(self) -> None:
        first = self.item()
        if self.take("between"):
            second = self.item()
            if not self.take("and"):
                raise self.fail("'and' with the second object of 'between'")
            third = self.item()
            self.picture.smaller += [(0, second, first), (0, first, third)]
            return
        while relation := self.relation():
            axis, sign = RELATIONS[relation]
            second = self.item()
            self.picture.smaller.append((axis, first, second) if sign > 0 else (axis, second, first))
            first = second

    def relation(self) -> str:
        skip = 1 if self.peek() in ("to", "on", "at") else 0
        skip += 1 if self.peek(skip) in ARTICLES else 0
        if (side := self.peek(skip)) in ("left", "right") and self.peek(skip + 1) == "of":
            self.at += skip + 2
            return side
        return self.take("above", "below")

    def item(self) -> int:
        thing = self.thing()
        start = self.at
        self.take("in", "at", "on")
        self.take(*ARTICLES)
        row = self.take(*ROWS, "centre", "middle")
        column = self.take(*COLUMNS) if self.peek(1) != "of" else ""
        if row or column:
            thing.place = (COLUMNS.get(column, 0.5), ROWS.get(row, 0.5))
        elif self.words[start : start + 1] in (["in"], ["at"]):
            raise self.fail(f"a place ({', '.join(PLACES)})")
        else:
            self.at = start
        self.picture.objects.append(thing)
        return len(self.picture.objects) - 1

    def thing(self) -> Item:
        self.take(*ARTICLES)
        start, size, texture, colours = self.at, "", "plain", []
        while True:
            if word := self.take(*SIZES):
                size = word
            elif word := self.take(*TEXTURES):
                texture = word
            elif word := self.take(*COLOURS):
                colours.append(word)
            else:
                break
        if len(colours) > 2:
            raise InputError(f"an object has at most two colours, got {', '.join(colours)}; join objects with 'and'")
        shape = self.take(*SHAPES)
        if not shape:
            raise self.fail(f"a shape ({', '.join(SHAPES)})")
        return Item(shape, " ".join(self.words[start : self.at]), size, texture, colours)

    def background(self) -> None:
        self.take(*ARTICLES)
        while colour := self.take(*COLOURS):
            self.picture.colours.append(colour)
            if self.peek(1) in COLOURS:
                self.take("and", ",")
        kind = self.take(*BACKGROUNDS)
        if not kind and not self.picture.colours:
            raise self.fail(f"a background (a colour, {', '.join(BACKGROUNDS)})")
        if len(self.picture.colours) > 3:
            raise InputError(f"a background has at most three colours, got {', '.join(self.picture.colours)}")
        self.picture.background = kind or "plain"


def _unknown(word: str, known: set[str]) -> str:
    near = difflib.get_close_matches(word, [w for w in known if len(w) > 1], n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}? " if near else ""
    lists = {
        "shapes": SHAPES,
        "textures": TEXTURES,
        "colours": COLOURS,
        "sizes": ("small", "large"),
        "relations": ("left of", "right of", "above", "below", "between ... and ..."),
        "places": PLACES,
        "backgrounds": BACKGROUNDS,
    }
    listed = "; ".join(f"{kind}: {', '.join(words)}" for kind, words in lists.items())
    return f"unknown word {word!r} in the prompt; {hint}known are {listed}"
