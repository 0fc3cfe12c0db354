"""What the labels of a series say against it: class, image type, names, contrast and kernel.

Every check takes one header that stands for its stack, and gives a reason or None.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from receiver.catalogue.header import Header
from receiver.protocol.contexts import ANALYSED
from receiver.selection.rules import SelectionRules


class Kernel(StrEnum):
    """How sharp a reconstruction is, as far as its kernel's name tells."""

    SOFT = "soft"
    MEDIUM = "medium"
    SHARP = "sharp"
    UNKNOWN = "unknown"


def plain(text: str) -> str:
    """Separate the words of a name as scanners write them: `Head^01_Routine`."""
    return " ".join(re.sub(r"[_^\\]", " ", text).split())


def found(pattern: re.Pattern[str], *texts: str) -> str:
    """Give what a pattern finds in the first of the texts where it finds anything."""
    hits = (pattern.search(plain(text)) for text in texts)
    return next((hit[0].strip() for hit in hits if hit), "")


def kernel_of(header: Header, rules: SelectionRules) -> Kernel:
    """Rank a kernel; of several values, as Siemens writes with ADMIRE, the first names it."""
    name = header.kernel.split("\\")[0].strip()
    for kind, pattern in (
        (Kernel.SHARP, rules.kernels.sharp),
        (Kernel.MEDIUM, rules.kernels.medium),
        (Kernel.SOFT, rules.kernels.soft),
    ):
        if pattern.search(name):
            return kind
    return Kernel.UNKNOWN


def is_image(header: Header) -> bool:
    """Say whether an object is a CT image at all; without a modality its class decides."""
    return header.identity.sop_class_uid in ANALYSED and header.modality in ("CT", "")


def not_ct(header: Header, _rules: SelectionRules) -> str | None:
    """Refuse what is no CT image: dose reports, screen captures, other modalities."""
    if header.identity.sop_class_uid not in ANALYSED:
        return f"not a CT image (SOP class {header.identity.sop_class_uid})"
    return None if is_image(header) else f"modality is {header.modality}, not CT"


def localizer(header: Header, rules: SelectionRules) -> str | None:
    """Refuse scouts, by image type or by name."""
    value = _image_type(header, rules.image_types.localizer)
    if value:
        return f"image type {value}"
    name = found(rules.names.localizer, header.series_description)
    return f"a localizer by its name ({name})" if name else None


def phantom(header: Header, rules: SelectionRules) -> str | None:
    """Refuse quality control."""
    if header.quality_control.upper() in ("YES", "BOTH"):
        return "a quality control image"
    texts = (header.series_description, header.protocol_name, header.study_description)
    name = found(rules.names.phantom, *texts)
    if name:
        return f"a phantom by its name ({name})"
    # The patient's own words stay out of the reason: it is shown and logged.
    who = found(rules.names.phantom_patient, header.patient_name, header.patient_id)
    return "a phantom by the patient's name or ID" if who else None


def screen(header: Header, rules: SelectionRules) -> str | None:
    """Refuse dose screens, renderings and other pictures of pictures."""
    if header.burned_in.upper() == "YES":
        return "burned-in annotation"
    name = found(rules.names.screen, header.series_description)
    return f"a rendering or a report by its name ({name})" if name else None


def derived(header: Header, rules: SelectionRules) -> str | None:
    """Refuse reformats and maps; an average of axial slices is still Hounsfield units."""
    value = _image_type(header, rules.image_types.derived)
    if value and not (value == "REFORMATTED" and is_averaged(header, rules)):
        return f"derived image, {value}"
    secondary = header.image_type[1:2] == ("SECONDARY",) and "AXIAL" not in header.image_type
    if secondary and not is_averaged(header, rules):
        return "secondary image, not axial"
    return None


def multi_energy(header: Header, rules: SelectionRules) -> str | None:
    """Refuse maps and energies that the model never saw (PS3.3 C.8.15.2.1.1)."""
    value = _image_type(header, rules.image_types.multi_energy)
    if value:
        return f"multi-energy image, {value}"
    if header.multi_energy.upper() == "YES" and "STANDARD" not in header.image_type:
        return "multi-energy acquisition, not marked as a standard image"
    name = found(rules.names.multi_energy, header.series_description)
    return f"a multi-energy image by its name ({name})" if name else None


def not_hounsfield(header: Header, _rules: SelectionRules) -> str | None:
    """Refuse values of another kind (PS3.3 C.11.1.1.2); an absent type means HU for CT."""
    return (
        None if header.rescale_type in ("", "HU") else f"values are {header.rescale_type}, not HU"
    )


def perfusion(header: Header, rules: SelectionRules) -> str | None:
    """Refuse perfusion and other time series by name."""
    own = found(rules.names.perfusion, header.series_description)
    if own:
        return f"perfusion or a time series by its name ({own})"
    if found(rules.names.non_contrast, header.series_description, header.protocol_name):
        return None  # a stroke protocol names all of its scans
    shared = found(rules.names.perfusion, header.protocol_name)
    return f"perfusion or a time series by its protocol ({shared})" if shared else None


def contrast(header: Header, rules: SelectionRules) -> str | None:
    """Refuse contrast phases; the series' own name counts for more than the protocol's."""
    agent = plain(header.contrast_agent)
    if agent and not rules.names.no_agent.search(agent):
        return "contrast agent given"
    own = found(rules.names.contrast, _without_denials(header.series_description, rules))
    if own:
        return f"contrast study by its name ({own})"
    if says_non_contrast(header, rules) or perhaps_contrast(header, rules):
        return None
    shared = found(rules.names.contrast, _without_denials(header.protocol_name, rules))
    return f"contrast study by its protocol ({shared})" if shared else None


def says_non_contrast(header: Header, rules: SelectionRules) -> bool:
    """Say whether the series' own name denies contrast."""
    return bool(found(rules.names.non_contrast, header.series_description))


def perhaps_contrast(header: Header, rules: SelectionRules) -> bool:
    """Say whether only the protocol speaks, and of phases with and without contrast."""
    protocol = header.protocol_name
    return (
        not says_non_contrast(header, rules)
        and bool(found(rules.names.non_contrast, protocol))
        and bool(found(rules.names.contrast, _without_denials(protocol, rules)))
    )


def sharp_kernel(header: Header, rules: SelectionRules) -> str | None:
    """Refuse bone and edge kernels; where the kernel is unknown, the name tells."""
    kernel = kernel_of(header, rules)
    if kernel is Kernel.SHARP:
        return f"sharp kernel {header.kernel}"
    name = found(rules.names.bone, header.series_description)
    if kernel is Kernel.UNKNOWN and name:
        return f"a bone reconstruction by its name ({name})"
    return None


def is_averaged(header: Header, rules: SelectionRules) -> bool:
    """Say whether an image is an average of original slices."""
    return bool(_image_type(header, rules.image_types.averaged))


def _image_type(header: Header, unwanted: list[str]) -> str:
    return next((value for value in unwanted if value in header.image_type), "")


def _without_denials(text: str, rules: SelectionRules) -> str:
    return rules.names.non_contrast.sub(" ", plain(text))


Check = Callable[[Header, SelectionRules], str | None]
LABEL_CHECKS: Final[tuple[Check, ...]] = (
    not_ct, localizer, phantom, multi_energy, derived, screen, not_hounsfield, perfusion, contrast,
    sharp_kernel,
)  # fmt: skip
