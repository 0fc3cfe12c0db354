"""Which part of the body a series shows, as far as its names tell; the body part is often wrong."""

from dataclasses import dataclass

from receiver.catalogue.header import Header
from receiver.selection.labels import found
from receiver.selection.rules import SelectionRules


@dataclass(frozen=True)
class Anatomy:
    """What the names say.

    Attributes
    ----------
    head
        Whether any of them names the head.
    elsewhere
        The word, with its source, that places the series elsewhere; empty if nothing does.
    """

    head: bool
    elsewhere: str = ""


def anatomy_of(header: Header, rules: SelectionRules) -> Anatomy:
    """Read the names from the most to the least specific; the first that names a part decides.

    The series description is written for this series. A protocol is shared by all reconstructions
    of a scan, the body part often by the whole examination. A scan of the whole body has series of
    the head among others, so that word only counts where nothing names a part.
    """
    names = rules.names
    own = header.series_description
    if found(names.head, own):
        return Anatomy(head=True)
    elsewhere = found(names.not_brain, own) or found(names.body, own)
    if elsewhere:
        return Anatomy(head=False, elsewhere=f"{elsewhere!r} in its description")
    part = found(names.not_brain, header.protocol_name)
    if part:  # also in `Head^Sinus`, where the head is only the region
        return Anatomy(head=False, elsewhere=f"{part!r} in its protocol")
    return _shared_names(header, rules) or _whole_body(header, rules)


def _shared_names(header: Header, rules: SelectionRules) -> Anatomy | None:
    names = rules.names
    for source, text in (
        ("its protocol", header.protocol_name),
        ("its body part", header.body_part),
        ("the study's description", header.study_description),
    ):
        if found(names.head, text):
            return Anatomy(head=True)
        elsewhere = found(names.not_brain, text) or found(names.body, text)
        if elsewhere:
            return Anatomy(head=False, elsewhere=f"{elsewhere!r} in {source}")
    return None


def _whole_body(header: Header, rules: SelectionRules) -> Anatomy:
    texts = (
        header.series_description,
        header.protocol_name,
        header.body_part,
        header.study_description,
    )
    word = found(rules.names.whole_body, *texts)
    return Anatomy(head=False, elsewhere=f"{word!r}, and nothing names the head" if word else "")


def other_anatomy(header: Header, rules: SelectionRules) -> str | None:
    """Refuse what its names place outside of the brain."""
    elsewhere = anatomy_of(header, rules).elsewhere
    return f"not the brain ({elsewhere})" if elsewhere else None
