import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from tests.support.ctich import TINY, make
from trainer.cli import app
from trainer.config import ConfigError, RunConfig, Smote, Stage, load_config
from trainer.experiments.ablation import named_rows, variants

pytestmark = pytest.mark.slow  # trains

PATIENTS = {1: ("EDH",), 2: (), 3: ("EDH",), 4: (), 5: ("EDH",), 6: (), 7: ("EDH",)}


def test_each_row_is_one_step_from_the_proposed_method():
    rows = {v.key: v.config for v in variants(load_config("best"))}
    proposed = rows["fpn-smote"]
    steps = {
        "smote": replace(proposed, network=replace(proposed.network, fpn=False)),
        "fpn": replace(proposed, smote=Smote()),
        "gray": replace(proposed, preprocessing=replace(proposed.preprocessing, channels="gray")),
        "clahe": replace(proposed, preprocessing=replace(proposed.preprocessing, clip_limit=2.0)),
    }
    for key, config in steps.items():
        assert replace(rows[key], name="") == replace(config, name="")
    assert list(rows) == ["smote", "fpn", "fpn-smote", "gray", "clahe"]


def test_a_preset_with_bones_window_has_rows_that_can_be_told_apart():
    rows = variants(load_config("bone"))
    assert len({row.label for row in rows}) == len(rows)
    assert {row.config.network.in_channels for row in rows} == {3, 4}


def test_smote_has_table_4s_counts_where_the_preset_has_none():
    assert variants(RunConfig("x"))[0].config.smote == load_config("paper").smote
    own = Smote(EDH=9)
    assert variants(RunConfig("x", smote=own))[0].config.smote == own


def test_a_preset_that_knows_blood_alone_has_no_row_with_neighbours():
    keys = [row.key for row in variants(load_config("paper"))]
    assert keys == ["smote", "fpn", "fpn-smote", "no-clahe"]


def test_an_unknown_row_is_refused():
    with pytest.raises(ConfigError, match=r"\['x'\]"):
        named_rows(variants(RunConfig("run")), "fpn,x")


def test_a_shortened_run_keeps_the_shares_of_its_stages():
    config = RunConfig("x", stages=(Stage(128, 20), Stage(256, 10)))
    assert [s.epochs for s in config.shortened(6).stages] == [4, 2]
    assert [(s.size, s.epochs) for s in config.shortened(1).stages] == [(256, 1)]


def test_one_command_trains_the_rows_and_prints_them_beside_the_papers(tmp_path):
    make(tmp_path / "data", PATIENTS)
    (tmp_path / "tiny.toml").write_text(TINY + "[smote]\nEDH = 5\n")
    command = ["ablate", "--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache")]
    command += ["--run", str(tmp_path / "run"), "--preset", str(tmp_path / "tiny.toml")]
    command += ["--held-out", "1,2", "--epochs", "1"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "run" / "ablate.json").read_text())
    assert (figures["patients"], figures["trained_on"]) == ([1, 2], [3, 4, 5, 6, 7])
    assert [row["key"] for row in figures["rows"]] == [
        "smote",
        "fpn",
        "fpn-smote",
        "gray",
        "clahe",
    ]
    pair = {row["key"]: row["clinical"]["slice_auc"]["value"] for row in figures["rows"]}
    differs = figures["against_proposed"]
    assert set(differs) == {"smote", "fpn", "gray", "clahe"}
    for key, found in differs.items():
        assert found["slice_auc"]["value"] == pytest.approx(pair[key] - pair["fpn-smote"])
    page = (tmp_path / "run" / "ablate.html").read_text()
    assert "Difference to the proposed method" in page
    assert "0.92" in page  # the paper's SAH
    assert "those with several where each pixel&#39;s type is known" in page
    before = (tmp_path / "run" / "fpn" / "state.pt").stat().st_mtime_ns
    alone = CliRunner().invoke(app, [*command, "--rows", "fpn"])
    assert alone.exit_code == 0, alone.output
    assert "Difference to the proposed" not in alone.output
    assert (tmp_path / "run" / "fpn" / "state.pt").stat().st_mtime_ns == before
