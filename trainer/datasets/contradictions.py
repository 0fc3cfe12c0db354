"""Hold every picture of a release against its label table."""

from collections.abc import Iterable, Iterator

from trainer.datasets.ctich import DataError, Slice, read_hu, read_mask


def contradictions(slices: Iterable[Slice]) -> Iterator[str]:
    """Decode every slice, and name what can't be read or says other than the table.

    What can be told from names alone is among the release's problems already.
    """
    for one in slices:
        try:
            shape = read_hu(one).shape
            mask = read_mask(one)
        except DataError as error:
            yield str(error)
            continue
        if mask.shape != shape:
            yield f"{_where(one)}: its mask is {mask.shape}, the slice {shape}"
        elif one.mask and one.positive and not mask.any():
            yield f"{_where(one)}: its mask is empty, yet the table says hemorrhage"
        elif one.plane is not None and not one.positive and mask.any():
            yield f"{_where(one)}: its mask has blood, yet the table says none"


def _where(one: Slice) -> str:
    return f"patient {one.patient}, slice {one.number}"
