"""Every verb on VOC's own tree; the scores are held against the classes' own lists."""

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from lightning_tasks.__main__ import console
from lightning_tasks.checkpoint import read_checkpoint
from tests.conftest import CONF, train
from tests.fakes import write_voc

KINDS = ("car", "horse", "person")


def drawn(first, n):
    """`n` images with up to three objects each; a third of these are difficult."""
    rng = np.random.default_rng(first)
    objects = [[(str(rng.choice(KINDS)), bool(rng.random() < 1 / 3)) for _ in range(rng.integers(4))] for _ in range(n)]
    return {f"{first + i:06d}": listed for i, listed in enumerate(objects)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voc")
    tree = folder / "root" / "VOCdevkit" / "VOC2007"
    write_voc(tree, {"train": drawn(1, 16), "val": drawn(100, 20), "test": drawn(200, 12)})
    return folder, train(folder, "pascal.yaml", "--model.backbone", "test_resnet"), tree


def mean_average_precision(predictions, tree, image_set):
    """By the lists of each class: −1 is negative, 1 positive, and 0 counts not at all."""
    with Path(predictions).open(newline="") as file:
        probabilities = {Path(row["fname"]).stem: row for row in csv.DictReader(file)}
    found, difficult = [], 0
    for kind in KINDS:
        lines = (tree / "ImageSets" / "Main" / f"{kind}_{image_set}.txt").read_text().splitlines()
        cells = [(name, int(value)) for name, value in (line.split() for line in lines) if value != "0"]
        difficult += len(lines) - len(cells)
        assert set(probabilities) == {line.split()[0] for line in lines}
        scores = [float(probabilities[name][kind]) for name, _ in cells]
        found.append(average_precision_score([value == 1 for _, value in cells], scores))
    assert difficult  # or the rule would not show
    return np.mean(found)


@pytest.mark.parametrize(("verb", "stage", "split", "image_set"), [
    ("validate", "val", "valid", "val"), ("test", "test", "test", "test"),
])  # fmt: skip
def test_a_checkpoint_alone_gives_the_lists_own_scores(run, verb, stage, split, image_set, monkeypatch, capsys):
    folder, ckpt, tree = run
    monkeypatch.chdir(folder)
    assert console([verb, ckpt, "--trainer.enable_progress_bar", "false"]) == 0
    printed = re.search(rf"{stage}/mAP\W+([0-9.]+)", capsys.readouterr().out)
    assert console(["get_preds", ckpt, "--split", split, "--output", "preds.csv"]) == 0
    assert float(printed[1]) == pytest.approx(mean_average_precision("preds.csv", tree, image_set), abs=1e-3)


def test_vocs_own_protocol_trains_on_all_of_trainval(run, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    root = str(run[0] / "root")
    official = ["--config", str(CONF / "pascal_official.yaml")]
    ckpt = train(tmp_path, "pascal.yaml", *official, "--model.backbone", "test_resnet", "--data.root", root)
    last = str(Path(ckpt).with_name("last.ckpt"))
    assert read_checkpoint(Path(last))["global_step"] == 36 // 4
    capsys.readouterr()
    assert console(["test", last, "--trainer.enable_progress_bar", "false"]) == 0
    printed = re.search(r"test/mAP\W+([0-9.]+)", capsys.readouterr().out)
    assert console(["get_preds", last, "--split", "test", "--output", "preds.csv"]) == 0
    assert float(printed[1]) == pytest.approx(mean_average_precision("preds.csv", run[2], "test"), abs=1e-3)


def test_every_other_verb_runs_on_the_tree(run, monkeypatch, capsys, tmp_path):
    folder, ckpt, _ = run
    monkeypatch.chdir(folder)
    config = ["--config", str(CONF / "pascal.yaml"), "--data.root", "root"]
    assert console(["prepare", *config]) == 0
    said = capsys.readouterr().out
    assert "root: 36 images, 16 training, 20 validation" in said
    assert "3 labels" in said
    assert "test.txt: 12 images for testing" in said
    assert console(["summary", *config]) == 0
    assert console(["show_batch", *config, "--n", "1"]) == 0
    copy = str(tmp_path / "chosen.ckpt")
    assert console(["thresholds", ckpt, "--output", copy]) == 0
    assert console(["show_results", copy, "--n", "2"]) == 0
    assert console(["report", copy, "--output", "report.html"]) == 0
    assert f"kept in {copy}" in capsys.readouterr().out
    assert {"show_batch.png", "show_results.png", "report.html"} <= {path.name for path in Path.cwd().iterdir()}
    page = Path("report.html").read_text()
    assert all(kind in page for kind in KINDS)


def test_check_reads_the_tree_and_does_not_offer_to_write_one(run, monkeypatch, capsys, tmp_path):
    shutil.copytree(run[0] / "root", tmp_path / "root")
    monkeypatch.chdir(tmp_path)
    check = ["check", "--config", str(CONF / "pascal.yaml"), "--data.root", "root", "--min_positives", "1"]
    assert console([*check, "--max_distance", "0"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    annotation = Path("root/VOCdevkit/VOC2007/Annotations/000003.xml")
    annotation.write_text("<annotation>")
    with pytest.raises(SystemExit) as left:
        console([*check, "--max_distance", "0"])
    assert left.value.code == 1
    assert f"cell            {annotation}: not an annotation in XML" in capsys.readouterr().out
    assert console([*check, "--fix", "fixed.csv"]) == 2
    assert "PascalDataModule reads none in root" in capsys.readouterr().err
    assert not Path("fixed.csv").exists()
