"""Small networks of the form of those behind FID and FVD, with random weights."""

import torch
from torch import nn

FEATURES = 24


class LittleInception(nn.Module):
    """Takes what Inception's file takes: bytes of any size."""

    def __init__(self, features: int):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, features, 5)

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        assert return_features and img.dtype == torch.uint8
        return torch.relu(self.conv(img.float() / 127.5 - 1)).mean(dim=(2, 3))


class LittleI3D(nn.Module):
    """Takes what I3D's file takes: (n, 3, frames, h, w) in 0..255."""

    def __init__(self, features: int):
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv3d(3, features, (3, 5, 5))

    def forward(
        self, x: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False
    ) -> torch.Tensor:
        assert rescale and resize and return_features and x.shape[1] == 3
        return torch.relu(self.conv(x / 127.5 - 1)).mean(dim=(2, 3, 4))
