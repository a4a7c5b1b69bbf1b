import inspect

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lenet import Digits, LeNet, LeNet5, Trainer
from lenet.data import ImageDataModule
from lenet.errors import UserError
from lenet.models import ImageClassifier
from lenet.models.base import LossAndAccuracy
from lenet.runs.trusted_names import subclasses


def test_figures_are_right_over_an_uneven_last_batch():
    torch.manual_seed(0)
    logits, labels = torch.randn(10, 4), torch.randint(4, (10,))
    figures = LossAndAccuracy()
    for part in (slice(0, 7), slice(7, 10)):
        figures.update(F.cross_entropy(logits[part], labels[part]), logits[part], labels[part])
    found = figures.compute()
    torch.testing.assert_close(found["loss"], F.cross_entropy(logits, labels))
    assert found["accuracy"] == (logits.argmax(dim=1) == labels).sum() / 10


def test_steps_give_raw_logits_and_only_predict_gives_probabilities():
    torch.manual_seed(0)
    model, images = LeNet().eval(), torch.randn(5, 1, 32, 32)
    logits = model(images)
    assert (logits < 0).any()
    probabilities = model.predict_step((images,), 0)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(5))
    torch.testing.assert_close(probabilities, logits.softmax(dim=1))


def test_test_figures_equal_those_worked_out_by_hand():
    torch.manual_seed(0)
    model, data = LeNet(), Digits(batch_size=50)  # 360 = 7 * 50 + 10
    trainer = Trainer(
        logger=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    [found] = trainer.test(model, datamodule=data, verbose=False)
    images, labels = data.read(train=False)
    with torch.inference_mode():
        logits = model(data.normalize(data.to_size(images)))
    assert found["test/loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert found["test/accuracy"] == pytest.approx((logits.argmax(1) == labels).float().mean())


def test_labels_are_smoothed_in_training_alone():
    torch.manual_seed(0)
    model, batch = LeNet(label_smoothing=0.2), (torch.randn(5, 1, 32, 32), torch.arange(5))
    logits = model(batch[0])
    parts = 0.8 * F.one_hot(batch[1], 10) + 0.2 / 10
    smoothed = -(parts * logits.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(model.training_step(batch, 0), smoothed)
    for stage in ("val", "test"):
        model._step(stage, batch)
        loss = model._epoch_metrics[stage].compute()["loss"]
        torch.testing.assert_close(loss, F.cross_entropy(logits, batch[1]))


def test_labels_are_smoothed_for_the_loss_that_is_used():
    class Margin(LeNet):
        def loss(self, logits, labels):
            return F.multi_margin_loss(logits, labels)

    class Own(LeNet):
        def loss(self, logits, labels, label_smoothing=0.0):
            return 2 * F.cross_entropy(logits, labels, label_smoothing=label_smoothing)

    for cls in (Margin, LeNet5):
        with pytest.raises(
            UserError, match=f"label_smoothing 0.2: the loss of {cls.__name__} does"
        ):
            cls(label_smoothing=0.2)
    batch = torch.randn(5, 1, 32, 32), torch.arange(5)
    linear = LeNet5(output="linear", label_smoothing=0.2)
    for model, factor in ((Own(label_smoothing=0.2), 2), (linear, 1)):
        wanted = F.cross_entropy(model(batch[0]), batch[1], label_smoothing=0.2)
        torch.testing.assert_close(model.training_step(batch, 0), factor * wanted)
        plain = F.cross_entropy(model(batch[0]), batch[1])
        torch.testing.assert_close(model._step("val", batch)[0], factor * plain)


def normed() -> LeNet:
    """Make a network with maps of 3x3 pixels, then of one, both normalized, and dropout."""
    model = LeNet()
    model.network = nn.Sequential(
        nn.BatchNorm2d(1),
        nn.Conv2d(1, 64, 3),
        nn.BatchNorm2d(64),  # (N, 64, 1, 1)
        nn.Flatten(),
        nn.Dropout(0.5),
    )
    return model


def test_a_training_batch_of_one_image_spares_only_the_layers_that_cannot_take_it():
    torch.manual_seed(0)
    model, image = normed(), torch.randn(1, 1, 3, 3)
    first, convolution, second, *_ = model.network
    dropped = (model(image) == 0).float().mean()
    assert 0.3 < dropped < 0.7
    assert all(layer.training for layer in model.modules())
    assert (first.num_batches_tracked, second.num_batches_tracked) == (1, 0)
    maps = F.batch_norm(image, None, None, training=True)  # of the image's own deviation
    seen = []
    second.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(image)
    torch.testing.assert_close(seen[0], convolution(maps))


def test_a_batch_of_one_image_thaws_nothing():
    model = normed()
    frozen = [model.network[0], model.network[4]]
    for layer in frozen:
        layer.eval()
    model(torch.randn(1, 1, 3, 3))
    assert [m for m in model.network if not m.training] == frozen
    assert not any(m._forward_pre_hooks for m in model.network)
    with pytest.raises(TypeError):
        model(torch.randn(1, 1, 3, 3), 3)
    assert [m for m in model.network if not m.training] == frozen


@pytest.mark.parametrize(("clip", "fused"), [(None, True), (1.0, None)])
def test_adam_steps_all_parameters_at_once_unless_gradients_are_clipped(clip, fused):
    # Lightning refuses to clip what a fused optimizer unscales itself.
    model = LeNet()
    model.trainer = Trainer(gradient_clip_val=clip, logger=False, accelerator="cpu")
    optimizer = model.configure_optimizers()
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.param_groups[0]["fused"] is fused


@pytest.mark.parametrize("base", [ImageClassifier, ImageDataModule])
def test_same_named_arguments_of_sibling_classes_share_one_default(base):
    # jsonargparse keeps the values of same-named arguments when another class is chosen
    # (its issue 460): a default of one class would silently become another's value.
    defaults: dict[str, set] = {}
    for cls in (base, *subclasses(base)):
        for name, argument in inspect.signature(cls).parameters.items():
            if argument.kind is not inspect.Parameter.VAR_KEYWORD:
                defaults.setdefault(name, set()).add(argument.default)
    assert "lr" in defaults or "batch_size" in defaults
    assert {name: found for name, found in defaults.items() if len(found) > 1} == {}


def test_layers_live_in_the_network_alone():
    for cls in subclasses(ImageClassifier):
        assert {name.partition(".")[0] for name in cls().state_dict()} == {"network"}
