"""What the objects say of a study: values and words, without DICOM."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schema.hemorrhage_subtypes import ANY, SUBTYPES, Claim, Subtype
from schema.shares import percent
from schema.states import Outcome
from worker.findings import Finding
from worker.wording import MOST_GAPS, may_exclude


@dataclass(frozen=True)
class Statement:
    """All that a report says.

    Attributes
    ----------
    level, reason, rule_version
        The priority, the rule with the measured value that decided, and the rule file's version;
        None where no rule was applied.
    findings
        `any` first, then the five types, each with what the model may say of it; empty where
        nothing was analysed.
    model, model_sha256
        What drew the masks; empty where nothing was analysed.
    coverage
        How much of the head was seen, see `schema.tables.Study.coverage`; None if nobody looked.
    limits
        What else is unusual about the images, in words.
    """

    outcome: Outcome
    level: int
    reason: str
    rule_version: str | None = None
    findings: tuple[Finding, ...] = ()
    model: str = ""
    model_sha256: str = ""
    coverage: Mapping[str, Any] | None = None
    limits: tuple[str, ...] = ()

    @property
    def is_analysed(self) -> bool:
        """Whether a model looked at the images."""
        return bool(self.findings)

    @property
    def any(self) -> Finding | None:
        """What is said of any hemorrhage."""
        return next((finding for finding in self.findings if finding.subtype == ANY), None)

    def claim(self, subtype: Subtype) -> Claim:
        """Say what may be said of a type; one that nobody looked for is not told apart."""
        return self.claims.get(subtype.key, Claim.NOT_TOLD_APART)

    @property
    def claims(self) -> dict[str, Claim]:
        """What may be said of everything that was looked for."""
        return {finding.subtype: finding.claim for finding in self.findings}

    @property
    def told_apart(self) -> tuple[tuple[Subtype, Finding], ...]:
        """The types that may be named, with what was found of them."""
        found = {finding.subtype: finding for finding in self.findings}
        return tuple(
            (subtype, found[subtype.key])
            for subtype in SUBTYPES
            if subtype.key in found and self.claim(subtype) is not Claim.NOT_TOLD_APART
        )

    @property
    def may_exclude(self) -> bool:
        """Whether what was not found may be called absent."""
        return may_exclude(self.outcome, self.coverage)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What limits this result, in words."""
        return (*describe_coverage(self.coverage), *self.limits)


def describe_coverage(coverage: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Put into words how much of the head was seen."""
    if not coverage:
        return ()
    gaps = coverage.get("gaps", ())
    words = [
        f"{percent(float(coverage['share']))} of the head was seen,"
        f" {float(coverage['from_mm']):.0f} to {float(coverage['to_mm']):.0f} mm"
    ]
    words += [
        f"not seen: {float(gap['from_mm']):.0f} to {float(gap['to_mm']):.0f} mm"
        for gap in gaps[:MOST_GAPS]
    ]
    words += [f"not seen: {more} more gaps"] if (more := len(gaps) - MOST_GAPS) > 0 else []
    return tuple(words)


def ascii_only(text: str) -> str:
    """Leave what every character set of a sender can hold; descriptions may hold anything."""
    flat = " ".join(text.split())
    return flat.encode("ascii", "replace").decode()
