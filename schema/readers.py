"""Who reads the worklist, and what a reader may say of a result."""

from enum import StrEnum


class Role(StrEnum):
    """What a login may do; each may also do what those before it may."""

    READER = "reader"  # look, acknowledge, agree and disagree
    OPERATOR = "operator"  # export what readers said
    ADMIN = "admin"  # see who may log in, and end sessions


class DisagreementCause(StrEnum):
    """Why a reader disagrees with a result."""

    MISSED_BLEED = "MISSED_BLEED"
    ARTEFACT = "ARTEFACT"
    CALCIFICATION = "CALCIFICATION"
    DURA = "DURA"
    POST_OPERATIVE = "POST_OPERATIVE"
    TUMOUR = "TUMOUR"
    WRONG_TYPE = "WRONG_TYPE"
    WRONG_VOLUME = "WRONG_VOLUME"
    OTHER = "OTHER"
