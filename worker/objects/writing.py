"""Write all objects of a study, each read back and checked; one that fails never leaves."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import structlog
from pydicom import dcmread
from pydicom.dataset import Dataset

from schema.errors import TransientError
from worker.durable import sync_names
from worker.forms import FOR_THE_PAGE, Audience, Forms
from worker.header import MALFORMED
from worker.objects import check
from worker.objects.author import Source, WrittenObject
from worker.objects.keys import keys_of, write_keys
from worker.objects.pages import write_slices, write_summary
from worker.objects.report import LABEL, write_report
from worker.objects.revision import FIRST, Revision
from worker.objects.segmentation import Algorithm, write_segmentation
from worker.objects.statement import Statement
from worker.slices import FRAME_OF_REFERENCE, SourceSeries

log = structlog.get_logger()


@dataclass
class Written:
    """What was written, and what was refused with the reason."""

    objects: list[WrittenObject] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @contextmanager
    def trying(self, kind: str) -> Iterator[None]:
        """Note that an object could not be made: the result itself is worth more than its form."""
        try:
            yield
        except TransientError:
            raise
        except OSError as error:  # of the storage, so the job is tried again; not of the object
            raise TransientError(f"storage: {error.strerror}; {kind} is written again") from error
        except (check.ObjectRefusedError, *MALFORMED) as error:
            known = isinstance(error, check.ObjectRefusedError)
            # Of a library's error, the kind alone: its text may quote a value of the patient.
            reason = str(error) if known else f"{kind}: {type(error).__name__} while writing it"
            self.refused.append(reason)
            log.error("object refused", kind=kind, reason=reason)

    def add(
        self, written: WrittenObject, source: Source, test: Callable[[Dataset], None]
    ) -> Dataset:
        """Keep an object that says what its source says."""
        ds = check.read_back(written)
        check.check_identity(ds, source)
        test(ds)
        self.objects.append(written)
        return ds


def write_objects(
    series: SourceSeries,
    labels: npt.NDArray[np.uint8],
    statement: Statement,
    folder: Path,
    revision: Revision = FIRST,
    forms: Forms = FOR_THE_PAGE,
) -> Written:
    """Write the objects of a series that was analysed.

    Parameters
    ----------
    labels
        (slice, row, column) Segment Number of each subtype, in the order of the volume.
    revision
        Which result of the series it is, and the reports that its own replace.
    forms
        Which forms are written.

    Raises
    ------
    TransientError
        The storage is full or does not answer.
    """
    written, source = Written(), Source(series.headers)
    seg = _write_segmentations(written, series, labels, statement, folder, revision, forms)
    _write_reports(written, source, statement, seg, folder, revision, forms)
    _write_page(written, source, statement, folder, revision)
    if labels.any():
        _write_located(written, series, labels, statement, folder, revision)
    sync_names(folder)
    return written


def write_unanalysed(
    headers: Sequence[Dataset], statement: Statement, folder: Path, revision: Revision = FIRST
) -> Written:
    """Write report and page of a study that was not analysed; `headers` are completed ones.

    Parameters
    ----------
    revision
        Which one of the study it is, and the statement that it replaces.

    Raises
    ------
    TransientError
        The storage is full or does not answer.
    """
    written, source = Written(), Source(tuple(headers))
    _write_reports(written, source, statement, None, folder, revision, FOR_THE_PAGE)
    _write_page(written, source, statement, folder, revision)
    sync_names(folder)
    return written


def _write_segmentations(
    written: Written,
    series: SourceSeries,
    labels: npt.NDArray[np.uint8],
    statement: Statement,
    folder: Path,
    revision: Revision,
    forms: Forms,
) -> Dataset | None:
    """Write the masks in each form; return the binary ones, which the report refers to."""
    algorithm = Algorithm(statement.model, statement.model_sha256, statement.claims)

    def test(ds: Dataset) -> None:
        check.check_segmentation(ds, series, labels, statement.findings)

    binary = None
    for form in forms.segmentations:
        with written.trying("SEG"):
            _require_frame_of_reference(series, labels)
            seg = write_segmentation(series, labels, algorithm, folder, form, revision)
            if seg is not None:
                ds = written.add(seg, Source(series.headers), test)
                binary = ds if form == "BINARY" else binary
    return binary


def _require_frame_of_reference(series: SourceSeries, labels: npt.NDArray[np.uint8]) -> None:
    """Refuse masks in no frame of reference (PS3.3 C.7.4.1): a UID made up would be a lie."""
    if labels.any() and not series.headers[0].get(FRAME_OF_REFERENCE):
        raise check.ObjectRefusedError(
            "SEG: no masks, for the images lack a Frame of Reference UID; have the sender keep it"
        )


def _write_reports(
    written: Written,
    source: Source,
    statement: Statement,
    seg: Dataset | None,
    folder: Path,
    revision: Revision,
    forms: Forms,
) -> None:
    """Write the report; with masks, where it is wanted, a second one without them."""
    audiences: list[Audience] = ["all"] if seg is None else ["full"]
    if seg is not None and forms.unlocated_report:
        audiences.append("triage")
    for audience in audiences:
        with written.trying("SR"):
            located = None if audience == "triage" else seg
            earlier = revision.report_for(audience)
            replaced = None if earlier is None else _read(earlier)
            label = LABEL.to(audience).numbered(revision.number)
            sr = write_report(source, statement, located, folder, label, replaced)
            written.add(sr, source, lambda ds: check.check_report(ds, statement))


def _read(previous: Path) -> Dataset | None:
    try:
        return dcmread(previous)
    except MALFORMED as error:  # a report that replaces nothing is better than no result
        log.warning("earlier report unreadable", file=previous.name, reason=type(error).__name__)
        return None


def _write_page(
    written: Written, source: Source, statement: Statement, folder: Path, revision: Revision
) -> None:
    with written.trying("SC"):
        written.add(write_summary(source, statement, folder, revision), source, _nothing)


def _write_located(
    written: Written,
    series: SourceSeries,
    labels: npt.NDArray[np.uint8],
    statement: Statement,
    folder: Path,
    revision: Revision,
) -> None:
    source = Source(series.headers)
    with written.trying("SC"):
        for page in write_slices(series, labels, statement, folder, revision):
            written.add(page, source, _nothing)
    with written.trying("KO"):
        expected = {str(header.SOPInstanceUID) for header in keys_of(series, labels)}
        ko = write_keys(series, labels, statement.model_sha256, folder, revision)
        written.add(ko, source, lambda ds: check.check_references(ds, expected))


def _nothing(_ds: Dataset) -> None:
    """Accept a page: it holds nothing that could be compared but its patient and study."""
