"""Take a name apart into words, the same way for the table and for what a scanner wrote."""

import re
import unicodedata
from typing import Final

# Letters that no Unicode decomposition takes apart.
PLAIN_LETTERS: Final = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "\u0131": "i", "&": " and "}
)
CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
CAMEL: Final = re.compile(r"(?<=[a-z]{2})(?=[A-Z][A-Za-z])|(?<=[A-Z]{2})(?=[A-Z][a-z]{2})")
# One sign of Chinese, Japanese or Korean, for they write no blanks; a run of letters, without a CT
# that somebody wrote before it; a number; or a sign that means something: `w/o`, `C+`, `C-`.
TOKEN: Final = re.compile(rf"[{CJK}]|ct(?=[^\W\d_{CJK}]{{4}})|[^\W\d_{CJK}]+|\d+(?:[.,]\d+)*|[+/-]")


def tokens_of(name: str) -> list[str]:
    """Split a name: case, accents and width do not matter, nor what separates the words.

    `HeadRoutine` is two words, `5MM` too. A hyphen counts only beside one word, as in `C-`: within
    a word it is a separator (`non-contrast`), between blanks a dash.
    """
    text = CAMEL.sub(" ", unicodedata.normalize("NFKC", name))
    text = _without_accents(text.casefold().translate(PLAIN_LETTERS))
    return [hit[0] for hit in TOKEN.finditer(text) if hit[0] != "-" or _is_sign(text, hit.start())]


def _without_accents(text: str) -> str:
    apart = unicodedata.normalize("NFD", text)
    kept = "".join(sign for sign in apart if unicodedata.category(sign) != "Mn")
    return unicodedata.normalize("NFC", kept)


def _is_sign(text: str, at: int) -> bool:
    before, after = text[at - 1 : at].isalnum(), text[at + 1 : at + 2].isalnum()
    return before != after
