"""What only the names of a series say, each with a weight; names rank, they refuse nothing.

The images themselves decide in the worker: a word is written for the whole examination, by hand, in
haste, and a bleed that went unread for a word would be the worst this system can do quietly.
"""

from dataclasses import dataclass
from typing import Final

from receiver.instance.header import Header
from receiver.selection.names import (
    ROUTINE_KEV,
    Reading,
    agent_given,
    energy_kev,
    names_one_tube,
    read,
)
from receiver.selection.region import region_hint
from receiver.selection.rules import HintWeights, SelectionRules
from receiver.selection.words import Kind, Sharpness

ONE_TUBE: Final = {"DET_A", "DET_B"}  # Siemens' images of one detector of a dual-source scan


@dataclass(frozen=True)
class Hint:
    """One thing that a name or another label says, and the points for it."""

    says: str
    points: float


def hints_of(header: Header, rules: SelectionRules) -> tuple[Hint, ...]:
    """List what the labels of a stack's images say for and against it."""
    own = read(rules.words, header.series_description)
    protocol = read(rules.words, header.protocol_name)
    found = (
        region_hint(header, rules),
        _contrast(header, own, protocol, rules),
        _agent(header, own, rules),
        _perfusion(own, protocol, rules.hints),
        _mono_energetic(header, own, rules.hints),
        _bone(header, own, rules),
        _derived(header, rules),
        _phantom(header, own, protocol, rules),
        *_kinds(own, rules.hints),
    )
    return tuple(Hint(*hint) for hint in found if hint is not None and hint[1])


def strongest(hints: tuple[Hint, ...]) -> Hint | None:
    """Give the hint that speaks most against the series."""
    against = [hint for hint in hints if hint.points < 0]
    return min(against, key=lambda hint: hint.points, default=None)


Found = tuple[str, float] | None


def _contrast(header: Header, own: Reading, protocol: Reading, rules: SelectionRules) -> Found:
    """Weigh what is said of contrast: the series' own name, else the protocol, else the study."""
    weights = rules.hints
    given, denied = own.contrast.given, own.contrast.denied
    if given and denied:
        return f"perhaps with contrast ({given!r} and {denied!r})", weights.perhaps_contrast
    if given:
        return f"named with contrast ({given!r})", weights.contrast
    if denied:
        return f"named without contrast ({denied!r})", weights.no_contrast
    study = read(rules.words, header.study_description)
    for reading, source in ((protocol, "protocol"), (study, "study")):
        given, denied = reading.contrast.given, reading.contrast.denied
        if given:
            says = f"perhaps with contrast ({given!r} in its {source})"
            own_phase = reading is protocol and not denied
            return says, weights.protocol_contrast if own_phase else weights.perhaps_contrast
        if denied:
            return f"without contrast by its {source} ({denied!r})", weights.no_contrast / 2
    return None


def _agent(header: Header, own: Reading, rules: SelectionRules) -> Found:
    """Weigh Contrast/Bolus Agent: scanners write it into all series of an examination."""
    if not agent_given(rules.words, header.contrast_agent):
        return None
    denied = own.contrast.denied and not own.contrast.given
    weight = rules.hints.perhaps_contrast if denied else rules.hints.agent
    return "contrast agent given", weight


def _perfusion(own: Reading, protocol: Reading, weights: HintWeights) -> Found:
    if word := own.word(Kind.PERFUSION):
        return f"perfusion or a time series by its name ({word!r})", weights.perfusion
    if (word := protocol.word(Kind.PERFUSION)) and not own.contrast.denied:
        return f"perhaps perfusion ({word!r} in its protocol)", weights.protocol_contrast
    return None


def _mono_energetic(header: Header, own: Reading, weights: HintWeights) -> Found:
    """Take the energy that scanners show as their routine image; others change what blood is."""
    word = own.word(Kind.MONO_ENERGETIC)
    if word or "VMI" in header.image_type:
        energy = energy_kev(header.series_description)
        says = "virtual mono-energetic image" + (f" at {energy} keV" if energy else "")
        odd = energy is not None and energy not in ROUTINE_KEV
        return says, weights.other_energy if odd else weights.mono_energetic
    one_tube = ONE_TUBE.intersection(header.image_type)
    if one_tube or names_one_tube(header.series_description):
        return "one of the two energies of a dual-energy scan", weights.other_energy
    if header.multi_energy.upper() == "YES" and "STANDARD" not in header.image_type:
        return "multi-energy, not marked as the standard image", weights.mono_energetic
    return None


def _bone(header: Header, own: Reading, rules: SelectionRules) -> Found:
    word = own.word(Kind.BONE)
    if not word:
        return None
    known = rules.words.sharpness_of(header.kernel) is not Sharpness.UNKNOWN
    return f"named as bone ({word!r})", rules.hints.bone_known_kernel if known else rules.hints.bone


def _derived(header: Header, rules: SelectionRules) -> Found:
    """Rank what was computed from other images behind them, unless it averages them."""
    values = header.image_type
    if any(value in values for value in rules.image_types.averaged):
        return None
    value = next((word for word in rules.image_types.reformat if word in values), "")
    if value:
        return f"axial reformat ({value})", rules.hints.reformat
    if "SECONDARY" in values[1:2] and "AXIAL" not in values:
        return f"secondary image ({'/'.join(values[:3])})", rules.hints.secondary
    if "DERIVED" in values[:1]:
        return f"derived image ({'/'.join(values[:3])})", rules.hints.derived
    return None


def _phantom(header: Header, own: Reading, protocol: Reading, rules: SelectionRules) -> Found:
    study = read(rules.words, header.study_description)
    for reading, weight in ((own, 1.0), (protocol, 1.0), (study, 0.5)):
        if word := reading.word(Kind.PHANTOM):
            return f"perhaps a phantom ({word!r})", rules.hints.phantom * weight
    # The patient's own words stay out of the hint: it is shown and logged.
    for text in (header.patient_name, header.patient_id):
        if read(rules.words, text).word(Kind.PHANTOM):
            return "perhaps a phantom (the patient's name or ID)", rules.hints.phantom_patient
    return None


def _kinds(own: Reading, weights: HintWeights) -> list[Found]:
    kinds = (
        (Kind.LOCALIZER, "a localizer", weights.localizer),
        (Kind.REPORT, "a report", weights.report),
        (Kind.RENDERING, "a rendering", weights.rendering),
        (Kind.MAP, "a multi-energy map", weights.map),
        (Kind.CONE_BEAM, "a cone-beam image", weights.cone_beam),
        (Kind.REFORMAT, "a reformat", weights.reformat),
        (Kind.MOTION, "moved", weights.motion),
    )
    return [
        (f"{says} by its name ({word!r})", weight)
        for kind, says, weight in kinds
        if (word := own.word(kind))
    ]
