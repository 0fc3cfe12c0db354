"""What the attributes of a series prove against it: class, image type, device, values and kernel.

Every check takes one header that stands for its stack, and gives a reason or None. A name alone
proves nothing (hints.py); it only says of an image that is derived anyway how it was derived.
"""

from collections.abc import Callable
from typing import Final

from receiver.instance.header import Header
from receiver.selection.names import ROUTINE_KEV, energy_kev, read
from receiver.selection.region import region_hint
from receiver.selection.rules import SelectionRules
from receiver.selection.words import Kind, Sharpness
from schema.dicom import ANALYSED_CLASSES, MAP_RESCALE_TYPES, may_be_hounsfield
from schema.reason_words import ANOTHER_PART, SHARP_KERNEL


def is_image(header: Header) -> bool:
    """Say whether an object is a CT image at all; without a modality its class decides."""
    return header.identity.sop_class_uid in ANALYSED_CLASSES and header.modality in ("CT", "")


def not_ct(header: Header, _rules: SelectionRules) -> str | None:
    """Refuse what is no CT image: dose reports, screen captures, other modalities."""
    if header.identity.sop_class_uid not in ANALYSED_CLASSES:
        return f"not a CT image (SOP class {header.identity.sop_class_uid})"
    return None if is_image(header) else f"modality is {header.modality}, not CT"


def localizer(header: Header, rules: SelectionRules) -> str | None:
    """Refuse scouts."""
    value = _image_type(header, rules.image_types.localizer)
    return f"image type {value}" if value else None


def quality_control(header: Header, _rules: SelectionRules) -> str | None:
    """Refuse images of quality control."""
    return "a quality control image" if header.quality_control.upper() in ("YES", "BOTH") else None


def burned_in(header: Header, _rules: SelectionRules) -> str | None:
    """Refuse pictures of pictures."""
    return "burned-in annotation" if header.burned_in.upper() == "YES" else None


def not_axial_values(header: Header, rules: SelectionRules) -> str | None:
    """Refuse projections, renderings, maps and reports by their image type."""
    value = _image_type(header, rules.image_types.refused)
    return f"derived image, {value}" if value else None


def derived_by_name(header: Header, rules: SelectionRules) -> str | None:
    """Refuse what says that it is derived, where its name says what it was made into.

    An average of slices and a plain head are none of that: a thick series of thin ones is derived,
    often all that an archive keeps, and may name the `3D` or the perfusion of its examination.
    """
    own = read(rules.words, header.series_description)
    averages = any(value in header.image_type for value in rules.image_types.averaged)
    plain = own.word(Kind.HEAD) and own.contrast.denied and not own.contrast.given
    if header.image_type[:1] != ("DERIVED",) or averages or plain:
        return None
    energy = energy_kev(header.series_description) if own.word(Kind.MONO_ENERGETIC) else None
    made = (Kind.RENDERING, Kind.REPORT, Kind.PERFUSION)
    if word := own.word(*made, *(() if energy in ROUTINE_KEV else (Kind.MAP,))):
        return f"derived image, {word!r} by its name"
    if energy is not None and energy not in ROUTINE_KEV:
        return f"derived image, a virtual energy of {energy} keV"
    return None


def cone_beam(header: Header, rules: SelectionRules) -> str | None:
    """Refuse flat-panel scans: by their device, or by name where no CT kernel contradicts it."""
    device = header.device.upper().strip()
    if any(device.startswith(prefix) for prefix in rules.devices.cone_beam):
        return f"a cone-beam image of {header.device}, whose values are no reliable HU"
    word = read(rules.words, header.series_description).word(Kind.CONE_BEAM)
    if word and rules.words.sharpness_of(header.kernel) is Sharpness.UNKNOWN:
        return f"a cone-beam image by its name ({word!r}), with no kernel of a CT scanner"
    return None


def not_hounsfield(header: Header, _rules: SelectionRules) -> str | None:
    """Refuse values of another kind; those of a kind that nobody knows may be a head's."""
    kind = header.rescale_type
    if may_be_hounsfield(kind):
        return None
    is_map = kind.strip().upper() in MAP_RESCALE_TYPES
    return f"a map of {kind}, not HU" if is_map else f"values are {kind}, not HU"


def sharp_kernel(header: Header, rules: SelectionRules) -> str | None:
    """Refuse bone and edge kernels; one that no table knows only lacks the points of a soft one."""
    if rules.words.sharpness_of(header.kernel) is not Sharpness.SHARP:
        return None
    region = region_hint(header, rules)
    elsewhere = region is not None and region[1] < rules.hints.head_and_more
    return f"{SHARP_KERNEL} {header.kernel}" + (f" {ANOTHER_PART}" if elsewhere else "")


def _image_type(header: Header, unwanted: list[str]) -> str:
    return next((value for value in unwanted if value in header.image_type), "")


Check = Callable[[Header, SelectionRules], str | None]
LABEL_CHECKS: Final[tuple[Check, ...]] = (
    not_ct, localizer, quality_control, burned_in, not_axial_values, derived_by_name, cone_beam,
    not_hounsfield, sharp_kernel,
)  # fmt: skip
