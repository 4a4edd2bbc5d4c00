import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from lightning_tasks.errors import ImageError, user_message


class Broken(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise ImageError("a.jpg: is empty. Replace it.")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_message_from_a_worker_is_the_message_alone(workers):
    with pytest.raises(ImageError) as caught:
        next(iter(DataLoader(Broken(), num_workers=workers, collate_fn=torch.stack)))
    assert user_message(caught.value) == "a.jpg: is empty. Replace it."
