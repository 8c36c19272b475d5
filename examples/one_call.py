"""Prune a network of your own in one call: no study, no file, no name that prunetui knows.

    python one_call.py

It trains a small network on handwritten digits that come with scikit-learn, removes half of its multiplications, trains
the smaller network a little more by plain torch, and prints what both are worth.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import prunetui


class Net(nn.Module):
    """Two convolutions beside each other, joined, and a third one."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.near = nn.Conv2d(1, width, 3, padding=1)
        self.far = nn.Conv2d(1, width, 3, padding=2, dilation=2)
        self.norm = nn.BatchNorm2d(2 * width)
        self.deep = nn.Conv2d(2 * width, 2 * width, 3, stride=2, padding=1)
        self.head = nn.Linear(2 * width * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(torch.cat([self.near(x), self.far(x)], 1)))
        return self.head(F.relu(self.deep(x)).flatten(1))


def train(net: nn.Module, batches: DataLoader[tuple[Tensor, ...]], epochs: int, lr: float) -> None:
    """Plain torch; nothing of prunetui's is needed to train a pruned network."""
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    net.train()
    for _ in range(epochs):
        for images, labels in batches:
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()


def accuracy(net: nn.Module, batches: DataLoader[tuple[Tensor, ...]]) -> float:
    """Percent of images whose class is guessed."""
    net.eval()
    with torch.no_grad():
        hits = [net(images).argmax(1) == labels for images, labels in batches]
    return 100 * torch.cat(hits).float().mean().item()


torch.manual_seed(0)
digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16  # [1797, 1, 8, 8]
labels = torch.tensor(digits.target)
training = DataLoader(TensorDataset(images[:1400], labels[:1400]), batch_size=64, shuffle=True)
test = DataLoader(TensorDataset(images[1400:], labels[1400:]), batch_size=128)

net = Net()
train(net, training, epochs=4, lr=2e-3)
small, report = prunetui.prune(net, training, method="group-norm", target="macs", amount=0.5, test=test)
print(report)

dense, pruned = accuracy(net, test), accuracy(small, test)
train(small, training, epochs=2, lr=1e-3)
print(f"test accuracy: {dense:.1f} % dense, {pruned:.1f} % pruned, {accuracy(small, test):.1f} % trained further")

prunetui.save(small, "small.safetensors")
again = prunetui.load("small.safetensors", model=Net)
assert torch.equal(small.eval()(images), again(images))
print(f"small.safetensors holds {type(again).__name__} with {sum(p.numel() for p in again.parameters()):,} parameters")
