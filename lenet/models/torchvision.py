"""The classification networks of torchvision, adapted to the data set."""

from typing import Any

import torch
from torch import nn
from torchvision import models

from lenet.errors import UserError, nearest
from lenet.models.base import ImageClassifier

__all__ = ["TorchvisionModel"]

# Common image sizes, to suggest when images are too small.
SIZES = (32, 48, 64, 96, 128, 160, 192, 224, 256, 288, 320)


class TorchvisionModel(ImageClassifier):
    """Any of torchvision's eighty classification networks, by name: alexnet, resnet18 and so on.

    Takes images ``(N, C, H, W)`` and returns logits ``(N, num_classes)``. The last layer is sized
    to the classes, and the first convolution to the channels: its weights for red, green and blue
    are summed and divided evenly, so that a gray image gives the same output as its color version.
    The auxiliary outputs of some networks are removed.

    These networks are designed for 224x224 pixels. To use one with small images, enlarge them with
    ``--data.image_size 64``.

    Args:
        name: Name of the network, as in torchvision.models.list_models().
        weights: Pretrained weights to start from, such as DEFAULT or IMAGENET1K_V1. They are
            downloaded when training starts. By default the network starts untrained.
        **kwargs: Passed on to :class:`ImageClassifier`.

    Raises:
        UserError: If there is no such network or weights, or the network does not support the size
            of the images.
    """

    def __init__(self, name: str = "resnet18", weights: str | None = None, **kwargs):
        super().__init__(**kwargs)
        names = models.list_models(module=models)
        if name not in names:
            hint = nearest(name, names, most=3) or f" Choose from {', '.join(names)}."
            raise UserError(f"--model.name {name}: torchvision has no such network.{hint}")
        known = models.get_model_weights(name).__members__
        if weights is not None and weights not in known:
            raise UserError(
                f"--model.weights {weights}: {name} has no such weights. Choose from "
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
        if hasattr(network, "aux_logits"):  # pretrained networks have them
            network.aux_logits = False  # type: ignore[assignment]
            for head in ("aux1", "aux2", "AuxLogits"):
                if hasattr(network, head):
                    setattr(network, head, None)
        if hasattr(network, "transform_input"):
            # It expects ImageNet's normalization, but our images are normalized by the data set.
            network.transform_input = False  # type: ignore[assignment]
        first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
        if first.in_channels != self.in_channels:
            kernels = first.weight.detach().sum(dim=1, keepdim=True) / self.in_channels
            first.weight = nn.Parameter(kernels.repeat(1, self.in_channels, 1, 1))
            first.in_channels = self.in_channels
        return network

    def _takes(self, image_size: int) -> bool:
        """Return whether the network supports a size. Tried on the meta device, which is fast."""
        try:
            with torch.device("meta"), torch.no_grad():
                network = self._build(image_size).eval()
                network(torch.zeros(1, self.in_channels, image_size, image_size))
        except NotImplementedError:
            return True  # RegNets cannot be built on the meta device, and support any size
        except (RuntimeError, ValueError, AssertionError):
            return False
        return True

    def _check_size(self) -> None:
        if self._takes(self.image_size):
            return
        size = next((s for s in SIZES if s > self.image_size and self._takes(s)), 224)
        raise UserError(
            f"{self.image_size}x{self.image_size} images do not fit {self.name}. Set "
            f"--data.image_size {size}."
        )

    def on_fit_start(self) -> None:
        """Load the pretrained weights, unless this training is resumed."""
        if self.weights is not None and self.trainer.ckpt_path is None:
            self._load_trained(self.weights)
            self.weights = None  # a second fit continues from the trained weights

    def _load_trained(self, weights: str) -> None:
        try:
            trained = self._build(self.image_size, weights=weights)
        except OSError as e:
            raise UserError(
                f"--model.weights {weights}: could not be downloaded ({e}). Leave this option out "
                "to start untrained."
            ) from e
        except (RuntimeError, ValueError) as e:
            # A vision transformer has weights for each position in the image.
            if isinstance(e, ValueError) or "size mismatch" in str(e):
                size = models.get_model_weights(self.name)[weights].meta["min_size"][0]
                raise UserError(
                    f"--model.weights {weights}: do not fit {self.image_size}x{self.image_size} "
                    f"images. Set --data.image_size {size}."
                ) from e
            raise UserError(
                f"--model.weights {weights}: cannot be used ({' '.join(str(e).split())[:200]}). "
                "Delete the downloaded file and try again, or leave this option out."
            ) from e
        # Keep our own last layer, since the pretrained one is for other classes.
        own = self.network.state_dict()
        layers = (nn.Conv2d, nn.Linear)
        last = [name for name, layer in trained.named_modules() if isinstance(layer, layers)][-1]
        kept = {k: v for k, v in trained.state_dict().items() if k.rpartition(".")[0] != last}
        self.network.load_state_dict({**own, **kept})
