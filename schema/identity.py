"""What became of a second identity under one study."""

from enum import StrEnum


class IdentityChange(StrEnum):
    """Why a study has two identities on record."""

    COMPLETED = "COMPLETED"  # a placeholder was followed by the patient's own identity
    CORRECTED = "CORRECTED"  # records were merged, or a name or number was put right
    MISMATCH = "MISMATCH"  # as far as anybody can tell, two people
