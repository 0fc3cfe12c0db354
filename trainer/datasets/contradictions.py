"""Hold every picture of a release against its label table."""

from collections.abc import Iterable, Iterator

from trainer.datasets.sources import DataError, Slice, read_hu, read_mask

AIR_HU = -200.0  # every frame of a head has some around it


def contradictions(slices: Iterable[Slice]) -> Iterator[str]:
    """Decode every slice, and name what can't be read or says other than the table.

    What can be told from names alone is among the release's problems already.
    """
    for ct_slice in slices:
        try:
            hu = read_hu(ct_slice)
            shape = hu.shape
            mask = read_mask(ct_slice)
        except DataError as error:
            yield str(error)
            continue
        if ct_slice.slab and hu.min() > AIR_HU:
            yield (
                f"{ct_slice.brain}: holds no air, its lowest value is {hu.min():.0f}; scans must be"
                " in HU, with no window and no skull taken off"
            )
        if mask.shape != shape:
            yield f"{_where(ct_slice)}: its mask is {mask.shape}, the slice {shape}"
        elif ct_slice.mask and ct_slice.positive and not mask.any():
            yield f"{_where(ct_slice)}: its mask is empty, yet the table says hemorrhage"
        elif ct_slice.plane is not None and not ct_slice.positive and mask.any():
            yield f"{_where(ct_slice)}: its mask has blood, yet the table says none"


def _where(ct_slice: Slice) -> str:
    return f"patient {ct_slice.patient}, slice {ct_slice.number}"
