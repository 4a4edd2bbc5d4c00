import shutil

import numpy as np
import pytest

from lightning_tasks.__main__ import console
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.errors import ConfigError, DatasetNotFoundError, LightningTasksError, TableError
from lightning_tasks.tasks import BiwiDataModule
from lightning_tasks.tasks.keypoints.biwi_files import (
    PERSON_OF_SEQUENCE,
    project_calibrated,
    project_fastbook,
    read_biwi,
    read_calibration,
    read_pose,
)
from lightning_tasks.tasks.keypoints.sample import draw_biwi
from tests.conftest import CONF, train
from tests.fakes import write_image, write_pose

# `rgb.cal` of sequence 12 and a pose of it, as the data set has them.
RGB_CAL = """517.679 0 320
0 517.679 240.5
0 0 1

0 0 0 0

0.999947 0.00432361 0.00929419
-0.00446314 0.999877 0.0150443
-0.009228 -0.015085 0.999844

-24.0198 5.8896 -13.2308

640 480
"""
POSE = """0.980639 0.109899 0.162077
-0.11023 0.993882 -0.00697376
-0.161851 -0.011027 0.986754

43.4019 -30.7038 906.864
"""


@pytest.fixture
def root(tmp_path):
    for sequence, centre in (("01", (0, 0, 1000)), ("09", (187.332, 40.3892, 893.135)), ("13", (1, 2, 900))):
        write_pose(tmp_path / sequence / "frame_00667_pose.txt", centre)
        write_image(tmp_path / sequence / "frame_00667_rgb.jpg")
        (tmp_path / sequence / "rgb.cal").write_text(RGB_CAL)
    (tmp_path / "12").mkdir()
    (tmp_path / "12" / "frame_00003_pose.txt").write_text(POSE)
    write_image(tmp_path / "12" / "frame_00003_rgb.png")
    (tmp_path / "12" / "rgb.cal").write_text(RGB_CAL)
    return tmp_path


def positions(table):
    return dict(zip(table["fname"], table[["head_x", "head_y"]].to_numpy(), strict=True))


def test_the_books_labels_are_the_worked_values(root):
    found = positions(read_biwi(root, "fastbook"))
    np.testing.assert_allclose(found["09/frame_00667_rgb.jpg"], (428.581, 263.910), atol=1e-3)
    np.testing.assert_allclose(found["12/frame_00003_rgb.png"], (344.776, 222.973), atol=1e-3)


def test_calibrated_labels_are_the_worked_values(root):
    found = positions(read_biwi(root, "calibrated"))
    np.testing.assert_allclose(found["12/frame_00003_rgb.png"], (336.034, 233.918), atol=1e-3)


def test_the_two_frames_lie_some_14_pixels_apart(root):
    camera = read_calibration(root / "12" / "rgb.cal")
    _, centre_mm = read_pose(root / "12" / "frame_00003_pose.txt")
    apart = project_fastbook(centre_mm, camera.intrinsics) - project_calibrated(centre_mm, camera)
    assert np.linalg.norm(apart) == pytest.approx(14.0, abs=0.5)
    assert camera.image_size_px == (640, 480)


def test_a_pose_is_a_rotation_and_a_centre(root):
    rotation, centre_mm = read_pose(root / "12" / "frame_00003_pose.txt")
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-4)
    np.testing.assert_array_equal(centre_mm, (43.4019, -30.7038, 906.864))


def test_24_sequences_show_20_people():
    assert len(PERSON_OF_SEQUENCE) == 24
    assert len(set(PERSON_OF_SEQUENCE.values())) == 20
    pairs = {("03", "15"), ("05", "18"), ("02", "21"), ("07", "22")}
    assert all(PERSON_OF_SEQUENCE[a] == PERSON_OF_SEQUENCE[b] for a, b in pairs)
    assert list(PERSON_OF_SEQUENCE.values()).count(PERSON_OF_SEQUENCE["13"]) == 1


def test_images_of_both_archives_are_found(root):
    table = read_biwi(root, "calibrated")
    assert table["fname"].tolist() == [
        "01/frame_00667_rgb.jpg", "09/frame_00667_rgb.jpg", "12/frame_00003_rgb.png", "13/frame_00667_rgb.jpg",
    ]  # fmt: skip
    assert table["group"].tolist() == ["F01", "M03", "M06", "M07"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n".join(POSE.splitlines()[:3]), "cut short: 3 of 4"),
        ("", "cut short: 0 of 4"),
        (POSE.replace("906.864", ""), r"row 5: expected 3 numbers, found '43.4019 -30.7038'"),
        (POSE.replace("906.864", "x"), "row 5"),
        (POSE.replace("906.864", "nan"), "row 5"),
    ],
)
def test_a_broken_pose_file_is_named(root, text, message):
    (root / "12" / "frame_00003_pose.txt").write_text(text)
    with pytest.raises(TableError, match=message) as caught:
        read_biwi(root, "fastbook")
    assert "frame_00003_pose.txt" in str(caught.value)


def test_what_is_missing_is_named(root, tmp_path):
    (root / "12" / "frame_00003_rgb.png").unlink()
    with pytest.raises(DatasetNotFoundError, match="frame_00003_rgb"):
        read_biwi(root, "fastbook")
    (root / "12" / "frame_00003_pose.txt").unlink()
    with pytest.raises(DatasetNotFoundError, match="12 holds no"):
        read_biwi(root, "fastbook")
    (root / "01" / "rgb.cal").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"01/rgb\.cal"):
        read_biwi(root, "fastbook")
    with pytest.raises(DatasetNotFoundError, match="no BIWI sequence"):
        read_biwi(tmp_path / "12", "fastbook")


def test_bytes_are_no_pose(root):
    (root / "12" / "frame_00003_pose.txt").write_bytes(bytes(range(256)))
    with pytest.raises(LightningTasksError, match="frame_00003_pose"):
        read_biwi(root, "calibrated")


def test_the_books_split_is_sequence_13(root):
    data = BiwiDataModule(str(root))
    assert data.table["sequence"].iloc[data.split[1]].tolist() == ["13"]
    assert data.point_names == ["head"]


def test_a_person_in_both_splits_is_refused(tmp_path):
    draw_biwi(tmp_path / "b", frames=2)
    (tmp_path / "b" / "12").rename(tmp_path / "b" / "22")  # who is M01, as in 07
    (tmp_path / "b" / "17").rename(tmp_path / "b" / "07")
    with pytest.raises(ConfigError, match="07 shows M01"):
        _ = BiwiDataModule(str(tmp_path / "b"), validation_sequences=[22]).split
    _ = BiwiDataModule(str(tmp_path / "b"), validation_sequences=[22, 7]).split
    with pytest.raises(ConfigError, match="has no 11"):
        _ = BiwiDataModule(str(tmp_path / "b"), validation_sequences=[11]).split


def test_folds_are_by_person(tmp_path):
    draw_biwi(tmp_path / "b", frames=2)
    (tmp_path / "b" / "12").rename(tmp_path / "b" / "22")
    (tmp_path / "b" / "17").rename(tmp_path / "b" / "07")
    for fold in range(4):
        data = BiwiDataModule(str(tmp_path / "b"), fold=fold, folds=4)
        groups = data.table["group"].to_numpy()
        train, valid = data.split
        assert not set(groups[train]) & set(groups[valid])
        assert len(train) + len(valid) == 16


def test_drawn_heads_stand_where_the_calibrated_labels_say(tmp_path):
    draw_biwi(tmp_path / "b", frames=2)
    calibrated = read_biwi(tmp_path / "b", "calibrated")
    book = read_biwi(tmp_path / "b", "fastbook")
    points = calibrated[["head_x", "head_y"]].to_numpy()
    assert ((points > 60) & (points < (580, 420))).all()
    apart = np.linalg.norm(points - book[["head_x", "head_y"]].to_numpy(), axis=1)
    assert 8 < np.median(apart) < 20


def draw_authors_archive(folder):
    """Draw frames as the authors' own archive has them: png, in a folder `hpdb`, beside depths, meshes and masks."""
    draw_biwi(folder / "hpdb", frames=2)
    for jpg in sorted(folder.rglob("*_rgb.jpg")):
        stem = jpg.name.removesuffix("_rgb.jpg")
        cv2.imwrite(str(jpg.with_suffix(".png")), cv2.imread(str(jpg)))
        jpg.unlink()
        jpg.with_name(f"{stem}_depth.bin").write_bytes(b"\x80\x02\0\0\xe0\x01\0\0\xff")
        write_image(folder / "head_pose_masks" / jpg.parent.name / f"{stem}_depth_mask.png")
        annotation = folder / "db_annotations" / jpg.parent.name / f"{stem}_pose.bin"
        annotation.parent.mkdir(parents=True, exist_ok=True)
        annotation.write_bytes(bytes(24))
    for number in (1, 13):
        (folder / "hpdb" / f"{number:02d}.obj").write_text("v 0 0 0\n")
    (folder / "hpdb" / "readme.txt").write_text("BIWI\n")


@pytest.mark.parametrize("label_frame", ["fastbook", "calibrated"])
def test_the_authors_own_archive_gives_the_same_points(tmp_path, label_frame):
    draw_authors_archive(tmp_path / "own")
    draw_biwi(tmp_path / "fastais", frames=2)
    fastais = read_biwi(tmp_path / "fastais", label_frame)
    for root, prefix in ((tmp_path / "own", "hpdb/"), (tmp_path / "own" / "hpdb", "")):
        table = read_biwi(root, label_frame)
        assert table["fname"].tolist() == [prefix + name.replace(".jpg", ".png") for name in fastais["fname"]]
        assert all((root / name).is_file() for name in table["fname"])
        for column in ("group", "sequence", "head_x", "head_y"):
            assert table[column].tolist() == fastais[column].tolist()


def test_masks_and_annotations_alone_are_no_sequences(tmp_path):
    draw_authors_archive(tmp_path)
    shutil.rmtree(tmp_path / "hpdb")
    with pytest.raises(DatasetNotFoundError, match="nor in a folder in it"):
        read_biwi(tmp_path, "fastbook")


def test_the_authors_own_archive_trains_and_is_scored_and_checked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draw_authors_archive(tmp_path / "root")
    ckpt = train(tmp_path, "biwi.yaml")
    capsys.readouterr()
    assert console(["validate", ckpt, "--trainer.enable_progress_bar", "false"]) == 0
    assert "val/loss" in capsys.readouterr().out
    config = ["--config", str(CONF / "biwi.yaml"), "--data.root", "root"]
    assert console(["prepare", *config]) == 0
    assert "root: 16 images, 14 training, 2 validation" in capsys.readouterr().out
    assert console(["check", *config, "--max_distance", "0"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
