import torch

from lightning_tasks.reports.gallery import choose_rows

LOSSES = torch.tensor([0.5, torch.nan, 3.0, 0.0, 3.0])


def test_the_worst_come_first_and_what_has_no_loss_never():
    assert choose_rows(LOSSES, 3, worst=True).tolist() == [2, 4, 0]
    assert choose_rows(LOSSES, 9, worst=True).tolist() == [2, 4, 0, 3]


def test_others_come_from_all_over():
    assert choose_rows(torch.zeros(9), 3, worst=False).tolist() == [0, 4, 8]
    assert choose_rows(LOSSES, 9, worst=False).tolist() == [0, 1, 2, 3, 4]
    assert choose_rows(LOSSES, 1, worst=False).tolist() == [0]
