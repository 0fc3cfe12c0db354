import math
from dataclasses import replace

import pytest
import torch

from trainer.config import Loss
from trainer.training.losses import (
    Target,
    dice,
    dice_loss,
    focal,
    mask_loss,
    total_loss,
    volume_loss,
)
from worker.munet.network import Output


def test_focal_without_gamma_and_alpha_is_half_the_cross_entropy():
    logits, truth = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    entropy = (math.log(2) + math.log(1 + math.exp(2))) / 2
    assert focal(logits, truth, gamma=0, alpha=0.5).item() == pytest.approx(entropy / 2)


def test_focal_discounts_an_easy_score_by_its_square():
    # p = 0.9 given to the truth: 0.25 * (1 - 0.9)^2 * -ln 0.9
    logits = torch.tensor([[math.log(9)]])
    expected = 0.25 * 0.01 * -math.log(0.9)
    assert focal(logits, torch.ones(1, 1), 2, 0.25).item() == pytest.approx(expected, rel=1e-4)


def test_dice_of_half_an_overlap():
    assert dice(torch.tensor(1.0), torch.tensor(2.0 + 2.0)).item() == pytest.approx(3 / 5)


def test_dice_of_nothing_against_nothing_is_1():
    assert dice(torch.tensor(0.0), torch.tensor(0.0)).item() == 1


def one_slice(types, blood=True):
    mask = torch.zeros(1, 4, 4)
    mask[0, :2] = float(blood)
    return Target(mask, torch.tensor([types], dtype=torch.float32))


EDH, MIXED, NONE = [1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]


def test_the_mask_stands_in_its_types_map_and_in_any():
    assert one_slice(EDH).maps().sum((0, 2, 3)).tolist() == [8, 0, 0, 0, 0, 8]


def test_the_type_maps_of_a_mixed_slice_are_unknown():
    assert one_slice(MIXED).known.tolist() == [[0, 0, 0, 0, 0, 1]]


def test_a_mixed_slice_scores_each_of_its_types_and_any():
    assert one_slice(MIXED).scores.tolist() == [[0, 1, 1, 0, 0, 1]]


@pytest.mark.parametrize("config", [Loss(), Loss(cross_entropy=1.0, positive_weight=4.0)])
def test_type_maps_of_a_mixed_slice_get_no_gradient(config):
    logits = torch.zeros(1, 6, 4, 4, requires_grad=True)
    mask_loss(logits, one_slice(MIXED), config).backward()
    assert logits.grad[:, :5].abs().max() == 0
    assert logits.grad[:, 5].abs().min() > 0


def test_healthy_slices_push_masks_down():
    logits = torch.zeros(1, 6, 4, 4, requires_grad=True)
    mask_loss(logits, one_slice(NONE, blood=False), Loss()).backward()
    assert (logits.grad > 0).all()


def test_a_perfect_mask_costs_next_to_nothing():
    target = one_slice(EDH)
    logits = (target.maps() * 2 - 1) * 20
    config = Loss(cross_entropy=1.0, positive_weight=4.0)
    assert mask_loss(logits, target, config).item() == pytest.approx(0, abs=1e-5)


def test_dice_loss_of_an_empty_answer_by_hand():
    target = one_slice(EDH)
    # By slice: EDH and any each 1 - 1/(8+1). Over the batch the same two, and four maps at 0.
    expected = (8 / 9 + 2 * (8 / 9) / 6) / 2
    found = dice_loss(torch.zeros(1, 6, 4, 4), target.maps(), target.known)
    assert found.item() == pytest.approx(expected)


def test_all_four_branches_count():
    target = one_slice(EDH)
    output = Output((torch.zeros(1, 6, 4, 4),) * 4, torch.zeros(1, 6))
    scores = total_loss(output, target, Loss(lambda_masks=0))
    one = total_loss(output, target, Loss(branches=(0, 0, 0, 1))) - scores
    four = total_loss(output, target, Loss()) - scores
    assert four.item() == pytest.approx(4 * one.item())


def test_lambda_weighs_the_masks():
    target = one_slice(EDH)
    output = Output((torch.zeros(1, 6, 4, 4),) * 4, torch.zeros(1, 6))
    none, one, two = (
        total_loss(output, target, replace(Loss(), lambda_masks=value)).item() for value in range(3)
    )
    assert two - one == pytest.approx(one - none)
    assert one > none


def test_where_pixels_are_known_a_mixed_slice_teaches_its_types():
    typed = torch.zeros(2, 5, 4, 4)
    typed[1, 0, :, :2], typed[1, 4, :, 2:] = 1, 1
    types = torch.tensor([[0.0, 1, 0, 0, 0], [1, 0, 0, 0, 1]])
    target = Target(torch.ones(2, 4, 4), types, typed)
    assert target.known.tolist() == [[1] * 6] * 2
    assert torch.equal(target.maps()[1, :5], typed[1])
    assert torch.equal(target.maps()[0, 1], torch.ones(4, 4))


def test_a_volume_that_is_met_costs_nothing_wherever_it_lies():
    truth = torch.zeros(2, 8, 8)
    truth[0, :4] = 1
    assert volume_loss(truth.flip(1), truth).item() == 0


def test_half_a_volume_costs_as_much_as_twice_the_volume():
    truth = torch.zeros(1, 16, 16)
    truth[:, :8] = 1
    half, twice = truth * 0.5, torch.ones_like(truth)
    assert volume_loss(half, truth).item() == pytest.approx(1 / 3, abs=0.01)
    assert volume_loss(twice, truth).item() == pytest.approx(1 / 3, abs=0.01)


def test_blood_where_there_is_none_costs_by_its_volume():
    nothing = torch.zeros(1, 16, 16)
    assert volume_loss(torch.ones(1, 16, 16) * 0.1, nothing) > 0
    assert volume_loss(nothing, nothing).item() == 0


def test_the_volume_counts_only_where_a_preset_asks_for_it():
    logits, mask = torch.full((1, 6, 8, 8), -2.0), torch.zeros(1, 8, 8)
    mask[:, :4] = 1
    target = Target(mask, torch.eye(5)[:1])
    without, asked = (mask_loss(logits, target, Loss(volume=weight)) for weight in (0.0, 2.0))
    off = 2 * volume_loss(logits[:, -1].sigmoid(), mask)
    assert (asked - without).item() == pytest.approx(off.item())
