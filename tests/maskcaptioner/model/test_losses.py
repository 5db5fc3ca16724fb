from __future__ import annotations

import pytest
import torch

from capgen.maskcaptioner.model.clip import Federated
from capgen.maskcaptioner.model.config import LOSSES
from capgen.maskcaptioner.model.segmentation.boxes import giou, mask_boxes
from capgen.maskcaptioner.model.segmentation.losses import ClipLoss
from capgen.maskcaptioner.model.segmentation.matcher import LayerOutputs
from capgen.maskcaptioner.model.segmentation.points import read_masks, uncertain_points
from tests.maskcaptioner.tinymodel import CAPTIONS, SEGMENTER, clip, target, tiny_model

SIZE = (64, 96)


def _outputs(truth, queries: int = 4, classes: int = 5, layers: int = 2) -> LayerOutputs:
    """Perfect predictions: query 3 - n answers for object n."""
    frames = truth.visible_NT.shape[1]
    masks = torch.full((layers, 1, queries, frames, 16, 24), -9.0)
    scores = torch.full((layers, 1, queries, classes), -9.0)
    objects = torch.tensor([9.0, -9.0]).expand(layers, 1, queries, 2).clone()
    boxes = torch.full((layers, 1, queries, frames, 4), 0.5)
    for n in range(len(truth)):
        q = queries - 1 - n
        masks[:, 0, q] = torch.nn.functional.interpolate(truth.masks_NTHW[n][None].float(), size=(16, 24))[0] * 18 - 9
        scores[:, 0, q, truth.class_ids_N[n]] = 9.0
        objects[:, 0, q] = torch.tensor([-9.0, 9.0])
        boxes[:, 0, q] = mask_boxes(truth.masks_NTHW[n : n + 1], SIZE)[0]
    return LayerOutputs(masks, boxes, scores, objects)


def test_perfect_predictions_are_matched_and_cost_next_to_nothing():
    truth = target()
    losses, matches = ClipLoss({**LOSSES, "points": 500})(_outputs(truth), [truth], SIZE)
    assert dict(zip(*(side.tolist() for side in matches[0]), strict=True)) == {3: 0, 2: 1}
    assert losses["obj"] < 0.01
    assert losses["cls"] < 0.01
    assert losses["l1"] < 1e-5
    assert losses["giou"] < 1e-5
    assert losses["bce"] + losses["dice"] < 1.2  # but for the edges, which stride 4 cannot follow exactly


def test_each_of_the_seven_losses_weighs_what_the_paper_says():
    """One query and one object: whatever the weights, they are matched, and only the weights differ."""
    paper = {"dice": 5, "bce": 5, "l1": 5, "giou": 2, "cls": 2, "obj": 2, "lm": 1}
    found = []
    for weights in ({}, dict.fromkeys(paper, 1.0)):
        model = tiny_model(box_head=True, segmenter=SEGMENTER | {"num_queries": 1}, losses={"points": 64} | weights)
        torch.manual_seed(1)  # the points of the mask losses are drawn
        found.append(model.train()(clip(), targets=[target(captions=CAPTIONS[:1])]).losses)
    assert set(found[0]) == set(found[1]) == set(paper)
    for name, weight in paper.items():
        assert found[1][name] > 0.01, f"a {name} of 0 would tell nothing"
        assert (found[0][name] / found[1][name]).item() == pytest.approx(weight, rel=1e-4), name


def test_the_object_that_moves_is_told_from_the_one_that_stays_by_all_frames():
    """Both masks agree on the first frame; only the others tell which query is whose."""
    masks = torch.zeros(2, 3, 64, 96, dtype=torch.bool)
    masks[:, 0, 8:24, 8:24] = True
    masks[0, 1:, 8:24, 8:24] = True
    masks[1, 1:, 40:56, 60:76] = True
    truth = target(frames=3, masks_NTHW=masks)
    _, matches = ClipLoss({**LOSSES, "points": 900, "cls": 0, "l1": 0, "giou": 0})(_outputs(truth), [truth], SIZE)
    assert dict(zip(*(side.tolist() for side in matches[0]), strict=True)) == {3: 0, 2: 1}


def test_federated_classes_punish_only_what_is_known_to_be_absent():
    loss = ClipLoss({**LOSSES, "federated": 3})
    truth = target(class_ids_N=torch.tensor([0, 1]), federated=Federated(negative=[4], not_exhaustive=[1, 2]))
    assert loss._asked(truth, 5, torch.device("cpu")).tolist() == [True, False, False, False, True]
    everything = loss._asked(target(), 5, torch.device("cpu"))
    assert everything.all()


def test_federated_classes_are_filled_up_by_frequency_and_never_with_barred_ones():
    loss = ClipLoss({**LOSSES, "federated": 3}, class_counts=[1, 0, 10_000, 1, 1, 5])
    truth = target(class_ids_N=torch.tensor([0, -1]), federated=Federated(not_exhaustive=[5]))
    torch.manual_seed(0)
    drawn = torch.stack([loss._asked(truth, 6, torch.device("cpu")) for _ in range(50)]).sum(0)
    assert drawn[0] == 50
    assert drawn[2] > 45
    assert drawn[5] == 0


def test_a_barred_class_still_counts_for_an_object_that_has_it():
    truth = target(class_ids_N=torch.tensor([1, 1]), federated=Federated(not_exhaustive=[1]))
    outputs = _outputs(truth)
    worse = LayerOutputs(outputs.masks_LBQThw, outputs.boxes_LBQT4, -outputs.classes_LBQC, outputs.objects_LBQ2)
    losses = [ClipLoss({**LOSSES, "points": 99, "federated": 1})(o, [truth], SIZE)[0]["cls"] for o in (outputs, worse)]
    assert losses[1] > losses[0] + 10


def test_objects_of_unknown_class_have_no_class_loss():
    truth = target(class_ids_N=torch.tensor([-1, -1]))
    known = target()
    losses, _ = ClipLoss({**LOSSES, "points": 99})(_outputs(known), [truth], SIZE)
    assert losses["cls"] == 0


def test_masks_smaller_than_the_padded_picture_end_in_background():
    masks = torch.ones(1, 1, 32, 48, dtype=torch.bool)
    points = torch.tensor([[[[0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.49, 0.49]]]])
    assert read_masks(masks, torch.tensor([0]), points, SIZE).flatten().tolist() == [1, 0, 0, 1]


def test_points_gather_where_the_prediction_is_unsure():
    logits = torch.full((1, 1, 8, 8), 9.0)
    logits[..., 4:] = -9.0
    torch.manual_seed(0)
    points = uncertain_points(logits, 400, 8.0, 0.75)
    assert points.shape == (1, 1, 400, 2)
    near = ((points[..., 0] - 0.5).abs() < 0.1).float().mean()
    assert near > 0.6


def test_boxes_are_tight_and_empty_masks_have_none():
    masks = torch.zeros(2, 1, 64, 96, dtype=torch.bool)
    masks[0, 0, 16:32, 24:72] = True
    assert mask_boxes(masks, SIZE).flatten().tolist() == [0.5, 0.375, 0.5, 0.25, 0, 0, 0, 0]


def test_giou_of_known_boxes():
    box = torch.tensor([0.5, 0.5, 0.2, 0.2])
    assert giou(box, box) == pytest.approx(1)
    assert giou(torch.tensor([0.1, 0.5, 0.2, 0.2]), torch.tensor([0.9, 0.5, 0.2, 0.2])) == pytest.approx(-0.6)
