import re
from dataclasses import replace

import numpy as np
import pytest

from tests.support.studies import study
from trainer.datasets.people import person_number
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.gallery import Example, Gallery
from trainer.reports import published
from trainer.reports.document import Text, html
from trainer.reports.evaluation_report import sections
from trainer.reports.tables import (
    any_bleed,
    by_volume,
    predictive,
    table_7,
    table_9,
    table_10,
    table_11,
)
from worker.munet.preprocessing import Preprocessing
from worker.munet.resize import Box

pytestmark = pytest.mark.slow  # evaluates a trained network

STUDIES = [
    study(1, ["EDH", "EDH", None], [100, 50, 0], [100, 0, 10], [80, 0, 0], [0.9, 0.4, 0.6]),
    study(2, ["SDH"], [30], [30], [30], [0.8]),
    study(3, [None, None], [0, 0], [0, 0], [0, 0], [0.1, 0.2]),
]


@pytest.fixture(scope="module")
def report():
    return evaluate(STUDIES, "tiny", "0" * 64)


def row(table, name):
    return next(row for row in table.rows if row[0] == name)


def test_table_7_has_ours_beside_the_papers(report):
    assert row(table_7(report), "EDH")[:7] == ("EDH", "2", "1", "0.40", "0.84", "0.33", "0.69")
    assert row(table_7(report), "SAH")[3] == "n/m"
    assert "not measurable" in table_7(report).footnote


def test_table_9_counts_argmax_of_five(report):
    assert row(table_9(report), "SDH")[1:5] == ("1.00", "0.81", "1.00", "1.00")
    assert row(table_9(report), "all")[1:3] == ("1.000", "0.987")


def test_others_stand_above_ours(report):
    for table in (table_10(report), table_11(report)):
        assert table.rows[-1][0] == "this model"
        assert table.rows[-2][1] == "MUNet, the paper"


def test_the_papers_means_are_those_of_its_types():
    for means in (published.DICE, published.IOU):
        types = [means[name] for name in published.ORDER]
        assert np.mean(types) == pytest.approx(means["mean"], abs=0.01)


def test_any_bleed_has_intervals_by_patient(report):
    interval = r"\d\.\d\d \(\d\.\d\d to \d\.\d\d\)"
    assert re.fullmatch(interval, row(any_bleed(report), "specificity")[1])
    assert row(any_bleed(report), "AUC")[1] == "0.89"  # of two people with blood: no interval


def test_scans_of_one_person_are_no_independent_patients():
    first = person_number("BHSD", "A")
    scans = [replace(STUDIES[1], patient=first + number) for number in range(20)]
    report = evaluate([*scans, STUDIES[2]], "tiny", "0" * 64)
    assert row(by_volume(report), "< 1 mL")[1:] == ("20", "1.00")
    assert "2 patients (21 scans)" in any_bleed(report).footnote
    assert all("(" not in cell for line in predictive(report).rows for cell in line[1:])


@pytest.fixture(scope="module")
def gallery():
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 255, (64, 64)).astype(np.uint8)
    truth = np.zeros((64, 64), np.bool_)
    truth[20:40, 20:40] = True
    example = Example(1, 2, grey, truth, np.roll(truth, 5), Box.frame(64, 64))
    return Gallery(Preprocessing(size=32), {"EDH": example}, [example])


def test_every_figure_of_the_paper_that_can_be_measured_is_there(report, gallery):
    paper, clinical = sections(report, STUDIES, gallery)
    assert [figure.name for figure in paper.figures] == [
        "figure-09",
        "figure-14",
        "figure-15",
        "figure-16",
        "figure-17",
    ]
    assert [figure.name for figure in clinical.figures] == [
        "roc-any",
        "calibration",
        "volumes",
        "worst-cases",
    ]
    assert all(f.png.startswith(b"\x89PNG") for f in (*paper.figures, *clinical.figures))


def test_the_report_loads_nothing(report, gallery):
    page = html(Text("Title", "Text"), sections(report, STUDIES, gallery))
    assert not re.search(r"https?:|<link|<script|@import", page)
    assert page.count("data:image/png;base64,") == 9
