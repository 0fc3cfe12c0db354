"""The order of the elements of a dataset, held while it is read."""

from collections.abc import Collection

from pydicom.tag import BaseTag

from schema.errors import UnreadableObjectError


class Ascending:
    """Sees each element of a dataset before it is read, and lets none come twice (PS3.5 7.1).

    One reader takes the first of two UIDs and another the second, so that an object would be
    announced as one and filed as the other.

    Attributes
    ----------
    last
        The tag that was seen last.
    """

    def __init__(self, behind: int = -1, until: Collection[int] = ()) -> None:
        self.last = behind
        self._until = until

    def __call__(self, tag: BaseTag, _vr: str | None, _length: int) -> bool:
        """Say whether to stop before this element.

        Raises
        ------
        UnreadableObjectError
            If it does not come behind all the others.
        """
        if tag <= self.last:
            raise UnreadableObjectError("its elements are not in ascending order")
        self.last = int(tag)  # a range looks a BaseTag up number by number
        return self.last in self._until
