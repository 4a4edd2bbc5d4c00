"""Whatever a file holds, only errors of our own come out: tables, poses, calibrations, images, configs, checkpoints.

`LIGHTNING_TASKS_FUZZ=50` tries fifty times as many cases.
"""

import contextlib
import io
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lightning_tasks import KeypointDataModule, MultiLabelClassifier, MultiLabelDataModule
from lightning_tasks.__main__ import console
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.command_line.stored_settings import settings as checkpoint_settings
from lightning_tasks.data.images.decode import read_reduced
from lightning_tasks.deploy.sources import find_images
from lightning_tasks.errors import BackboneError, CheckpointError, ImageError, LightningTasksError
from lightning_tasks.tasks.keypoints.biwi_files import project_calibrated, read_biwi, read_calibration, read_pose
from lightning_tasks.tasks.keypoints.table import read_keypoint_table
from lightning_tasks.tasks.multilabel.table import read_multilabel_table
from tests.fakes import write_image

TIMES = int(os.environ.get("LIGHTNING_TASKS_FUZZ", "1"))

# What breaks readers: separators, quotes, ends of lines, zero bytes, numbers that are none, ways out, half a character.
PIECES = [
    "fname", "labels", "is_valid", "group", "difficult", "a_x", "a_y", "_x", "x_x", "x_y", ",", ",", ",", "\n", "\n",
    "\r\n", "\r", '"', '""', "'", ";", " ", "\t", "\0", "1.jpg", "../1.jpg", "/etc/passwd", "True", "False", "0", "-1",
    "1e999", "nan", "inf", "1_0", "٣", "é", "𝕏", "\ufeff", "\udcff", "=cmd", "#", "%", "{", "x" * 300, "9" * 21,
]  # fmt: skip
TEXT = (
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
CONTENT = st.one_of(TEXT, st.binary(max_size=200))
TABLE = st.one_of(
    CONTENT,
    TEXT.map(lambda rest: b"fname,labels,is_valid\n1.jpg," + rest),
    TEXT.map(lambda rest: b"fname,is_valid,a_x,a_y\n1.jpg,True,1,2\n2.jpg," + rest),
)


def cases(n):
    return settings(max_examples=n * TIMES, suppress_health_check=list(HealthCheck), deadline=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    for i in (1, 2, 3):
        write_image(folder / f"{i}.jpg", seed=i)
    return folder


def only_our_own(function, *args, **kwargs):
    with contextlib.suppress(LightningTasksError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function(*args, **kwargs)


@cases(1500)
@given(content=TABLE)
def test_tables(folder, content):
    path = folder / "table.csv"
    path.write_bytes(content)
    for read in (read_multilabel_table, read_keypoint_table, lambda path: find_images([str(path)], None)):
        only_our_own(read, path)


@cases(150)
@given(content=TABLE)
def test_data_modules(folder, content):
    (folder / "labels.csv").write_bytes(content)
    for module in (MultiLabelDataModule, KeypointDataModule):
        data = module(str(folder), csv="labels.csv", cache="none", num_workers=0, size=16)
        only_our_own(data.setup, "fit")
        only_our_own(data.describe)


NUMBERS = st.lists(
    st.one_of(
        st.floats(-1e4, 1e4).map(repr),
        st.sampled_from(["nan", "inf", "1e400", "x", "0", "\n", "\n\n", "", "\0", "640"]),
    ),
    max_size=40,
).map(lambda words: " ".join(words).encode())


@cases(1000)
@given(content=st.one_of(NUMBERS, CONTENT))
def test_poses_and_calibrations(folder, content):
    path = folder / "file"
    path.write_bytes(content)
    only_our_own(read_pose, path)
    only_our_own(read_calibration, path)


@cases(200)
@given(pose=NUMBERS, calibration=NUMBERS)
def test_a_sequence(folder, pose, calibration):
    sequence = folder / "biwi" / "01"
    write_image(sequence / "frame_00003_rgb.jpg")
    (sequence / "frame_00003_pose.txt").write_bytes(pose)
    (sequence / "rgb.cal").write_bytes(calibration)
    for frame in ("fastbook", "calibrated"):
        only_our_own(read_biwi, sequence.parent, frame)


@given(centre=st.tuples(*[st.floats(-1e6, 1e6)] * 3))
def test_projection_never_raises(centre):
    intrinsics = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
    camera = type("Camera", (), {"rotation": np.eye(3), "translation_mm": np.zeros(3), "intrinsics": intrinsics})
    with np.errstate(all="ignore"):
        assert project_calibrated(np.array(centre), camera).shape == (2,)


def encoded(kind, **options):
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


SEEDS = [
    *(encoded(kind) for kind in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")),
    encoded("JPEG", progressive=True),
    encoded("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"),
]
CHANGES = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=8)


@cases(300)
@given(seed=st.sampled_from(SEEDS), changes=CHANGES, keep=st.integers(0, 6000), tail=st.binary(max_size=20))
def test_images(folder, seed, changes, keep, tail):
    data = bytearray(seed[:keep])
    for at, value in changes:
        if at < len(data):
            data[at] = value
    path = folder / "image"
    path.write_bytes(bytes(data) + tail)
    for side in (0, 8):
        try:
            image = read_reduced(path, side)
        except ImageError:
            continue
        assert image.image.ndim == 3
        assert image.image.dtype == np.uint8
        assert min(image.image.shape[:2]) >= min(1, side or 1)


VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.sampled_from(["", "x", "PascalDataModule"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "class_path"]), inner)),
    max_leaves=4,
)
KEYS = ["root", "csv", "size", "batch_size", "fold", "min_scale", "vocab", "cache", "split_seed", "valid_fraction"]
MODULES = ["MultiLabelDataModule", "KeypointDataModule", "os.system"]
CONFIG = st.one_of(
    CONTENT,
    st.builds(
        lambda name, arguments: yaml.safe_dump({"data": {"class_path": name, "init_args": arguments}}).encode(),
        st.sampled_from(MODULES),
        st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3),
    ),
)


@cases(60)
@given(content=CONFIG)
def test_configs(folder, content):
    path = folder / "config.yaml"
    path.write_bytes(content)
    here, said = Path.cwd(), io.StringIO()
    os.chdir(folder)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            code = console(["prepare", "--config", "config.yaml"])
    except SystemExit as left:
        code = left.code
    finally:
        os.chdir(here)
    assert code in (0, 2)
    assert "Traceback" not in said.getvalue()


class Evil:
    """Runs code when it is unpickled by a reader that lets it."""

    def __reduce__(self):
        return os.system, ("touch EVIL",)


@pytest.fixture(scope="module")
def checkpoint(folder):
    path = folder / "good.ckpt"
    hyper_parameters = {"_class_path": "lightning_tasks.MultiLabelClassifier", "vocab": ["a"]}
    torch.save({"state_dict": {"w": torch.zeros(3)}, "hyper_parameters": hyper_parameters}, path)
    return path.read_bytes()


@cases(300)
@given(changes=CHANGES, keep=st.integers(0, 6000), data=st.data())
def test_checkpoints(folder, checkpoint, changes, keep, data):
    content = bytearray(checkpoint[:keep] if data.draw(st.booleans()) else checkpoint)
    for at, value in changes:
        content[at % max(1, len(content)) : at % max(1, len(content)) + 1] = bytes([value])
    path = folder / "odd.ckpt"
    path.write_bytes(bytes(content))

    def read():
        found = read_checkpoint(path)
        checkpoint_settings(found, path)

    only_our_own(read)


@pytest.mark.parametrize("verb", ["validate", "get_preds", "predict", "export", "serve", "report"])
def test_a_crafted_checkpoint_runs_nothing_and_says_why(folder, verb, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    torch.save({"state_dict": {}, "hyper_parameters": Evil()}, "evil.ckpt")
    more = ["1.jpg"] if verb == "predict" else []
    assert console([verb, "evil.ckpt", *more]) == 2
    said = capsys.readouterr().err
    assert "evil.ckpt is not a checkpoint of tensors and plain values" in said
    assert "Traceback" not in said
    assert not Path("EVIL").exists()


def test_a_zip_file_of_several_disks_is_told(folder, checkpoint):
    path = folder / "disks.ckpt"
    at = checkpoint.rindex(b"PK\x06\x07") + 16  # of how many disks its directory's locator speaks
    path.write_bytes(checkpoint[:at] + b"\x02" + checkpoint[at + 1 :])
    with pytest.raises(CheckpointError, match="cut short"):
        read_checkpoint(path)


def test_numbers_that_end_too_soon_are_told(folder, checkpoint):
    path = folder / "short.ckpt"
    with zipfile.ZipFile(io.BytesIO(checkpoint)) as whole, zipfile.ZipFile(path, "w") as short:
        for name in whole.namelist():
            short.writestr(name, b"\x80\x02G\x00" if name.endswith("data.pkl") else whole.read(name))
    with pytest.raises(CheckpointError, match="cut short"):
        read_checkpoint(path)
    with pytest.raises(BackboneError, match="cannot be read as weights"):
        MultiLabelClassifier(["a"], "test_resnet", image_size=(32, 32), weights=str(path))


@pytest.mark.parametrize("name", ["evil.pth", "evil.safetensors"])
def test_crafted_weights_run_nothing(folder, name, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    torch.save({"w": Evil()}, name)
    (folder / "labels.csv").write_text("fname,labels,is_valid\n1.jpg,a,False\n2.jpg,a,False\n3.jpg,a,True\n")
    conf = str(Path(__file__).parents[1] / "conf" / "multilabel.yaml")
    arguments = ["--config", conf, "--data.root", ".", "--model.backbone", "test_resnet", "--model.weights", name]
    assert console(["fit", *arguments]) == 2
    assert name in capsys.readouterr().err
    assert not Path("EVIL").exists()


def test_yaml_is_read_safely(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    Path("evil.yaml").write_text("data: !!python/object/apply:os.system ['touch EVIL']\n")
    with pytest.raises(SystemExit) as left:
        console(["prepare", "--config", "evil.yaml"])
    assert left.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not Path("EVIL").exists()
