"""Report, pages and key images say what was measured, and nothing of the patient in pixels."""

import errno
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread

from schema.errors import TransientError
from schema.hemorrhage_subtypes import SUBTYPES, Claim
from schema.states import Outcome
from tests.support.phantoms import FEW_MM, Phantom, item
from tests.support.statements import bleed, statement_of, write_all
from tests.support.validators import object_errors
from worker import durable
from worker.delivery.destinations import Destinations, DicomDestination
from worker.forms import Forms
from worker.objects import check
from worker.objects.author import Source, WrittenObject
from worker.objects.check import masks_by_slice
from worker.objects.drawing import Origin, Place, draw_slice, draw_summary, outline, summary_lines
from worker.objects.pages import worst_slices
from worker.objects.revision import FIRST, Revision
from worker.objects.segmentation import tracking_uid
from worker.objects.statement import Statement, describe_coverage
from worker.objects.writing import Written, write_objects, write_unanalysed
from worker.slices import SourceSeries, read_series

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
ORIGIN = Origin(3, FIRST, NOON)
Drawn = tuple[str, int | None]  # what is said of the slice; the Series Number
UNANALYSED = Statement(Outcome.NOT_ANALYSED, 0, "no eligible series: 'Schädel': 3 slices")


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SourceSeries:
    return read_series(Phantom(FEW_MM).write(tmp_path_factory.mktemp("in")))


@pytest.fixture(scope="module")
def written(series: SourceSeries, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_all(series, tmp_path_factory.mktemp("out"))


def of(written: Written, kind: str, audience: str) -> list[WrittenObject]:
    return [
        written_object
        for written_object in written.objects
        if (written_object.kind, written_object.audience) == (kind, audience)
    ]


def report(written: Written, audience: str = "full") -> hd.sr.Comprehensive3DSR:
    (one,) = of(written, "SR", audience)
    return hd.sr.Comprehensive3DSR.from_dataset(dcmread(one.path))


def replacing(path: Path) -> Revision:
    return Revision(2, True, {"full": path})


def encoded(written: Written, kind: str, audience: str) -> str:
    """Give a whole object as text; printing a dataset leaves the ends of long values out."""
    (one,) = of(written, kind, audience)
    return one.path.read_bytes().decode("latin-1")


def test_every_kind_is_written_and_nothing_is_refused(written: Written) -> None:
    assert written.refused == []
    assert {written_object.kind for written_object in written.objects} == {"SEG", "SR", "SC", "KO"}


def test_images_without_a_frame_of_reference_are_reported_without_masks(tmp_path: Path) -> None:
    phantom = Phantom(FEW_MM, without=["FrameOfReferenceUID"])
    written = write_all(read_series(phantom.write(tmp_path / "in")), tmp_path / "out")
    assert {written_object.kind for written_object in written.objects} == {"SR", "SC", "KO"}
    (reason,) = written.refused
    assert "lack a Frame of Reference UID" in reason


def test_highdicom_reads_the_numbers_that_were_measured(
    series: SourceSeries, written: Written
) -> None:
    expected = statement_of(series, bleed(series)).told_apart
    content = report(written).content
    for subtype, finding in expected:
        groups = content.get_volumetric_roi_measurement_groups(
            tracking_uid=tracking_uid("1.2.3", subtype)
        ) or content.get_image_measurement_groups(tracking_uid=tracking_uid("1.2.3", subtype))
        values = {m.name.value: m.value for m in groups[0].get_measurements()}
        assert values["122157"] == pytest.approx(finding.probability)
        assert values.get("118565006", 0) == pytest.approx(finding.volume_ml, abs=1e-3)


def test_a_finding_refers_to_its_segment(written: Written) -> None:
    (seg,) = of(written, "SEG", "full")
    groups = report(written).content.get_volumetric_roi_measurement_groups()
    assert {group.finding_type.value for group in groups} == {
        SUBTYPES[0].finding.value,
        SUBTYPES[4].finding.value,
    }
    for group in groups:
        assert group.referenced_segment.referenced_sop_instance_uid == seg.sop_instance_uid


def test_a_report_is_preliminary_and_unverified(written: Written) -> None:
    sr = report(written)
    flags = (sr.CompletionFlag, sr.VerificationFlag, sr.PreliminaryFlag)
    assert flags == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")


def test_the_report_for_who_takes_no_overlay_locates_nothing(written: Written) -> None:
    sr = report(written, "triage")
    assert sr.content.get_volumetric_roi_measurement_groups() == []
    (seg,) = of(written, "SEG", "full")
    assert seg.sop_instance_uid not in encoded(written, "SR", "triage")


def test_a_type_that_is_not_told_apart_is_not_named(series: SourceSeries, tmp_path: Path) -> None:
    claims = {"EDH": Claim.NOT_TOLD_APART, "SDH": Claim.HINTED}
    labels = bleed(series)
    statement = statement_of(series, labels, claims=claims)
    sr = encoded(write_objects(series, labels, statement, tmp_path), "SR", "full")
    assert "Epidural" not in sr
    assert "Subdural hemorrhage (a hint)" in sr
    assert "Undetermined" in sr


@pytest.mark.parametrize(
    ("outcome", "share", "said"),
    [
        (Outcome.NEGATIVE, 0.9, "Absent"),  # enough for "none found", by the rules
        (Outcome.INDETERMINATE, 0.44, "Undetermined"),
        (Outcome.INDETERMINATE, 1.0, "Undetermined"),  # suspected, and nothing outlined
    ],
)
def test_what_was_not_seen_is_not_called_absent(
    series: SourceSeries, tmp_path: Path, outcome: Outcome, share: float, said: str
) -> None:
    labels = np.zeros(series.volume.hu.shape, np.uint8)
    seen = {"from_mm": 0.0, "to_mm": 60.0, "share": share, "gaps": []}
    statement = replace(statement_of(series, labels), outcome=outcome, coverage=seen)
    sr = encoded(write_objects(series, labels, statement, tmp_path), "SR", "all")
    assert said in sr
    assert ({"Absent", "Undetermined"} - {said}).pop() not in sr


def test_a_type_that_is_only_hinted_at_is_never_called_absent(
    series: SourceSeries, tmp_path: Path
) -> None:
    labels = np.zeros(series.volume.hu.shape, np.uint8)
    claims = dict.fromkeys(("EDH", "IVH", "SAH", "SDH"), Claim.NOT_TOLD_APART)
    statement = statement_of(series, labels, claims=claims | {"IPH": Claim.HINTED})
    statement = replace(statement, outcome=Outcome.NEGATIVE)
    sr = encoded(write_objects(series, labels, statement, tmp_path), "SR", "all")
    assert "Undetermined" in sr


def test_a_segment_says_no_more_of_its_type_than_the_model_may(
    series: SourceSeries, tmp_path: Path
) -> None:
    claims = {"EDH": Claim.NOT_TOLD_APART, "SDH": Claim.HINTED, "SAH": Claim.NOT_TOLD_APART}
    labels = bleed(series)
    written = write_objects(series, labels, statement_of(series, labels, claims=claims), tmp_path)
    (seg,) = of(written, "SEG", "full")
    segments = dcmread(seg.path).SegmentSequence
    names = {segment.SegmentNumber: segment.SegmentLabel for segment in segments}
    assert names[1] == "Hemorrhage, type not told apart"
    assert names[4] == "Hemorrhage, type not told apart (unused)"
    assert names[5] == "Subdural hemorrhage (a hint)"
    assert names[2] == "Intraparenchymal hemorrhage (none outlined)"
    assert segments[0].AnatomicRegionSequence[0].CodeMeaning == "Intracranial"


def test_a_label_map_holds_the_same_masks_and_is_for_who_asked_for_it(
    series: SourceSeries, tmp_path: Path
) -> None:
    labels = bleed(series)
    forms = Forms(("BINARY", "LABELMAP"))
    written = write_objects(series, labels, statement_of(series, labels), tmp_path, forms=forms)
    (binary,), (label_map,) = of(written, "SEG", "full"), of(written, "SEG", "labelmap")
    masks = [masks_by_slice(dcmread(seg.path), series.volume) for seg in (binary, label_map)]
    assert dcmread(label_map.path).SegmentationType == "LABELMAP"
    assert all(np.array_equal(masks[0][number], masks[1][number]) for number in masks[0])
    assert masks[1][1].any()
    assert object_errors(label_map.path) == []


@pytest.mark.parametrize(
    "more", [{"segmentation": "LABELMAP"}, {"objects": ("SR", "SC")}, {"profile": "triage-only"}]
)
def test_a_report_refers_to_no_masks_that_its_archive_does_not_get(
    series: SourceSeries, tmp_path: Path, more: dict[str, object]
) -> None:
    there = {"name": "P", "kind": "dicom", "host": "x", "port": 104, "ae_title": "X"}
    archive = DicomDestination(**there, **more)
    written = write_all(series, tmp_path, Destinations(destinations=(archive,)).forms)
    masks = {seg.sop_instance_uid for seg in written.objects if seg.kind == "SEG"}
    sent = [each for each in written.objects if archive.takes(each.kind, each.audience)]
    (sr,) = (each for each in sent if each.kind == "SR")
    said = sr.path.read_bytes().decode("latin-1")
    assert not any(uid in said for uid in masks)


def test_a_report_without_masks_names_the_earlier_one_without_them(
    series: SourceSeries, tmp_path: Path
) -> None:
    first = write_all(series, tmp_path)
    reports = {sr.audience: sr for sr in first.objects if sr.kind == "SR"}
    revision = Revision(2, True, {who: sr.path for who, sr in reports.items()})
    second = write_all(series, tmp_path, revision=revision)
    assert reports.keys() == {"full", "triage"}
    for audience, earlier in reports.items():
        (replaced,) = report(second, audience).PredecessorDocumentsSequence
        image = replaced.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        assert image.ReferencedSOPInstanceUID == earlier.sop_instance_uid


def test_pages_of_a_revision_lie_beside_those_before(series: SourceSeries, tmp_path: Path) -> None:
    pages = [
        dcmread(page.path)
        for revision in (FIRST, Revision(2, replaces=True))
        for page in write_all(series, tmp_path, revision=revision).objects
        if page.kind == "SC"
    ]
    assert len({page.SOPInstanceUID for page in pages}) == 10
    places = sorted((page.SeriesNumber, page.InstanceNumber) for page in pages)
    assert places == [(9003, 1), (9003, 2), *((9004, number) for number in range(1, 9))]
    assert len({page.SeriesInstanceUID for page in pages}) == 2


def test_objects_of_two_series_of_a_study_lie_in_series_of_their_own(
    series: SourceSeries, written: Written, tmp_path: Path
) -> None:
    other = Phantom(FEW_MM, changes={"SeriesInstanceUID": "1.2.3.2"}).write(tmp_path / "in")
    beside = write_all(read_series(other), tmp_path / "out")
    ours, theirs = (
        {dcmread(each.path).SeriesInstanceUID for each in result.objects}
        for result in (written, beside)
    )
    assert len(ours) == len(theirs) == 5
    assert ours.isdisjoint(theirs)


def test_a_page_says_of_which_series_revision_and_moment_it_is() -> None:
    later = Origin(None, Revision(2, replaces=True), NOON)
    assert ORIGIN.lines == ["Series 3, revision 1, 2026-01-02 12:00 UTC"]
    assert later.lines == ["Revision 2, 2026-01-02 12:00 UTC", "Replaces what was said before"]
    said = Statement(Outcome.NOT_ANALYSED, 0, "because")
    assert not np.array_equal(draw_summary(said, ORIGIN), draw_summary(said, later))
    air, none = np.full((64, 64), -1000, np.float32), np.zeros((64, 64), np.uint8)
    place = Place(1, 2, dict.fromkeys(("left", "right", "top", "bottom"), "A"))
    pages = [draw_slice(air, none, (1, 1), said, place, origin) for origin in (ORIGIN, later)]
    assert not np.array_equal(*pages)


def test_words_can_be_read_on_bone() -> None:
    bone, none = np.full((64, 64), 1000, np.float32), np.zeros((64, 64), np.uint8)
    place = Place(1, 2, dict.fromkeys(("left", "right", "top", "bottom"), "A"))
    said = Statement(Outcome.POSITIVE, 1, "because")
    page = draw_slice(bone, none, (1, 1), said, place, ORIGIN)
    assert (page[:60, 16:200].min(axis=(1, 2)) == 0).any()


def drawn(series: SourceSeries, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Drawn]:
    """Write all objects and say what the pages of slices were drawn with."""
    drawings: list[Drawn] = []

    def draw(*given: object) -> np.ndarray:
        drawings.append((str(given[-2]), given[-1].series))
        return np.zeros((512, 512, 3), np.uint8)

    monkeypatch.setattr("worker.objects.pages.draw_slice", draw)
    write_all(series, folder)
    return drawings


def test_a_page_of_a_slice_names_the_image_and_its_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Phantom(FEW_MM, reversed=True, changes={"SeriesNumber": 4}).write(tmp_path / "in")
    said = drawn(read_series(sent), tmp_path / "out", monkeypatch)
    count = len(FEW_MM)
    assert len(said) == 4
    for words, number in said:
        place = int(words.split()[1])
        assert words == f"slice {place} of {count} from below (Im {count + 1 - place})"
        assert number == 4


def test_what_is_no_number_is_on_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = dict.fromkeys(("SeriesNumber", "InstanceNumber"), "10000000000")  # larger than an IS
    sent = Phantom(FEW_MM, changes=names).write(tmp_path / "in")
    said = drawn(read_series(sent), tmp_path / "out", monkeypatch)
    assert {number for _, number in said} == {None}
    assert all(words.endswith("from below") for words, _ in said)


@pytest.mark.parametrize("enhanced", [False, True])
def test_a_page_of_a_slice_refers_to_its_image(enhanced: bool, tmp_path: Path) -> None:
    phantom = Phantom(FEW_MM, reversed=True)
    sent = (phantom.write_enhanced if enhanced else phantom.write)(tmp_path / "in")
    series = read_series(sent)
    pages = of(write_all(series, tmp_path / "out"), "SC", "full")
    images = [dcmread(page.path).SourceImageSequence[0] for page in pages]
    found = [
        (image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber")) for image in images
    ]
    volume = series.volume
    frames = volume.frame_numbers if enhanced else [None] * len(FEW_MM)
    expected = list(zip(volume.sop_instance_uids, frames, strict=True))
    assert found == [expected[index] for index in worst_slices(bleed(series))]
    assert [error for page in pages for error in object_errors(page.path)] == []


def test_a_new_revision_names_the_report_that_it_replaces(
    series: SourceSeries, written: Written, tmp_path: Path
) -> None:
    (old,) = of(written, "SR", "full")
    labels = bleed(series)
    statement = statement_of(series, labels, reason="EDH 32 mL (critical at 30 mL or more)")
    new = write_objects(series, labels, statement, tmp_path, replacing(old.path))
    (replaced,) = report(new).PredecessorDocumentsSequence
    item = replaced.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert item.ReferencedSOPInstanceUID == old.sop_instance_uid


def test_a_damaged_earlier_report_costs_the_new_one_its_predecessor_alone(
    series: SourceSeries, tmp_path: Path
) -> None:
    earlier = tmp_path / "earlier.dcm"
    earlier.write_bytes(b"an object that a disk has lost")
    labels = bleed(series)
    statement = statement_of(series, labels)
    new = write_objects(series, labels, statement, tmp_path, replacing(earlier))
    assert new.refused == []
    assert "PredecessorDocumentsSequence" not in report(new)


def test_a_second_run_writes_nothing_new(
    series: SourceSeries, written: Written, tmp_path: Path
) -> None:
    first, second = (write_all(series, tmp_path / "out") for _ in range(2))
    assert first.objects == second.objects
    assert [written_object.sop_instance_uid for written_object in first.objects] == [
        written_object.sop_instance_uid for written_object in written.objects
    ]


def test_an_object_that_the_storage_has_damaged_since_is_refused(
    series: SourceSeries, tmp_path: Path
) -> None:
    sr, _ = write_unanalysed(series.headers, UNANALYSED, tmp_path).objects
    sr.path.write_bytes(b"an object that a disk has lost")
    again = write_unanalysed(series.headers, UNANALYSED, tmp_path)
    assert [written_object.kind for written_object in again.objects] == ["SC"]
    assert again.refused == ["SR: InvalidDicomError while writing it"]


def test_key_images_are_the_slices_with_blood(series: SourceSeries, written: Written) -> None:
    (ko,) = of(written, "KO", "full")
    items = [item for item in dcmread(ko.path).ContentSequence if item.ValueType == "IMAGE"]
    found = {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in items}
    blood = bleed(series).any(axis=(1, 2))
    assert found == {
        h.SOPInstanceUID for h, any_ in zip(series.headers, blood, strict=True) if any_
    }


def test_pages_say_that_no_patient_is_in_their_pixels(written: Written) -> None:
    for page in of(written, "SC", "all") + of(written, "SC", "full"):
        ds = dcmread(page.path)
        assert (ds.BurnedInAnnotation, ds.pixel_array.shape) == ("NO", (512, 512, 3))
        assert "not for diagnosis" in ds.SeriesDescription


@pytest.mark.parametrize(("mirrored", "right"), [(False, "L"), (True, "R")])
def test_a_page_of_a_slice_says_how_it_lies(mirrored: bool, right: str, tmp_path: Path) -> None:
    sent = Phantom(FEW_MM, mirrored=mirrored).write(tmp_path)
    written = write_all(read_series(sent), tmp_path / "out")
    (summary,), pages = of(written, "SC", "all"), of(written, "SC", "full")
    assert [dcmread(page.path).PatientOrientation for page in pages] == [[right, "P"]] * 4
    assert dcmread(summary.path).PatientOrientation == ""


def test_letters_stand_at_the_sides_that_they_name() -> None:
    air, none = np.full((64, 64), -1000, np.float32), np.zeros((64, 64), np.uint8)
    said = Statement(Outcome.POSITIVE, 1, "because")
    usual = {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    turned = usual | {"left": "L", "right": "R"}
    page = draw_slice(air, none, (1, 1), said, Place(1, 2, usual), ORIGIN)
    other = draw_slice(air, none, (1, 1), said, Place(1, 2, turned), ORIGIN)
    left, right = slice(4, 28), slice(484, 508)
    assert page[244:268, left].any()
    assert np.array_equal(other[244:268, left], page[244:268, right])
    assert np.array_equal(other[244:268, right], page[244:268, left])
    assert not np.array_equal(page[244:268, left], page[244:268, right])


def test_the_patient_changes_no_pixel_of_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.objects.pages.now", lambda: NOON)
    pictures = []
    for name in ("Water^Phantom", "Other^Name"):
        sent = Phantom(FEW_MM, changes={"PatientName": name, "PatientID": name})
        result = write_all(read_series(sent.write(tmp_path / name)), tmp_path / f"{name}.out")
        pages = of(result, "SC", "all") + of(result, "SC", "full")
        pictures.append([dcmread(page.path).PixelData for page in pages])
    assert pictures[0] == pictures[1]


def test_the_worst_slices_are_shown_from_below() -> None:
    labels = np.zeros((6, 4, 4), np.uint8)
    for index, pixels in enumerate([1, 9, 0, 4, 2, 3]):
        labels[index].flat[:pixels] = 1
    assert worst_slices(labels) == [1, 3, 4, 5]


def test_an_outline_is_two_pixels_wide() -> None:
    mask = np.zeros((10, 10), np.bool_)
    mask[1:9, 1:9] = True
    assert np.count_nonzero(outline(mask)) == 64 - 16


def test_three_of_many_gaps_are_named() -> None:
    gaps = [{"from_mm": 15 * n, "to_mm": 15 * n + 15} for n in range(5)]
    said = describe_coverage({"from_mm": 0, "to_mm": 75, "share": 0.3, "gaps": gaps})
    assert said[1:] == (
        "not seen: 0 to 15 mm",
        "not seen: 15 to 30 mm",
        "not seen: 30 to 45 mm",
        "not seen: 2 more gaps",
    )


def test_the_page_of_text_names_a_hint_where_it_is_outlined_and_gives_it_no_volume(
    series: SourceSeries,
) -> None:
    labels, every = bleed(series), dict.fromkeys((each.key for each in SUBTYPES), Claim.HINTED)
    said = summary_lines(statement_of(series, labels, claims=every), ORIGIN)
    assert "Intraventricular" not in "".join(said)
    (hint,) = (line for line in said if line.startswith("Epidural hemorrhage (a hint): score"))
    assert "mL" not in hint


def test_a_report_gives_no_hint_of_what_was_not_outlined(
    series: SourceSeries, tmp_path: Path
) -> None:
    labels = np.zeros(series.volume.hu.shape, np.uint8)
    statement = statement_of(series, labels, claims={"EDH": Claim.HINTED})
    sr = encoded(write_objects(series, labels, statement, tmp_path), "SR", "all")
    assert "Epidural hemorrhage (none outlined, not excluded)" in sr
    assert "(a hint)" not in sr


def test_a_long_text_ends_with_where_the_rest_is() -> None:
    short = Statement(Outcome.FAILED, 0, "because")
    long = replace(short, reason="because " * 400)
    assert draw_summary(long, ORIGIN).shape == draw_summary(short, ORIGIN).shape == (512, 512, 3)
    assert not np.array_equal(draw_summary(long, ORIGIN), draw_summary(short, ORIGIN))


def test_a_study_that_was_not_analysed_says_so(series: SourceSeries, tmp_path: Path) -> None:
    written = write_unanalysed(series.headers, UNANALYSED, tmp_path)
    assert [
        (written_object.kind, written_object.audience) for written_object in written.objects
    ] == [("SR", "all"), ("SC", "all")]
    sr = encoded(written, "SR", "all")
    assert "says nothing about hemorrhage" in sr
    assert "not analysed" in sr
    assert "Absent" not in sr
    paths = [written_object.path for written_object in written.objects]
    assert [error for path in paths for error in object_errors(path)] == []


@pytest.mark.parametrize("keyword", ["PatientID", "IssuerOfPatientID"])
def test_an_object_of_another_patient_is_refused(
    series: SourceSeries, written: Written, keyword: str
) -> None:
    ds = dcmread(of(written, "SC", "all")[0].path)
    setattr(ds, keyword, "SOMEBODY")
    with pytest.raises(check.ObjectRefusedError, match=f"{keyword} is not") as caught:
        check.check_identity(ds, Source(series.headers))
    assert "SOMEBODY" not in str(caught.value)


def test_every_kind_has_patient_and_study_as_its_source_has_them(tmp_path: Path) -> None:
    sent = {
        "IssuerOfPatientID": "Köln",
        "IssuerOfPatientIDQualifiersSequence": [item(UniversalEntityID="1.2.9")],
        "OtherPatientIDsSequence": [item(PatientID="X9", IssuerOfPatientID="Süd")],
        "PatientAge": "075Y",
        "PatientWeight": "71.5",
        "StudyDescription": "CT Schädel",
        "ProcedureCodeSequence": [
            item(CodeValue="CTK", CodingSchemeDesignator="L", CodeMeaning="Schädel")
        ],
    }
    series = read_series(Phantom(FEW_MM, changes=sent).write(tmp_path / "in"))
    written = write_all(series, tmp_path / "out")
    assert {result.kind for result in written.objects} == {"SEG", "SR", "SC", "KO"}
    for result in written.objects:
        ds = dcmread(result.path)
        assert {key for key in sent if ds.get(key) != series.headers[0][key].value} == set()


TRIAL = {
    "ClinicalTrialSponsorName": "S",
    "ClinicalTrialProtocolID": "P",
    "ClinicalTrialSubjectID": "1",
    "ClinicalTrialTimePointDescription": "first",
} | dict.fromkeys(
    (
        "ClinicalTrialProtocolName",
        "ClinicalTrialSiteID",
        "ClinicalTrialSiteName",
        "ClinicalTrialTimePointID",
    ),
    "",
)


def test_a_trial_without_a_site_makes_valid_objects(tmp_path: Path) -> None:
    sent = Phantom(FEW_MM, changes=TRIAL).write(tmp_path / "in")
    written = write_all(read_series(sent), tmp_path / "out")
    assert [error for result in written.objects for error in object_errors(result.path)] == []


def test_masks_on_another_slice_are_refused(series: SourceSeries, written: Written) -> None:
    ds = dcmread(of(written, "SEG", "full")[0].path)
    labels = bleed(series)
    findings = statement_of(series, labels).findings
    check.check_segmentation(ds, series, labels, findings)
    with pytest.raises(check.ObjectRefusedError, match="does not lie on its source frames"):
        check.check_segmentation(ds, series, labels[::-1], findings)


def test_masks_of_another_volume_are_refused(series: SourceSeries, written: Written) -> None:
    ds = dcmread(of(written, "SEG", "full")[0].path)
    labels = bleed(series)
    wrong = [
        replace(finding, volume_ml=finding.volume_ml + 1)
        for finding in statement_of(series, labels).findings
    ]
    with pytest.raises(check.ObjectRefusedError, match="another volume"):
        check.check_segmentation(ds, series, labels, wrong)


def test_a_report_of_other_numbers_is_refused(series: SourceSeries, written: Written) -> None:
    sr = dcmread(of(written, "SR", "full")[0].path)
    statement = statement_of(series, bleed(series))
    check.check_report(sr, statement)
    wrong = [replace(finding, volume_ml=finding.volume_ml + 1) for finding in statement.findings]
    with pytest.raises(check.ObjectRefusedError, match="volume of"):
        check.check_report(sr, replace(statement, findings=tuple(wrong)))


def test_a_speck_that_is_no_finding_refuses_no_report(series: SourceSeries, tmp_path: Path) -> None:
    labels = np.zeros(series.volume.hu.shape, np.uint8)
    measured = statement_of(series, labels)
    speck = [
        replace(finding, volume_ml=0.03) for finding in measured.findings
    ]  # not present, yet measured
    written = write_objects(series, labels, replace(measured, findings=tuple(speck)), tmp_path)
    assert written.refused == []
    assert {written_object.kind for written_object in written.objects} == {"SR", "SC"}


def test_a_storage_that_fails_refuses_no_object_but_is_tried_again(
    series: SourceSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(check, "read_back", fail)
    with pytest.raises(TransientError, match="storage: Input/output error"):
        write_all(series, tmp_path)


def test_an_object_that_is_refused_takes_no_other_with_it(
    series: SourceSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise check.ObjectRefusedError("KO: selects other images than those with a mask")

    monkeypatch.setattr(check, "check_references", refuse)
    written = write_all(series, tmp_path)
    assert written.refused == ["KO: selects other images than those with a mask"]
    assert {written_object.kind for written_object in written.objects} == {"SEG", "SR", "SC"}


def test_the_names_of_all_objects_are_made_durable_before_a_row_can_refer_to_them(
    series: SourceSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[set[Path]] = []
    monkeypatch.setattr(durable, "sync_folder", lambda folder: synced.append(set(folder.iterdir())))
    written = write_all(series, tmp_path)
    assert synced == [{result.path for result in written.objects}]


def test_a_type_nobody_looked_for_is_not_told_apart() -> None:
    assert all(UNANALYSED.claim(subtype) is Claim.NOT_TOLD_APART for subtype in SUBTYPES)
