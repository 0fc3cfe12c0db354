import json
from dataclasses import replace

import pytest

from trainer.config import ConfigError
from trainer.evaluation.operating import POINTS
from trainer.experiments.site import calibrated, told
from trainer.experiments.verdicts import Verdict, read_verdicts
from trainer.reports.evaluation_report import heading, known
from worker.munet.card import Card, OperatingPoint, Scoring
from worker.munet.network import NetworkConfig
from worker.munet.preprocessing import Preprocessing


@pytest.fixture
def card():
    points = {"balanced": OperatingPoint(study_any=0.36, mask=0.3)}
    network = NetworkConfig(width=4)
    return Card("tiny", "", network, Preprocessing(), Scoring(), points, "balanced")


def verdicts():
    return [Verdict(0.6, bleeds=False)] * 12 + [Verdict(0.9, bleeds=True)] * 10


def test_a_sites_studies_move_the_study_threshold_into_their_gap(card):
    made = calibrated(card, verdicts())
    assert made.operating_point.study_any == pytest.approx(0.75)
    assert made.operating_point.study_gate == made.operating_point.study_any


def test_a_sites_studies_move_nothing_but_the_study_threshold_and_its_gate(card):
    made = calibrated(card, verdicts())
    before, after = card.to_json(), made.to_json()
    for name in ("study_any", "study_gate"):
        del before["operating_points"]["balanced"][name]
        del after["operating_points"]["balanced"][name]
    del before["training"], after["training"]
    assert before == after


def test_no_point_of_a_site_that_is_named_for_sensitivity_calls_less_than_another(card):
    point = card.operating_point
    every = replace(card, operating_points=dict.fromkeys(POINTS, point))
    apart = [Verdict(p / 100, bleeds=p >= 60) for p in (*range(5, 41), *range(60, 100, 2))]
    limits = [p.study_any for p in calibrated(every, apart).operating_points.values()]
    assert limits == sorted(limits)


def test_a_report_tells_a_sites_checkpoint_from_the_one_that_shipped(card):
    shipped, sites = (heading(c, known(c, [1])).text for c in (card, calibrated(card, verdicts())))
    assert "Operating point balanced, study threshold 0.360." in shipped
    assert "study threshold 0.750, thresholds of a site, 22 studies." in sites


def test_each_point_says_how_many_studies_it_called_right_and_warns_where_few_were(card):
    every = replace(card, operating_points=dict.fromkeys(POINTS, card.operating_point))
    mixed = [*[Verdict(0.9, bleeds=False)] * 2, *verdicts(), *[Verdict(0.1, bleeds=True)] * 12]
    said = {
        line.partition(":")[0]: line for line in told(calibrated(every, mixed).training["site"])
    }
    assert set(said) == set(POINTS)
    assert (
        "sensitivity 22 of 22, specificity 0 of 14. Its specificity is below one half"
        in (said["high-sensitivity"])
    )
    good = list(told(calibrated(card, verdicts()).training["site"]))
    assert good == ["balanced: sensitivity 10 of 10, specificity 12 of 12"]


def test_few_studies_choose_no_threshold(card):
    with pytest.raises(ConfigError, match="9 studies with blood"):
        calibrated(card, verdicts()[:-1])


def test_verdicts_are_read_from_a_table_and_from_json(tmp_path):
    table, listed = tmp_path / "v.csv", tmp_path / "v.json"
    table.write_text("probability,bleeds\n0.5,yes\n0.25,0\n")
    listed.write_text(json.dumps([{"probability": 0.5, "bleeds": True}]))
    assert read_verdicts(table) == [Verdict(0.5, bleeds=True), Verdict(0.25, bleeds=False)]
    assert read_verdicts(listed) == [Verdict(0.5, bleeds=True)]


def test_a_table_with_semicolons_and_decimal_commas_is_read(tmp_path):
    (tmp_path / "v.csv").write_text("\ufeffprobability;bleeds\n0,5;1\n0,25;0\n", "utf-8")
    read = read_verdicts(tmp_path / "v.csv")
    assert read == [Verdict(0.5, bleeds=True), Verdict(0.25, bleeds=False)]


def test_a_file_that_is_no_array_is_named(tmp_path):
    (tmp_path / "v.json").write_text("5")
    with pytest.raises(ConfigError, match=r"v\.json: is no array"):
        read_verdicts(tmp_path / "v.json")


@pytest.mark.parametrize("row", ["2,1", "0.5,perhaps", "x,1", ",1"])
def test_a_row_that_is_no_verdict_is_named(tmp_path, row):
    (tmp_path / "v.csv").write_text(f"probability,bleeds\n0.5,1\n{row}\n")
    with pytest.raises(ConfigError, match="study 2"):
        read_verdicts(tmp_path / "v.csv")


def test_a_table_that_is_no_utf_8_is_named_with_its_line(tmp_path):
    (tmp_path / "v.csv").write_bytes("probability,bleeds,by\n0.5,1,Müller\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"v\.csv, line 2: .* save the file as UTF-8"):
        read_verdicts(tmp_path / "v.csv")


EXPORTED = "study_instance_uid,model_sha256,probability,bleeds\n"


OLD, NEW = "2026-02-01T08:00:00.000Z", "2026-02-01T03:30:00.000-05:00"


def exported(folder, *rows):
    """Write rows of an export with the time each was given at."""
    path = folder / "v.csv"
    path.write_text(f"{EXPORTED[:-1]},given_at\n" + "".join(f"{row}\n" for row in rows))
    return path


@pytest.mark.parametrize("order", [1, -1], ids=["as exported", "sorted newest first"])
def test_the_newest_verdict_of_a_study_counts_wherever_it_stands(tmp_path, order):
    rows = [f"1.2,a,0.5,True,{OLD}", f"1.3,a,0.25,False,{OLD}", f"1.2,a,0.5,False,{NEW}"]
    read = read_verdicts(exported(tmp_path, *rows[::order]), "a")
    assert sorted(read, key=lambda v: v.probability) == [
        Verdict(0.25, bleeds=False),
        Verdict(0.5, bleeds=False),
    ]


def test_a_verdict_on_another_models_score_takes_none_of_this_ones_back(tmp_path):
    rows = (f"1.2,a,0.5,True,{OLD}", f"1.2,b,0.9,False,{NEW}", f"1.2,a,,False,{NEW}")
    assert read_verdicts(exported(tmp_path, *rows), "a") == [Verdict(0.5, bleeds=True)]


def test_a_verdict_that_was_left_open_later_counts_no_more(tmp_path):
    rows = (f"1.2,a,0.5,,{NEW}", f"1.2,a,0.5,True,{OLD}")
    assert read_verdicts(exported(tmp_path, *rows), "a") == []


@pytest.mark.parametrize(
    ("given_at", "words"), [("1.2.26 9:30", "no time"), ("", "no time"), (OLD, "verdict 1 was")]
)
def test_a_row_is_named_where_the_newest_verdict_can_not_be_told(tmp_path, given_at, words):
    rows = (f"1.2,a,0.5,True,{OLD}", f"1.2,a,0.5,False,{given_at}")
    with pytest.raises(ConfigError, match=rf"v\.csv, verdict 2 of study 1\.2: .*{words}"):
        read_verdicts(exported(tmp_path, *rows), "a")


def test_a_studys_only_verdict_needs_no_time(tmp_path):
    path = exported(tmp_path, "1.2,a,0.5,True,yesterday", f"1.2,b,0.5,True,{OLD}")
    assert read_verdicts(path, "a") == [Verdict(0.5, bleeds=True)]


@pytest.mark.parametrize("row", ["1.2,a,,True", "1.2,a,0.5,", "1.2,b,0.5,True"])
def test_what_an_export_says_of_no_threshold_is_left_out(tmp_path, row):
    (tmp_path / "v.csv").write_text(f"{EXPORTED}{row}\n")
    assert read_verdicts(tmp_path / "v.csv", "a") == []


def test_a_row_that_is_no_object_is_named(tmp_path):
    (tmp_path / "v.json").write_text("[3]")
    with pytest.raises(ConfigError, match="study 1"):
        read_verdicts(tmp_path / "v.json")
