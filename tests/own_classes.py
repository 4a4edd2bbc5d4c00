"""A user's own model and data, as plain Lightning has them: no vocab, no seed, no predict_step."""

import torch
from pytorch_lightning import LightningDataModule, LightningModule
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader


class OwnModel(LightningModule):
    def __init__(self, width: int = 1):
        super().__init__()
        self.layer = torch.nn.LazyLinear(width)
        self.layer(torch.zeros(1, 3))

    def forward(self, images):
        return self.layer(images.float().mean((2, 3)))

    def training_step(self, batch):
        return self(batch[0]).square().mean()

    def validation_step(self, batch):
        self.log("val/loss", self(batch[0]).square().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class OwnData(LightningDataModule):
    def __init__(self, n: int = 4, workers: int = 0):
        super().__init__()
        self.n = n
        self.workers = workers

    def train_dataloader(self):
        return DataLoader([(torch.ones(3, 8, 8),)] * self.n, 2, num_workers=self.workers)

    val_dataloader = train_dataloader


class PlainNet(LightningModule):
    """No dropout and no batch statistics: what it learns from a batch is the mean over its images."""

    def __init__(self, vocab: list[str], lr: float = 0.01):
        super().__init__()
        torch.manual_seed(0)
        early = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 4), torch.nn.GroupNorm(2, 4), torch.nn.ReLU())
        late = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3, 2), torch.nn.ReLU())
        self.backbone = torch.nn.Sequential(early, late)
        self.head = torch.nn.Linear(8, len(vocab))
        self.lr = lr

    def forward(self, images):
        return self.head(self.backbone(images.float() / 255).mean((2, 3)))

    def training_step(self, batch):
        return torch.nn.functional.binary_cross_entropy_with_logits(self(batch.images), batch.targets)

    def configure_optimizers(self):
        parts = {"early": self.backbone[0], "late": self.backbone[1], "head": self.head}
        groups = [{"params": list(p.parameters()), "name": name, "max_lr": self.lr} for name, p in parts.items()]
        return torch.optim.AdamW(groups, lr=self.lr)


class OwnLogger(Logger):
    """As WandbLogger is offline: its folder is that in which one calls."""

    save_dir = "."
    log_dir = "."
    name = "voc"
    version = "0abc"

    def __init__(self) -> None:
        super().__init__()
        self.logged = 0

    def log_metrics(self, metrics, step=None):
        self.logged += 1

    def log_hyperparams(self, params, *args, **kwargs):
        pass
