"""Images of more than 8 bits: one value is white, for the whole table and at every door."""

import json
import mmap

import numpy as np
import pytest
from PIL import Image

from lightning_tasks import KeypointDataModule, MultiLabelDataModule, load
from lightning_tasks.__main__ import console
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.data.images import depth
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.deploy.exports.torch_files import metadata
from lightning_tasks.deploy.image_input import rgb
from lightning_tasks.errors import ConfigError, ImageError, LightningTasksWarning
from lightning_tasks.verbs.check import check
from tests.conftest import CONF, train
from tests.fakes import LABELS, POINTS

LABELS_PNG = [line.replace(".jpg", ".png") for line in LABELS]
POINTS_PNG = [line.replace(".jpg", ".png") for line in POINTS]


def write(root, maximum, dark=()):
    """Write both tables, and 8 PNGs of 16 bits with values up to `maximum`, or to 3,000 where they are dark."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "labels.csv").write_text("\n".join(LABELS_PNG) + "\n")
    (root / "points.csv").write_text("\n".join(POINTS_PNG) + "\n")
    for i in range(8):
        coarse = np.random.default_rng(i).integers(0, 256, (6, 8), dtype=np.uint8)
        grey = np.asarray(Image.fromarray(coarse).resize((32, 24), Image.Resampling.BICUBIC)).astype(float)
        grey *= (3000 if i in dark else maximum) / grey.max()
        Image.fromarray(grey.astype(np.uint16)).save(root / f"{i}.png")
    return root


@pytest.fixture
def untold(monkeypatch):
    """Nothing was said yet that is said once."""
    for flag in ("_dark_told", "_clipped_told"):
        monkeypatch.setattr(depth, flag, mmap.mmap(-1, 1))


@pytest.mark.parametrize("module", [MultiLabelDataModule, KeypointDataModule])
@pytest.mark.parametrize(("bits", "brightest"), [(8, 250), (10, 1000), (12, 4095), (14, 16_000)])
def test_a_table_that_uses_few_of_16_bits_is_refused_everywhere(module, bits, brightest, tmp_path):
    data = module(str(write(tmp_path, brightest)), cache="none")
    way_out = rf"none has a value above {brightest:,} of 65,535.*--data.white_level {2**bits - 1}, it seems"
    for call in (data.describe, lambda: data.setup("fit"), data.one_batch):
        with pytest.raises(ConfigError, match=way_out):
            call()
    wrong = [problem for problem in check(data, min_positives=1) if problem.kind != "point"]
    assert [(problem.kind, problem.row, problem.is_error) for problem in wrong] == [("white", None, True)]
    assert f"white_level {2**bits - 1}" in wrong[0].message
    told = module(str(tmp_path), cache="none", white_level=2**bits - 1)
    assert f"white is {2**bits - 1:,} in images of more than 8 bits" in told.describe()
    assert told.train_set.images[0].image.max() == brightest * 256 // 2**bits
    assert check(told, min_positives=1) == []


@pytest.mark.parametrize("dark", [(0,), (0, 1, 2, 3), (6,)])
@pytest.mark.parametrize("module", [MultiLabelDataModule, KeypointDataModule])
def test_one_dark_image_among_bright_ones_is_read_as_they_are(module, dark, tmp_path):
    data = module(str(write(tmp_path, 65_535, dark)), cache="none")
    Image.fromarray(np.full((24, 32), 200, dtype=np.uint16)).save(tmp_path / "5.png")  # night
    data.setup("fit")
    assert data.white_level == data.hparams["white_level"] == 65_535
    assert data.train_set.images[0].image.max() == (3000 >> 8 if 0 in dark else 255)
    assert data.train_set.images[5].image.max() == 0
    assert "white is 65,535" in data.describe()
    assert [problem for problem in check(data, min_positives=1) if problem.kind == "image"] == []
    said = module(str(write(tmp_path, 3000)), cache="none", white_level=65_535)  # all are dark, and it is said
    said.setup("fit")
    assert said.train_set.images[0].image.max() == 3000 >> 8


@pytest.mark.parametrize(("dark", "split"), [((6, 7), "validation"), ((0, 1, 2, 3, 4, 5), "training")])
def test_a_split_that_is_dark_as_a_whole_is_told(dark, split, tmp_path):
    data = MultiLabelDataModule(str(write(tmp_path, 65_535, dark)), cache="none")
    with pytest.warns(LightningTasksWarning, match=f"read of the {split} split, none has a value above 3,000"):
        data.setup("fit")
    assert [p.message.count(f"the {split} split") for p in check(data.__class__(str(tmp_path)), 1)] == [1]
    said = MultiLabelDataModule(str(tmp_path), cache="none", white_level=65_535)
    said.setup("fit")
    assert check(said, min_positives=1) == []


@pytest.mark.parametrize("bits", [8, 16])
def test_a_test_table_of_few_bits_is_told_by_check_and_test(bits, tmp_path):
    write(tmp_path, 3000)
    (tmp_path / "test.csv").write_text("fname,labels\n6.png,dog\n7.png,cat\n")
    rows = [f"{i}a.png,{('dog', 'cat')[i % 2]},{i >= 4}" for i in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join(["fname,labels,is_valid", *rows]) + "\n")
    for i in range(6):
        bright = np.random.default_rng(i).integers(0, 2**bits, (24, 32), dtype=f"uint{bits}")
        Image.fromarray(bright).save(tmp_path / f"{i}a.png")
    data = MultiLabelDataModule(str(tmp_path), test_csv="test.csv", cache="none")
    told = "of the test split, none has a value above 3,000"
    assert [told in problem.message for problem in check(data, min_positives=1)] == [True]
    fitted = MultiLabelDataModule(str(tmp_path), test_csv="test.csv", cache="none")
    fitted.setup("fit")
    if bits == 8:
        with pytest.raises(ConfigError, match="none has a value above 3,000"):
            fitted.setup("test")
    else:
        with pytest.warns(LightningTasksWarning, match=told):
            fitted.setup("test")


def test_images_of_8_bits_have_nothing_to_say(tmp_path):
    data = MultiLabelDataModule(str(write(tmp_path, 65_535)), cache="none")
    for i in range(8):
        Image.new("L", (32, 24), i).save(tmp_path / f"{i}.png")  # dark, too
    assert "white" not in data.describe()
    assert data.white_level is None


def test_a_cache_is_of_one_white(tmp_path):
    write(tmp_path / "root", 4000)
    for white_level in (4095, 65_535, 4095):
        kept = {"cache": "disk", "cache_dir": str(tmp_path / "cache"), "decode_side": 0}
        data = MultiLabelDataModule(str(tmp_path / "root"), white_level=white_level, **kept)
        data.setup("fit")
        assert data.train_set.images.cache is not None
        assert data.train_set.images[0].image.max() == 4000 * 256 // (white_level + 1)


def test_values_above_white_are_white_and_told_once(tmp_path, untold):
    given = np.array([[0, 4095, 4096, 60_000]], dtype=np.uint16)
    with pytest.warns(LightningTasksWarning, match=r"above 4,095, which is white.*up to 60000") as told:
        assert [rgb(given, white_level=4095)[0, :, 0].tolist() for _ in range(2)] == [[0, 255, 255, 255]] * 2
    assert len(told) == 1


def test_a_dark_image_of_16_bits_is_told_where_no_table_says_more(tmp_path, untold):
    given = np.array([[0, 4000]], dtype=np.uint16)
    with pytest.warns(LightningTasksWarning, match="no value above 4,000.*it is dark, or white is 4,095") as told:
        assert [rgb(given)[0, :, 0].tolist() for _ in range(2)] == [[0, 15]] * 2
    assert len(told) == 1


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64, np.float32, np.float64])
def test_arrays_of_any_numbers_where_white_is_known(dtype):
    assert rgb(np.array([[0, 2048, 4095]], dtype=dtype), white_level=4095)[0, :, 0].tolist() == [0, 128, 255]


def test_a_pil_image_whose_bits_pillow_has_cut_is_refused(tmp_path):
    colours = np.random.default_rng(0).integers(0, 4096, (24, 32, 3), dtype=np.uint16)
    for ending in ("png", "tif"):
        path = tmp_path / f"a.{ending}"
        cv2.imwrite(str(path), colours)
        assert rgb(Image.open(path), white_level=4095).max() == 255
        loaded = Image.open(path)
        loaded.load()
        with pytest.raises(ImageError, match="upper 8 alone"):
            rgb(loaded, white_level=4095)


@pytest.mark.parametrize("value", ["0", "-1", "5000000000"])
def test_a_white_that_is_none_is_refused(value, tmp_path, capsys):
    write(tmp_path, 65_535)
    args = ["prepare", "--config", str(CONF / "multilabel.yaml"), "--data.root", str(tmp_path)]
    assert console([*args, "--data.white_level", value]) == 2
    assert "white_level" in capsys.readouterr().err


def test_the_checkpoint_keeps_it_for_predictions_exports_and_pages(tmp_path, monkeypatch, capsys):
    write(tmp_path / "root", 4095)
    path = train(tmp_path, "multilabel.yaml", "--data.white_level", "4095")
    monkeypatch.chdir(tmp_path)
    assert read_checkpoint(tmp_path / path)["datamodule_hyper_parameters"]["white_level"] == 4095
    predictor = load(path, "cpu")
    assert predictor.white_level == 4095
    assert json.loads(metadata(predictor, tmp_path / path)["white_level"]) == 4095
    image = tmp_path / "root" / "7.png"
    by_path, darker = predictor(image), load(path, "cpu", white_level=65_535)(image)
    values = np.asarray(Image.open(image))
    for one in (image.read_bytes(), Image.open(image), values):
        assert (predictor(one).probabilities == by_path.probabilities).all()
    assert (predictor((values >> 4).astype(np.uint8)).probabilities == by_path.probabilities).all()
    assert (darker.probabilities != by_path.probabilities).any()
    assert console(["predict", path, str(image), "--output", "a.csv", "--annotate", "drawn"]) == 0
    assert np.asarray(Image.open("drawn/7.png.png"))[:4].max() > 200
    for verb in (["get_preds"], ["show_results"], ["show_results", "--worst", "true"], ["report"]):
        assert console([*verb[:1], path, *verb[1:]]) == 0
    capsys.readouterr()
    assert (
        console(
            ["summary", "--config", str(CONF / "multilabel.yaml"), "--data.root", "root", "--data.white_level", "4095"]
        )
        == 0
    )
    assert "white is 4,095 in images of more than 8 bits" in capsys.readouterr().out
