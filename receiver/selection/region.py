"""Which part of the body a series shows, as far as its names tell; the body part is often wrong."""

from dataclasses import dataclass

from receiver.instance.header import Header
from receiver.selection.names import read
from receiver.selection.rules import SelectionRules
from receiver.selection.words import Kind, Words


@dataclass(frozen=True)
class Region:
    """What one name says.

    Attributes
    ----------
    source
        Which name it is.
    head, elsewhere
        The words that name the head, and another part: `Head^Sinus` has both.
    part_of_head
        Whether the other part is one of the head: sinuses, orbits, facial bones.
    """

    source: str
    head: str
    elsewhere: str
    part_of_head: bool


def region_hint(header: Header, rules: SelectionRules) -> tuple[str, float] | None:
    """Weigh the names from the most to the least specific; the first that names a part counts most.

    The series description is written for this series. A protocol is shared by all reconstructions
    of a scan, the body part often by the whole examination. In the protocol `Head^Sinus` the head
    is the folder and the sinus the examination.
    """
    weights = rules.hints
    regions = regions_of(header, rules.words)
    if not regions:
        return _whole_body(header, rules)
    first = regions[0]
    if first.head and not first.elsewhere:
        return f"names the head ({first.head!r} in its {first.source})", weights.head
    where = f"{first.elsewhere!r} in its {first.source}"
    if first.head and not (first.part_of_head and first.source == "protocol"):
        return f"head and more ({where})", weights.head_and_more
    if any(region.head for region in regions):
        weight = weights.part_of_head if first.part_of_head else weights.elsewhere
        return f"perhaps not the brain ({where})", weight
    return f"not the brain by any of its names ({where})", weights.all_elsewhere


def regions_of(header: Header, words: Words) -> list[Region]:
    """List what each name says of a region, leaving out names that say nothing."""
    named = (
        ("description", header.series_description),
        ("protocol", header.protocol_name),
        ("body part", header.body_part),
        ("study's description", header.study_description),
    )
    regions = [_region(source, text, words) for source, text in named]
    return [region for region in regions if region.head or region.elsewhere]


def _region(source: str, text: str, words: Words) -> Region:
    reading = read(words, text)
    part, body = reading.word(Kind.HEAD_PART), reading.word(Kind.BODY)
    return Region(source, reading.word(Kind.HEAD), part or body, bool(part))


def _whole_body(header: Header, rules: SelectionRules) -> tuple[str, float] | None:
    """Weigh a scan of the whole body, which has series of the head among others."""
    texts = (header.series_description, header.protocol_name, header.body_part)
    for text in (*texts, header.study_description):
        if word := read(rules.words, text).word(Kind.WHOLE_BODY):
            return f"whole body ({word!r}), and nothing names the head", rules.hints.whole_body
    return None
