import torch
from torch import tensor
from torch.utils.data import DataLoader

from lenet.data.memory import TensorImages, identity
from lenet.pictures.tally import Tally, WorstMistakes, _concatenate


def logits(*probabilities) -> torch.Tensor:
    return tensor(probabilities).log()


def test_the_most_confidently_wrong_are_chosen_and_in_order():
    worst = WorstMistakes(2)
    first = logits([0.9, 0.1], [0.4, 0.6], [0.7, 0.3])
    worst.update(first, tensor([0, 0, 1]), tensor([5, 6, 7]))  # right, 60 % wrong, 70 % wrong
    worst.update(logits([0.05, 0.95], [0.45, 0.55]), tensor([0, 0]), tensor([8, 9]))
    found = worst.compute()
    assert [row[1:] for row in found] == [(8, 0, 1), (7, 1, 0)]
    torch.testing.assert_close([row[0] for row in found], [0.95, 0.7])


def test_there_are_no_mistakes_where_all_is_right():
    worst = WorstMistakes(3)
    worst.update(logits([0.9, 0.1]), tensor([0]), tensor([0]))
    assert worst.compute() == []


def test_no_more_is_held_than_asked_for_however_many_are_wrong():
    worst = WorstMistakes(4)
    for start in range(0, 3000, 100):
        indices = torch.arange(start, start + 100)
        worst.update(torch.randn(100, 10), torch.full((100,), 11), indices)
    assert worst.confidence.shape == (4,)
    assert worst.index_label_prediction.shape == (4, 3)


def test_what_two_devices_found_becomes_one_list():
    one, other = WorstMistakes(2), WorstMistakes(2)
    one.update(logits([0.9, 0.1], [0.8, 0.2]), tensor([1, 1]), tensor([0, 2]))
    other.update(logits([0.85, 0.15]), tensor([1]), tensor([1]))
    both = WorstMistakes(2)
    both.confidence = _concatenate(torch.stack([one.confidence, other.confidence]))
    rows = torch.stack([one.index_label_prediction, other.index_label_prediction])
    both.index_label_prediction = _concatenate(rows)
    assert len(both.confidence) == 4
    both._update_count = 1
    assert [index for _, index, _, _ in both.compute()] == [0, 1]


def test_a_tally_counts_every_image_and_knows_which_is_which():
    images = torch.zeros(6, 1, 2, 2, dtype=torch.uint8)
    labels = tensor([0, 1, 0, 1, 0, 1])
    served = TensorImages(images, labels, indices=tensor([5, 3, 4, 0]))
    sampler = [3, 1, 2]  # of which this device has three, in its own order: images 0, 3, 4
    loader = DataLoader(served, batch_size=2, sampler=sampler, collate_fn=identity)
    tally = Tally(2, 5, torch.device("cpu"))
    for _, batch_labels, indices in loader:  # all are predicted to be 1
        tally.update(logits([0.2, 0.8]).expand(len(indices), 2), batch_labels, indices)
    counts, mistakes = tally.compute()
    assert counts.tolist() == [[0, 2], [0, 1]]
    assert [row[1:] for row in mistakes] == [(0, 0, 1), (4, 0, 1)]
