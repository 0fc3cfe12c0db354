"""Hold every picture of a release against its label table."""

from collections.abc import Iterable, Iterator

from trainer.datasets.ctich import DataError, Slice, read_hu, read_mask


def contradictions(slices: Iterable[Slice]) -> Iterator[str]:
    """Decode every slice, and name what can't be read or says other than the table.

    What can be told from names alone is among the release's problems already.
    """
    for ct_slice in slices:
        try:
            shape = read_hu(ct_slice).shape
            mask = read_mask(ct_slice)
        except DataError as error:
            yield str(error)
            continue
        if mask.shape != shape:
            yield f"{_where(ct_slice)}: its mask is {mask.shape}, the slice {shape}"
        elif ct_slice.mask and ct_slice.positive and not mask.any():
            yield f"{_where(ct_slice)}: its mask is empty, yet the table says hemorrhage"
        elif ct_slice.plane is not None and not ct_slice.positive and mask.any():
            yield f"{_where(ct_slice)}: its mask has blood, yet the table says none"


def _where(ct_slice: Slice) -> str:
    return f"patient {ct_slice.patient}, slice {ct_slice.number}"
