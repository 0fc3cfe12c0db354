"""Names of people as hospitals write them: the same in other letters, in part, or another."""

import re
import unicodedata
from collections.abc import Callable
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Final

COMPONENTS: Final = 3  # family, given and middle name; titles come and go (PS3.5 section 6.2.1)
ALIKE: Final = 0.75  # of the letters, for a name that was spelt wrong
LETTERS: Final = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "œ": "oe"})
GARBLED: Final = re.compile("[?\N{REPLACEMENT CHARACTER}]")
NAMELESS: Final = "NAMELESS"  # letters without a name of their own in Unicode, such as Tangut's
WORD: Final = re.compile(r"[^\W_]+")


class NameMatch(StrEnum):
    """What two names are to each other."""

    SAME = "SAME"  # but for case, accents, order, titles and punctuation
    PART = "PART"  # one says less: without a given name, or with its first letter
    ALIKE = "ALIKE"  # a slip of the pen, or another family name
    OTHER = "OTHER"
    UNKNOWN = "UNKNOWN"  # a placeholder, or scripts that cannot be compared


def without_accents(text: str) -> str:
    """Write a text without case and accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold()).translate(LETTERS)
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign))


def fold(text: str) -> str:
    """Write a text without case and accents, however its umlauts are written."""
    plain = without_accents(text)
    for written, letter in (("ae", "a"), ("oe", "o"), ("ue", "u")):
        plain = plain.replace(written, letter)
    return plain


# What stands in the place of a name until somebody knows it.
PLACEHOLDERS: Final = frozenset(
    fold(
        """
        unknown unbekannt unbekannte unbekannter unbek inconnu inconnue desconocido desconocida
        sconosciuto sconosciuta desconhecido onbekend ukendt ukjent okänd tuntematon neznámý
        nieznany ismeretlen necunoscut неизвестный неизвестная bilinmeyen
        不明 身元不明 氏名不詳 无名 無名 무명 무명남 무명녀
        trauma polytrauma schockraum notfall emergency emergencia urgence urgencia
        noname anonymous anonym unidentified unnamed
        """
    ).split()
)
DOE: Final = tuple(frozenset(name.split()) for name in ("john doe", "jane doe", "doe"))
FILLER: Final = re.compile(r"\d+|([a-z])\1*")  # XXX; a sign of Chinese is a name


def is_placeholder(name: str) -> bool:
    """Say whether nobody knew the patient's name, or nobody wrote it."""
    named = _named(name, fold)
    # Folded, the family names Do and Doe are the same.
    return not named or bool(named & PLACEHOLDERS) or _named(name, without_accents) in DOE


def _named(name: str, write: Callable[[str], str]) -> set[str]:
    words = {word for group in name.split("=") for word in words_of(group, write)}
    return {word for word in words if not FILLER.fullmatch(word)}


def match_names(first: str, second: str) -> NameMatch:
    """Compare two values of VR PN, representation by representation (PS3.5 section 6.2.1)."""
    if is_placeholder(first) or is_placeholder(second):
        return NameMatch.UNKNOWN
    found = {
        _match(words_of(a), words_of(b))
        for a in first.split("=")
        for b in second.split("=")
        if _script(a) and _script(a) == _script(b)
    }
    best = next((match for match in NameMatch if match in found), NameMatch.UNKNOWN)
    garbled = GARBLED.search(first) or GARBLED.search(second)
    unsure = best in (NameMatch.ALIKE, NameMatch.OTHER) and garbled
    return NameMatch.UNKNOWN if unsure else best


def words_of(group: str, write: Callable[[str], str] = fold) -> list[str]:
    """Take one representation of a name apart, without case, accents and titles."""
    return WORD.findall(write("^".join(_repaired(group).split("^")[:COMPONENTS])))


def _repaired(group: str) -> str:
    """Undo UTF-8 that was read as Latin-1, as a wrong Specific Character Set makes it."""
    try:
        return group.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return group


def _match(first: list[str], second: list[str]) -> NameMatch:
    if sorted(first) == sorted(second) or "".join(first) == "".join(second):
        return NameMatch.SAME
    if _is_part(first, second) or _is_part(second, first):
        return NameMatch.PART
    shared = {word for word in set(first) & set(second) if len(word) > 1}
    if shared or SequenceMatcher(None, "".join(first), "".join(second)).ratio() >= ALIKE:
        return NameMatch.ALIKE
    return NameMatch.OTHER


def _is_part(short: list[str], long: list[str]) -> bool:
    return bool(short) and short[0] in long and all(_is_said(word, long) for word in short)


def _is_said(word: str, words: list[str]) -> bool:
    return word in words or (len(word) == 1 and any(each.startswith(word) for each in words))


def _script(group: str) -> str:
    """Name the script of a representation by its first letter; empty if it has none."""
    letter = next((sign for sign in fold(_repaired(group)) if sign.isalpha()), "")
    script = (unicodedata.name(letter, "") or NAMELESS).split()[0] if letter else ""
    return "KANA" if script in ("HIRAGANA", "KATAKANA") else script
