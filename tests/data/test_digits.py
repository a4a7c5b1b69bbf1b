import torch

from lenet import Digits


def test_digits_are_the_documented_numbers_of_images():
    train, test = Digits().read(train=True), Digits().read(train=False)
    assert (len(train[0]), len(test[0])) == (1437, 360)
    assert train[0].shape[1:] == (1, 8, 8)
    assert train[0].dtype == torch.uint8
    assert test[1].bincount().tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]


def test_no_digit_is_in_both_parts():
    train, test = Digits().read(train=True)[0], Digits().read(train=False)[0]
    assert not {i.numpy().tobytes() for i in train} & {i.numpy().tobytes() for i in test}


def test_mean_and_deviation_are_those_of_the_training_images():
    pixels = Digits().read(train=True)[0] / 255
    assert (round(pixels.mean().item(), 3), round(pixels.std().item(), 3)) == (0.305, 0.376)
    assert (round(Digits.mean[0], 3), round(Digits.std[0], 3)) == (0.305, 0.376)
