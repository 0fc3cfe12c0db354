import hashlib
import json
from dataclasses import replace

import pytest
import torch

from worker.munet import checkpoint
from worker.munet.card import Card, OperatingPoint, Scoring
from worker.munet.ensemble import halved, joined, widened
from worker.munet.errors import CheckpointError
from worker.munet.network import MUNet, NetworkConfig
from worker.munet.preprocessing import Preprocessing


@pytest.fixture
def pair(tmp_path):
    config = NetworkConfig(width=4)
    card = Card(
        "tiny",
        "",
        config,
        Preprocessing(),
        Scoring(),
        {"balanced": OperatingPoint()},
        "balanced",
        training={"patients": [1, 2]},
    )
    path = tmp_path / "tiny.safetensors"
    checkpoint.write(path, MUNet(config).state_dict(), card)
    return path


def change(path, **values):
    card_path = path.with_suffix(".json")
    card = json.loads(card_path.read_text())
    for name, value in values.items():
        *way, last = name.split("__")
        place = card
        for step in way:
            place = place[step]
        place[last] = value
    card_path.write_text(json.dumps(card))


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_either_file_loads_the_pair(pair, suffix):
    network, card = checkpoint.read(pair.with_suffix(suffix))
    assert card.name == "tiny"
    assert not network.training


def test_weights_come_back_as_they_were_written(tmp_path, pair):
    network, card = checkpoint.read(pair)
    checkpoint.write(tmp_path / "again.safetensors", network.state_dict(), card)
    assert (tmp_path / "again.safetensors").read_bytes() == pair.read_bytes()


def test_the_card_comes_back_as_it_was_written(pair):
    card = checkpoint.read_card(pair)
    assert Card.from_json(json.dumps(card.to_json())) == card


def test_no_part_file_stays_behind(pair):
    assert sorted(p.name for p in pair.parent.iterdir()) == ["tiny.json", "tiny.safetensors"]


@pytest.mark.parametrize(
    "values",
    [
        {"sha256": "0" * 64},
        {"format": "ihsnet-munet/99"},
        {"classes": ["EDH", "IPH", "IVH", "SDH", "SAH"]},
        {"network__width": 8},
        {"network__fpn": False},
        {"network__width": "4"},
        {"network__unheard_of": 1},
        {"unheard_of": 1},
        {"chosen": "other"},
        {"operating_points": {}},
        {"operating_points__balanced__mask": 2.0},
        {"operating_points__balanced__types": [0.5]},
        {"scoring__slice__slope": [-1.0] * 6},
        {"preprocessing__size": 100},
        {"preprocessing": None},
    ],
    ids=lambda values: "-".join(values),
)
def test_a_mismatch_is_refused_by_name(pair, values):
    change(pair, **values)
    with pytest.raises(CheckpointError, match=r"tiny\.(json|safetensors)"):
        checkpoint.read(pair)


def test_an_unknown_key_is_named_with_its_file_and_place(pair):
    change(pair, scoring__slices=3)
    with pytest.raises(CheckpointError, match=r"tiny\.json: scoring\.slices: is unknown"):
        checkpoint.read_card(pair)


def test_a_card_of_the_first_format_is_read_as_it_was_meant(pair):
    card = json.loads(pair.with_suffix(".json").read_text()) | {"format": "ihsnet-munet/1"}
    del card["preprocessing"]["straighten"], card["preprocessing"]["brain_hu"]
    pair.with_suffix(".json").write_text(json.dumps(card))
    assert not checkpoint.read_card(pair).preprocessing.straighten


@pytest.mark.parametrize("noise_hu", [0.0, 1.6])
def test_what_an_older_release_does_not_know_is_written_only_where_it_does_something(
    pair, noise_hu
):
    network, card = checkpoint.read(pair)
    feeding = replace(card.preprocessing, noise_hu=noise_hu)
    checkpoint.write(pair, network.state_dict(), replace(card, preprocessing=feeding))
    written = json.loads(pair.with_suffix(".json").read_text())["preprocessing"]
    assert ("noise_hu" in written) == bool(noise_hu)
    assert checkpoint.read_card(pair).preprocessing == feeding


def test_a_missing_key_is_refused(pair):
    card = json.loads(pair.with_suffix(".json").read_text())
    del card["preprocessing"]
    pair.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=r"tiny\.json: preprocessing: is missing"):
        checkpoint.read(pair)


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_a_missing_file_is_named(pair, suffix):
    pair.with_suffix(suffix).unlink()
    with pytest.raises(CheckpointError, match=f"tiny\\{suffix}: No such file"):
        checkpoint.read(pair)


def test_a_flipped_bit_in_the_weights_is_refused(pair):
    data = bytearray(pair.read_bytes())
    data[-1] ^= 1
    pair.write_bytes(data)
    with pytest.raises(CheckpointError, match="sha256"):
        checkpoint.read(pair)


def test_weights_that_are_no_safetensors_are_refused(pair, tmp_path):
    network, card = checkpoint.read(pair)
    other = tmp_path / "other.safetensors"
    torch.save(network.state_dict(), other)
    checkpoint.write(tmp_path / "third.safetensors", {}, card)
    (tmp_path / "third.json").replace(tmp_path / "other.json")
    change(other, sha256=hashlib.sha256(other.read_bytes()).hexdigest())
    with pytest.raises(CheckpointError, match="does not fit"):
        checkpoint.read(other)


def test_json_that_is_cut_off_is_refused(pair):
    text = pair.with_suffix(".json").read_text()
    pair.with_suffix(".json").write_text(text[: len(text) // 2])
    with pytest.raises(CheckpointError, match=r"tiny\.json"):
        checkpoint.read(pair)


def test_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"model\.pth"):
        checkpoint.read(tmp_path / "model.pth")


def test_an_ensemble_answers_with_the_mean_of_its_members(tmp_path, pair):
    alone, card = checkpoint.read(pair)
    torch.manual_seed(1)
    other = MUNet(card.network).eval()
    path = tmp_path / "two.safetensors"
    weights = joined([alone.state_dict(), other.state_dict()])
    checkpoint.write(path, weights, replace(card, members=2))
    both, _ = checkpoint.read(path)
    x = torch.rand(1, 3, 64, 64)
    expected = (alone(x).scores + other(x).scores) / 2
    assert torch.allclose(both(x).scores, expected, atol=1e-5)


def test_a_network_that_is_given_more_channels_than_it_learned_from_answers_as_before():
    torch.manual_seed(0)
    learned = MUNet(NetworkConfig(width=4)).eval()
    wide = MUNet(NetworkConfig(width=4, in_channels=4)).eval()
    wide.load_state_dict(widened(learned.state_dict(), 4))
    x = torch.rand(2, 4, 32, 32)
    assert torch.allclose(wide(x).scores, learned(x[:, :3]).scores, atol=1e-6)
    with pytest.raises(ValueError, match="looks at 4 channels, 3 are given"):
        widened(wide.state_dict(), 3)


def test_a_network_of_other_channels_than_its_preprocessing_is_refused(pair):
    change(pair, preprocessing__channels="bone")
    with pytest.raises(CheckpointError, match="has 4 channels as it is fed, the network takes 3"):
        checkpoint.read(pair)


def test_half_precision_halves_the_file_and_keeps_the_answer(tmp_path, pair):
    network, card = checkpoint.read(pair)
    path = tmp_path / "half.safetensors"
    checkpoint.write(path, halved(network.state_dict()), card)
    again, _ = checkpoint.read(path)
    x = torch.rand(1, 3, 64, 64)
    assert path.stat().st_size < 0.6 * pair.stat().st_size
    assert torch.allclose(again(x).scores, network(x).scores, atol=1e-2)


def test_a_type_that_the_card_does_not_name_is_not_told_apart(pair):
    card = replace(checkpoint.read_card(pair), claims={"EDH": "REPORTED"})
    assert [card.claim(name) for name in ("EDH", "SAH")] == ["REPORTED", "NOT_TOLD_APART"]


def test_a_claim_about_an_unknown_type_is_refused(pair):
    change(pair, claims={"XDH": "REPORTED"})
    with pytest.raises(CheckpointError, match="XDH"):
        checkpoint.read_card(pair)
