"""Every classification network of torchvision, sized to the data."""

from typing import Any

import torch
from torch import nn
from torchvision import models

from lenet.errors import UserError, nearest
from lenet.models.base import ImageClassifier

__all__ = ["TorchvisionModel"]

# Sides to propose where images are too small: those that people use.
SIZES = (32, 48, 64, 96, 128, 160, 192, 224, 256, 288, 320)


class TorchvisionModel(ImageClassifier):
    """A network of torchvision by name: alexnet, vgg11, resnet18 and so on, eighty in all.

    Takes images ``(N, C, H, W)`` and gives logits ``(N, num_classes)``. The last layer is sized to
    the classes, the first convolution to the channels: what it had for red, green and blue is added
    up and shared out evenly, so that a gray image gives what it gave as a color one. Further
    outputs that help to train some of the networks are left out.

    These networks are made for 224x224 pixels. Small images are brought to a size that a network
    takes by ``--data.image_size 64``.

    Args:
        name: Name of the network, as in torchvision.models.list_models().
        weights: Trained weights to start from, such as DEFAULT or IMAGENET1K_V1, which are fetched
            when a training starts, and only then. By default the network starts untrained, and
            nothing is fetched.
        **kwargs: Passed on to :class:`ImageClassifier`.

    Raises:
        UserError: If there is no such network, or no such weights, or images are of a size that the
            network does not take.
    """

    def __init__(self, name: str = "resnet18", weights: str | None = None, **kwargs):
        super().__init__(**kwargs)
        names = models.list_models(module=models)
        if name not in names:
            hint = nearest(name, names, most=3) or f" There are {', '.join(names)}."
            raise UserError(f"--model.name {name}: torchvision has no such network.{hint}")
        known = models.get_model_weights(name).__members__
        if weights is not None and weights not in known:
            raise UserError(
                f"--model.weights {weights}: {name} has no such weights. There are "
                f"{', '.join(known)}.{nearest(weights, known)}"
            )
        self.name = name
        self.weights = weights
        self._check_size()
        self.network = self._build(self.image_size, num_classes=self.num_classes)

    def _build(self, image_size: int, **options: Any) -> nn.Module:
        if self.name.startswith("vit_"):
            options["image_size"] = image_size
        if self.name.startswith("maxvit_"):
            options["input_size"] = (image_size, image_size)
        if self.name in ("googlenet", "inception_v3") and "weights" not in options:
            options |= {"aux_logits": False, "init_weights": True}
        network = models.get_model(self.name, **options)
        if hasattr(network, "aux_logits"):  # trained weights come with their further outputs
            network.aux_logits = False  # type: ignore[assignment]
            for head in ("aux1", "aux2", "AuxLogits"):
                if hasattr(network, head):
                    setattr(network, head, None)
        if hasattr(network, "transform_input"):
            # It would turn one normalization of colors into another, where ours is the data's.
            network.transform_input = False  # type: ignore[assignment]
        first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
        if first.in_channels != self.in_channels:
            kernels = first.weight.detach().sum(dim=1, keepdim=True) / self.in_channels
            first.weight = nn.Parameter(kernels.repeat(1, self.in_channels, 1, 1))
            first.in_channels = self.in_channels
        return network

    def _takes(self, image_size: int) -> bool:
        """Try an image on a network without memory, which tells sizes and costs no time."""
        try:
            with torch.device("meta"), torch.no_grad():
                network = self._build(image_size).eval()
                network(torch.zeros(1, self.in_channels, image_size, image_size))
        except NotImplementedError:
            return True  # RegNets need numbers to be built, and take any size
        except (RuntimeError, ValueError, AssertionError):
            return False
        return True

    def _check_size(self) -> None:
        if self._takes(self.image_size):
            return
        size = next((s for s in SIZES if s > self.image_size and self._takes(s)), 224)
        raise UserError(
            f"images of {self.image_size}x{self.image_size} do not fit {self.name}. What would: "
            f"--data.image_size {size}."
        )

    def on_fit_start(self) -> None:
        """Start from the trained weights, unless this training is resumed."""
        if self.weights is not None and self.trainer.ckpt_path is None:
            self._load_trained(self.weights)
            self.weights = None  # once is enough

    def _load_trained(self, weights: str) -> None:
        try:
            trained = self._build(self.image_size, weights=weights)
        except OSError as e:
            raise UserError(
                f"--model.weights {weights}: could not be downloaded ({e}). Leave it out to start "
                "untrained."
            ) from e
        except (RuntimeError, ValueError) as e:
            # A transformer has a weight for every place of the image.
            if isinstance(e, ValueError) or "size mismatch" in str(e):
                size = models.get_model_weights(self.name)[weights].meta["min_size"][0]
                raise UserError(
                    f"--model.weights {weights}: not for images of {self.image_size}x"
                    f"{self.image_size}, but for --data.image_size {size}."
                ) from e
            raise UserError(
                f"--model.weights {weights}: cannot be used ({' '.join(str(e).split())[:200]}). "
                "Delete what was downloaded and try again, or leave it out to start untrained."
            ) from e
        # All but the last layer, which is for other classes.
        own = self.network.state_dict()
        layers = (nn.Conv2d, nn.Linear)
        last = [name for name, layer in trained.named_modules() if isinstance(layer, layers)][-1]
        kept = {k: v for k, v in trained.state_dict().items() if k.rpartition(".")[0] != last}
        self.network.load_state_dict({**own, **kept})
