"""The rules of selection, read from a versioned TOML file; a file that loads is a valid one."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from receiver.selection.words import Words, load_words
from schema.rule_files import Table, read_table

SHIPPED: Final = Path(__file__).with_name("selection.toml")

Finite = Annotated[float, Field(allow_inf_nan=False)]
Millimetres = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ImageTypes(Table):
    """Values of Image Type (0008,0008), in capitals."""

    localizer: list[str]
    refused: list[str]
    reformat: list[str]
    averaged: list[str]


class Devices(Table):
    """Beginnings of Manufacturer's Model Name (0008,1090), in capitals."""

    cone_beam: list[str]


class StackLimits(Table):
    """What a stack of slices must be."""

    max_objects: Annotated[int, Field(ge=2)]
    min_slices: Annotated[int, Field(ge=2)]
    min_extent_mm: Millimetres
    max_extent_mm: Millimetres
    head_extent_mm: Millimetres
    max_tilt_degrees: Annotated[float, Field(gt=0, lt=90)]
    min_spacing_mm: Millimetres
    max_spacing_mm: Millimetres
    max_images_per_position: Annotated[int, Field(ge=1)]
    max_unread_fraction: Annotated[float, Field(ge=0, lt=1)]


class EvidenceLimits(Table):
    """When positions prove a series whole."""

    min_extent_mm: Millimetres
    max_parts: Annotated[int, Field(ge=1)]


class StepPoints(Table):
    """Points for a step between slices up to a limit."""

    up_to_mm: Millimetres
    points: Finite


class Weights(Table):
    """Points for what the attributes and the geometry of a stack say."""

    base: Finite
    soft_kernel: Finite
    medium_kernel: Finite
    original: Finite
    axial: Finite
    left_out: Finite
    longer_than_head: Finite
    wide_field_mm: Millimetres
    wide_field: Finite
    per_slice: Finite
    per_slice_at_most: Finite
    steps: Annotated[list[StepPoints], Field(min_length=1)]


class HintWeights(Table):
    """Points for what only names say.

    Attributes
    ----------
    veto
        A hint of so few points refuses the series before anybody looks at its images.
    """

    veto: Finite
    head: Finite
    head_and_more: Finite
    part_of_head: Finite
    elsewhere: Finite
    all_elsewhere: Finite
    whole_body: Finite
    no_contrast: Finite
    perhaps_contrast: Finite
    protocol_contrast: Finite
    contrast: Finite
    agent: Finite
    perfusion: Finite
    mono_energetic: Finite
    other_energy: Finite
    map: Finite
    reformat: Finite
    derived: Finite
    secondary: Finite
    rendering: Finite
    report: Finite
    localizer: Finite
    cone_beam: Finite
    bone: Finite
    bone_known_kernel: Finite
    motion: Finite
    phantom: Finite
    phantom_patient: Finite


class SelectionRules(Table):
    """The whole rule file, with the words that belong to it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True
    )

    version: Annotated[str, Field(min_length=1, max_length=24)]
    image_types: ImageTypes
    devices: Devices
    stack: StackLimits
    evidence: EvidenceLimits
    score: Weights
    hints: HintWeights
    words: Words

    @property
    def versions(self) -> str:
        """Name the rules and the words, as every decision stores them."""
        return f"{self.version} words {self.words.version}"


def load_rules(path: Path | None = None, words: Path | None = None) -> SelectionRules:
    """Read the rule file, the shipped one by default, and the words with those of a site.

    Raises
    ------
    SettingsError
        If a file is missing or no TOML, or has an unknown, missing or bad value; one line that
        names the file and the key.
    """
    known = load_words(words)
    return read_table(SelectionRules, path or SHIPPED, "the selection rules", words=known)
