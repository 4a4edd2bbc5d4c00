"""Progressive resizing."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.data.transforms.progressive import check_start, downscale, size_of_epoch
from lightning_tasks.errors import ConfigError


def test_the_side_grows_evenly_in_steps_of_32_pixels():
    sizes = [size_of_epoch(epoch, 5, 128, (256, 256)) for epoch in range(5)]
    assert sizes == [(128, 128), (160, 160), (192, 192), (224, 224), (256, 256)]
    assert [size_of_epoch(epoch, 3, 128, (256, 384))[1] for epoch in range(3)] == [192, 288, 384]


@given(
    epochs=st.integers(1, 20), steps=st.integers(1, 6), sides=st.tuples(st.integers(225, 600), st.integers(225, 600))
)
def test_it_never_shrinks_and_ends_at_the_size(epochs, steps, sides):
    sizes = [size_of_epoch(epoch, epochs, 32 * steps, sides) for epoch in range(epochs)]
    assert sizes[-1] == sides
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(sizes))


def test_where_the_end_is_not_known_all_are_of_full_size():
    assert size_of_epoch(0, None, 32, (64, 64)) == (64, 64)
    assert size_of_epoch(0, -1, 32, (64, 64)) == (64, 64)


def test_a_reduction_by_a_whole_number_is_close_to_opencvs_of_areas():
    image = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8).repeat(32, 0).repeat(32, 1)
    batch = torch.from_numpy(image).permute(2, 0, 1)[None]
    wanted = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA).astype(int)
    found = downscale(batch, (64, 64))
    assert found.dtype == torch.uint8
    inner = np.s_[2:14, 2:14]  # of one flat square: the filters differ at edges alone
    assert (found[0].permute(1, 2, 0).numpy()[inner] == wanted[inner]).all()
    assert np.abs(found[0].permute(1, 2, 0).numpy() - wanted).mean() < 5
    assert downscale(batch, (128, 128)) is batch


@pytest.mark.parametrize("start", [0, -32, 48, 96, 128])
def test_a_start_that_does_not_fit_is_refused(start):
    with pytest.raises(ConfigError, match=f"data.start_size is {start}"):
        check_start(start, (96, 128))
