"""The table of words in hospitals' names, and the search for them: the longest phrase first."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from receiver.selection.patterns import Patterns
from receiver.selection.tokens import tokens_of
from schema.errors import SettingsError
from schema.rule_files import Table, read_table

SHIPPED_WORDS: Final = Path(__file__).with_name("words.toml")
LONGEST: Final = 8  # tokens of a phrase
CACHED: Final = 4096  # names; the slices of a series share theirs


class Kind(StrEnum):
    """What a word says; words.toml explains each."""

    IGNORED = "ignored"
    HEAD = "head"
    HEAD_PART = "head_part"
    BODY = "body"
    WHOLE_BODY = "whole_body"
    DENIAL = "denial"
    WEAK_DENIAL = "weak_denial"
    DENIAL_AFTER = "denial_after"
    WITH = "with"
    AND = "and"
    AGENT = "agent"
    PLAIN = "plain"
    ENHANCED = "enhanced"
    NO_AGENT = "no_agent"
    NOT_VASCULAR = "not_vascular"
    PERFUSION = "perfusion"
    MAP = "map"
    MONO_ENERGETIC = "mono_energetic"
    LOCALIZER = "localizer"
    REPORT = "report"
    RENDERING = "rendering"
    REFORMAT = "reformat"
    BONE = "bone"
    MOTION = "motion"
    PHANTOM = "phantom"
    CONE_BEAM = "cone_beam"


class Sharpness(StrEnum):
    """How sharp a reconstruction is, as far as its kernel's name tells."""

    SOFT = "soft"
    MEDIUM = "medium"
    SHARP = "sharp"
    UNKNOWN = "unknown"


Text = Annotated[str, Field(min_length=1)]
AsKind = Annotated[Kind, BeforeValidator(lambda value: Kind(value))]
AsSharpness = Annotated[Sharpness, BeforeValidator(lambda value: Sharpness(value))]


class Entry(Table):
    """Words of one kind, with names they are found in, and names that only look alike."""

    kind: AsKind
    words: Annotated[list[Text], Field(min_length=1)]
    examples: Annotated[list[Text], Field(min_length=1)]
    not_in: list[Text] = Field(default_factory=list)


class KernelEntry(Table):
    """Convolution kernels (0018,1210) of one vendor and sharpness."""

    vendor: Text
    sharpness: AsSharpness
    patterns: Patterns
    examples: Annotated[list[Text], Field(min_length=1)]


class WordFile(Table):
    """One file of words: the shipped one, or what a site adds."""

    version: Annotated[str, Field(min_length=1, max_length=24)]
    entries: list[Entry] = Field(default_factory=list)
    kernels: list[KernelEntry] = Field(default_factory=list)


@dataclass(frozen=True)
class Mark:
    """A word of the table in a name.

    Attributes
    ----------
    kinds
        What it may say; `no` before a word and after one are two things.
    text
        As the name's own tokens have it.
    start, stop
        Its first token and the one after its last.
    last
        Whether the name ends with it.
    """

    kinds: frozenset[Kind]
    text: str
    start: int
    stop: int
    last: bool


@dataclass(frozen=True)
class _Phrase:
    """The tokens of a table's word; a star stands for any rest of a token."""

    tokens: tuple[str, ...]
    kinds: frozenset[Kind]

    @cached_property
    def literals(self) -> int:
        """How many signs are spelled out: of two phrases that fit, the fuller one is meant."""
        return sum(len(token.strip("*")) for token in self.tokens)

    def fits(self, tokens: Sequence[str]) -> bool:
        """Say whether a name's tokens begin with this phrase."""
        return len(tokens) >= len(self.tokens) and all(map(_fits, self.tokens, tokens))


class Words:
    """All words of one or more files; what a site adds stands beside the shipped ones."""

    def __init__(self, files: Sequence[WordFile]) -> None:
        self.version = "+".join(file.version for file in files)
        self.entries = [entry for file in files for entry in file.entries]
        self.kernels = [entry for file in reversed(files) for entry in file.kernels]
        self._phrases: dict[str, list[_Phrase]] = defaultdict(list)
        for phrase in _phrases(self.entries):
            self._phrases[phrase.tokens[0][0]].append(phrase)  # by first sign; `*` fits any
        self.marks_in = lru_cache(CACHED)(self._marks_in)

    def _marks_in(self, name: str) -> tuple[Mark, ...]:
        """Find the table's words in a name from left to right, each token once."""
        tokens, marks, at = tokens_of(name), [], 0
        while at < len(tokens):
            phrase = self._longest(tokens[at : at + LONGEST])
            if phrase is None:
                at += 1
                continue
            stop = at + len(phrase.tokens)
            text, last = " ".join(tokens[at:stop]), stop == len(tokens)
            marks.append(Mark(phrase.kinds, text, at, stop, last))
            at = stop
        return tuple(marks)

    def sharpness_of(self, kernel: str) -> Sharpness:
        """Rank a kernel; of several values, as Siemens writes with ADMIRE, the first names it."""
        name = kernel.split("\\")[0].strip()
        hits = (entry.sharpness for entry in self.kernels if entry.patterns.search(name))
        return next(hits, Sharpness.UNKNOWN)

    def _longest(self, tokens: Sequence[str]) -> _Phrase | None:
        known = (*self._phrases.get(tokens[0][0], ()), *self._phrases.get("*", ()))
        fitting = [phrase for phrase in known if phrase.fits(tokens)]
        return max(fitting, key=lambda entry: (len(entry.tokens), entry.literals), default=None)


def load_words(path: Path | None = None) -> Words:
    """Read the shipped words and, beside them, those of a site.

    Raises
    ------
    SettingsError
        If a file is missing or no TOML, has an unknown, missing or bad value, or if an example of
        the site is not read as it says.
    """
    if path is None:
        return Words([_read(SHIPPED_WORDS)])
    own = _read(path)
    words = Words([_read(SHIPPED_WORDS), own])
    for wrong in wrong_examples(words, own):
        raise SettingsError(f"{path}: {wrong}")
    return words


def wrong_examples(words: Words, file: WordFile) -> list[str]:
    """List the examples of a file that are not read as they say."""
    wrong = []
    for entry in file.entries:
        for name in (*entry.examples, *entry.not_in):
            is_found = any(entry.kind in mark.kinds for mark in words.marks_in(name))
            if is_found != (name in entry.examples):
                wrong.append(f"{name!r} is {'' if is_found else 'not '}read as {entry.kind}")
    for kernel in file.kernels:
        for name in kernel.examples:
            if (rank := words.sharpness_of(name)) is not kernel.sharpness:
                wrong.append(f"kernel {name!r} is read as {rank}, not {kernel.sharpness}")
    return wrong


def _read(path: Path) -> WordFile:
    return read_table(WordFile, path, "the table of words")


def _phrases(entries: Iterable[Entry]) -> Iterable[_Phrase]:
    kinds: dict[tuple[str, ...], set[Kind]] = defaultdict(set)
    for entry in entries:
        for word in entry.words:
            kinds[_phrase_tokens(word)].add(entry.kind)
    return [_Phrase(tokens, frozenset(found)) for tokens, found in kinds.items()]


def _phrase_tokens(word: str) -> tuple[str, ...]:
    tokens: list[str] = []
    for part in word.split():
        inner = tokens_of(part.strip("*"))
        if inner and part.startswith("*"):
            inner[0] = "*" + inner[0]
        if inner and part.endswith("*"):
            inner[-1] += "*"
        tokens += inner
    if not tokens:
        raise SettingsError(f"the word {word!r} has neither letter, number nor sign; leave it out")
    return tuple(tokens)


def _fits(pattern: str, token: str) -> bool:
    literal = pattern.strip("*")
    if pattern.startswith("*"):
        return literal in token if pattern.endswith("*") else token.endswith(literal)
    return token.startswith(literal) if pattern.endswith("*") else token == literal
