"""The verbs that a checkpoint alone is enough for, on tiny runs of the command line."""

import csv
import re
import shutil
from pathlib import Path

import pytest
import torch

from lightning_tasks import MultiLabelClassifier
from lightning_tasks.__main__ import console
from lightning_tasks.data.images.opencv import cv2
from tests.conftest import CONF, train
from tests.fakes import FLAGS, write_multilabel


def rows(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_predictions_of_labels_are_written(labels_run, monkeypatch):
    folder, ckpt = labels_run
    monkeypatch.chdir(folder)
    assert console(["get_preds", ckpt, "--output", "deep/preds.csv", "--model.threshold", "0.0"]) == 0
    first, second = rows("deep/preds.csv")
    assert first["fname"] == str(Path("root/6.jpg"))
    assert (first["labels"], second["labels"]) == ("dog", "cat")
    assert first["predicted"] == "cat dog"  # all above 0
    assert 0 < float(first["cat"]) < 1


def test_predictions_of_points_are_written_in_the_pixels_on_disk(points_run, monkeypatch, capsys):
    folder, ckpt = points_run
    monkeypatch.chdir(folder)
    assert console(["get_preds", ckpt]) == 0
    for row, number in zip(rows("predictions.csv"), (6, 7), strict=True):
        assert -0.5 <= float(row["l_x"]) <= 31.5  # 32 pixels wide
        assert float(row["l_x_annotated"]) == pytest.approx(5, abs=0.01)
        assert float(row["r_x_annotated"]) == pytest.approx(9 + number, abs=0.01)
        assert float(row["r_y_annotated"]) == pytest.approx(7, abs=0.01)


def test_a_positional_checkpoint_is_as_good_as_a_named_one(labels_run, monkeypatch, capsys):
    folder, ckpt = labels_run
    monkeypatch.chdir(folder)
    said = []
    for way in ([ckpt], ["--ckpt_path", ckpt]):
        assert console(["validate", *way, "--trainer.enable_progress_bar", "false"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert "val/mAP" in said[0]
    config = str(Path(ckpt).parents[1] / "config.yaml")
    assert console(["validate", "--config", config, "--trainer.enable_progress_bar", "false"]) == 0
    assert "scores of a model that is not trained. validate best.ckpt" in capsys.readouterr().err


def test_results_are_drawn_in_the_images_own_pixels(labels_run, points_run, monkeypatch, capsys):
    for (folder, ckpt), more in ((labels_run, ["--grad_cam", "dog"]), (points_run, [])):
        monkeypatch.chdir(folder)
        assert console(["show_results", ckpt, "--output", "deep/seen.png", "--data.num_workers", "0"]) == 0
        assert console(["show_results", ckpt, "--n", "1", "--worst", "true", *more, "--data.num_workers", "0"]) == 0
        printed = capsys.readouterr().out
        assert len(re.findall(r"^loss [0-9.]+ +root/[67].jpg$", printed, re.MULTILINE)) == 1
        both, one = cv2.imread("deep/seen.png"), cv2.imread("show_results.png")
        assert both.std() > 5
        assert both.shape[1] > one.shape[1] * 1.5


def test_the_worst_are_those_whose_predictions_are(points_run, monkeypatch, capsys):
    folder, ckpt = points_run
    monkeypatch.chdir(folder)
    assert console(["show_results", ckpt, "--worst", "true"]) == 0
    losses = dict(reversed(line.split()[1:]) for line in capsys.readouterr().out.splitlines() if line[:5] == "loss ")
    assert list(losses.values()) == sorted(losses.values(), key=float, reverse=True)
    assert console(["get_preds", ckpt]) == 0
    for row in rows("predictions.csv"):
        pairs = [(float(row[name]), float(row[f"{name}_annotated"])) for name in ("l_x", "l_y", "r_x", "r_y")]
        sides = (32, 24, 32, 24)  # pixels that are 2 on the −1..1 scale
        mean = sum((2 * (a - b) / side) ** 2 for (a, b), side in zip(pairs, sides, strict=True)) / 4
        assert float(losses[row["fname"]]) == pytest.approx(mean, rel=0.01)


@pytest.mark.parametrize(
    ("more", "part"),
    [(["--n", "0"], "--n is 0"), (["--grad_cam", "dgo"], "Did you mean dog?"), (["--split", "test"], "no test table")],
)
def test_what_cannot_be_shown_is_told(labels_run, more, part, monkeypatch, capsys):
    folder, ckpt = labels_run
    monkeypatch.chdir(folder)
    assert console(["show_results", ckpt, *more]) == 2
    assert part in capsys.readouterr().err


def test_a_verb_without_its_checkpoint_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert console(["get_preds", "none.ckpt"]) == 2
    assert "no checkpoint none.ckpt" in capsys.readouterr().err


ONE = ["fname,labels,is_valid", *(f"{i}.jpg,{'cat' if i % 3 else 'dog'},{i >= 6}" for i in range(8))]


def test_cross_entropy_trains_where_each_image_has_one_label(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_multilabel(tmp_path / "root", ONE)
    ckpt = train(
        tmp_path,
        "multilabel.yaml",
        "--model",
        "MultiClassClassifier",
        "--data",
        "MultiClassDataModule",
        "--checkpoint.monitor",
        "val/accuracy",
    )
    logged = capsys.readouterr().out
    assert "val/accuracy_most_common" in logged
    assert "all_negative" not in logged
    assert console(["get_preds", ckpt]) == 0
    for row in rows("predictions.csv"):
        shares = {name: float(row[name]) for name in ("cat", "dog")}
        assert sum(shares.values()) == pytest.approx(1, abs=2e-6)
        assert row["predicted"] == max(shares, key=shares.get)  # the likeliest, not what is above .5
    assert console(["show_results", ckpt]) == 0
    assert console(["report", ckpt]) == 0
    assert "always the commonest label" in (Path(ckpt).parents[1] / "report.html").read_text()
    assert console(["thresholds", ckpt]) == 2
    assert "Thresholds are for" in capsys.readouterr().err


def test_cross_entropy_refuses_other_tables_with_the_row(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_multilabel(tmp_path / "root", [*ONE[:4], "3.jpg,cat dog,False", *ONE[5:]])
    args = ["fit", "--config", str(CONF / "multilabel.yaml"), *FLAGS, "--data.root", "root", "--data.size", "32"]
    assert (
        console(
            [*args, "--model", "MultiClassClassifier", "--data", "MultiClassDataModule", "--model.pretrained", "false"]
        )
        == 2
    )
    assert "root/labels.csv: row 5, column 'labels': 2 labels; cross-entropy wants" in capsys.readouterr().err


def test_difficult_labels_change_what_is_scored(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # All validation images have the label dog, and in one of them it is difficult: not predicted, it counts or not.
    lines = ["fname,labels,difficult,is_valid", *(f"{i}.jpg,dog cat,,{i >= 6}" for i in range(7)), "7.jpg,,dog,True"]
    write_multilabel(tmp_path / "root", lines)
    ckpt = train(tmp_path, "multilabel.yaml", "--model.threshold", "0.0")  # everything is predicted
    for policy, accuracy in (("ignored", 2 / 3), ("negative", 2 / 4)):
        capsys.readouterr()
        assert console(["validate", ckpt, "--data.difficult", policy]) == 0
        said = capsys.readouterr().out
        assert float(re.search(r"val/accuracy\W+([0-9.]+)", said)[1]) == pytest.approx(accuracy, abs=1e-4)


def scored(capsys, *args):
    """Return what `validate` says of each metric."""
    capsys.readouterr()
    assert console(["validate", *args, "--trainer.enable_progress_bar", "false"]) == 0
    return {name: float(value) for name, value in re.findall(r"(val/\w+)\W+([0-9.]+)", capsys.readouterr().out)}


@pytest.fixture(scope="module")
def run_to_tune(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    lines = ["fname,labels,is_valid", *(f"{i}.jpg,{['cat', 'dog', 'cat dog'][i % 3]},{i >= 4}" for i in range(16))]
    write_multilabel(folder / "root", lines, 16)
    return folder, train(folder, "multilabel.yaml")


@pytest.fixture
def tuned_run(run_to_tune, tmp_path, monkeypatch):
    """A copy of the run that may be written to."""
    shutil.copytree(run_to_tune[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return run_to_tune[1]


@pytest.mark.parametrize("more", [[], ["--each_label", "false"], ["--calibrate", "true", "--aim", "accuracy"]])
def test_thresholds_are_kept_and_used_and_the_command_line_beats_them(tuned_run, capsys, more):
    weights = torch.load(tuned_run, weights_only=True)["state_dict"]
    assert console(["thresholds", tuned_run, *more, "--curve", "deep/curve.png"]) == 0
    assert Path("deep/curve.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert "one for each, cross-fitted" in said
    stored = torch.load(tuned_run, weights_only=True)
    assert all(torch.equal(stored["state_dict"][name], value) for name, value in weights.items())
    kept, temperature = (stored["hyper_parameters"][name] for name in ("threshold", "temperature"))
    assert isinstance(kept, float if "--each_label" in more else list)
    assert (temperature == 1) == ("--calibrate" not in more)

    # Scored by what is kept, from the predictions that the csv holds.
    assert console(["get_preds", tuned_run]) == 0
    table = rows("predictions.csv")
    limits = kept if isinstance(kept, list) else [kept, kept]
    right, at = [], []
    for row in table:
        predicted = [name for name, limit in zip(("cat", "dog"), limits, strict=True) if float(row[name]) > limit]
        assert row["predicted"] == " ".join(predicted)
        right += [(name in predicted) == (name in row["labels"]) for name in ("cat", "dog")]
        at += [(float(row[name]) > 0.47) == (name in row["labels"]) for name in ("cat", "dog")]
    assert scored(capsys, tuned_run)["val/accuracy"] == pytest.approx(sum(right) / len(right), abs=1e-4)
    beaten = scored(capsys, tuned_run, "--model.threshold", "0.47")["val/accuracy"]
    assert beaten == pytest.approx(sum(at) / len(at), abs=1e-4)


def test_a_temperature_lowers_the_loss_and_leaves_the_ranking(tuned_run, capsys):
    before = scored(capsys, tuned_run)
    assert console(["thresholds", tuned_run, "--calibrate", "true", "--output", "other.ckpt"]) == 0
    assert scored(capsys, tuned_run) == before  # another file was written
    after = scored(capsys, "other.ckpt")
    assert after["val/loss"] < before["val/loss"]
    assert after["val/mAP"] == before["val/mAP"]
    kept = torch.load("other.ckpt", weights_only=True)["hyper_parameters"]["temperature"]
    assert console(["thresholds", "other.ckpt", "--calibrate", "true"]) == 0  # chosen again, it stays
    again = torch.load("other.ckpt", weights_only=True)["hyper_parameters"]["temperature"]
    assert again == pytest.approx(kept, rel=1e-3)
    from_python = MultiLabelClassifier.load_from_checkpoint("other.ckpt", weights_only=True)
    assert from_python.temperature == again
    assert from_python.thresholds.tolist() == torch.load("other.ckpt")["hyper_parameters"]["threshold"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--recall", "2"], "--recall is 2.0"),
        (["--model.threshold", "[0.5,0.5,0.5]"], "model.threshold has 3 values for 2 labels"),
        (["--model.temperature", "0"], "model.temperature is 0.0"),
        (["--output", "/proc/none/x.ckpt"], "cannot be written"),
    ],
)
def test_thresholds_that_cannot_be(tuned_run, capsys, args, message):
    before = Path(tuned_run).read_bytes()
    assert console(["thresholds", tuned_run, *args]) == 2
    assert message in capsys.readouterr().err
    assert Path(tuned_run).read_bytes() == before


def test_points_have_no_thresholds(points_run, monkeypatch, capsys):
    monkeypatch.chdir(points_run[0])
    assert console(["thresholds", points_run[1]]) == 2
    assert "Thresholds are for" in capsys.readouterr().err


def test_two_images_are_too_few_for_thresholds(labels_run, monkeypatch, capsys):
    monkeypatch.chdir(labels_run[0])
    assert console(["thresholds", labels_run[1]]) == 2
    assert "2 images are too few" in capsys.readouterr().err


def test_no_verb_scores_one_label_an_image_where_there_are_two(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_multilabel(tmp_path / "root", ONE)
    ckpt = train(
        tmp_path,
        "multilabel.yaml",
        "--model",
        "MultiClassClassifier",
        "--data",
        "MultiClassDataModule",
        "--checkpoint.monitor",
        "val/accuracy",
    )
    (tmp_path / "root" / "two.csv").write_text("\n".join([*ONE[:8], "7.jpg,cat dog,True"]) + "\n")
    for verb in ("validate", "get_preds", "show_results", "report"):
        assert console([verb, ckpt, "--data.csv", "two.csv"]) == 2
        assert "two.csv: row 9, column 'labels': 2 labels; cross-entropy" in capsys.readouterr().err


def test_what_is_kept_holds_beside_a_config_that_does_not_name_it(tuned_run, capsys):
    assert console(["thresholds", tuned_run, "--calibrate", "true"]) == 0
    kept = scored(capsys, tuned_run, "--trainer.precision", "32-true")
    for config in ("multilabel.yaml", "bf16.yaml"):  # the run's own; an overlay alone
        more = ["--config", str(CONF / config), "--trainer.precision", "32-true", "--data.root", "root", *FLAGS]
        size = ["--data.size", "[32,40]", "--data.batch_size", "4", "--model.pretrained", "false"]
        assert scored(capsys, tuned_run, *more, *size) == kept


@pytest.mark.parametrize(
    ("verb", "output"),
    [
        ("get_preds", "/proc/none/x.csv"),
        ("get_preds", "root"),
        ("show_results", "/proc/none/x.png"),
        ("show_results", "x.foo"),
        ("report", "/proc/none/x.html"),
    ],
)
def test_an_output_that_cannot_be_written_is_told(labels_run, monkeypatch, capsys, verb, output):
    monkeypatch.chdir(labels_run[0])
    assert console([verb, labels_run[1], "--output", output]) == 2
    assert f"{output} cannot be written (" in capsys.readouterr().err
    assert not list(Path().glob(".new*"))


def test_an_image_without_an_ending_is_a_png(labels_run, monkeypatch):
    monkeypatch.chdir(labels_run[0])
    assert console(["show_results", labels_run[1], "--output", "results"]) == 0
    assert Path("results").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("verb", ["get_preds", "thresholds", "show_results", "report"])
def test_a_training_that_diverged_is_told(tuned_run, capsys, verb):
    checkpoint = torch.load(tuned_run, weights_only=True)
    for value in checkpoint["state_dict"].values():
        if value.is_floating_point():
            value.fill_(torch.nan)
    torch.save(checkpoint, "nan.ckpt")
    assert console([verb, "nan.ckpt"]) == 2
    assert "predicts NaN: its training diverged" in capsys.readouterr().err


def test_labels_may_have_separators_of_their_own_and_dollars(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ["fname,labels", *(f"{i}.jpg,{'traffic light;$^$' if i % 2 else '$^$'}" for i in range(8))]
    write_multilabel(tmp_path / "root", lines)
    ckpt = train(tmp_path, "multilabel.yaml", "--data.label_separator", ";", "--model.threshold", "0.0")
    assert console(["get_preds", ckpt]) == 0
    assert {row["predicted"] for row in rows("predictions.csv")} == {"$^$;traffic light"}


def test_where_nothing_is_annotated_none_is_worst(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = ["fname,labels,difficult,is_valid", *(f"{i}.jpg,cat,,False" for i in range(6)), "6.jpg,,cat,True"]
    write_multilabel(tmp_path / "root", lines)
    ckpt = train(tmp_path, "multilabel.yaml")  # also: a validation of which nothing counts ends in no error
    assert console(["show_results", ckpt, "--worst", "true"]) == 2
    assert "No image of the split is annotated" in capsys.readouterr().err
    assert console(["show_results", ckpt]) == console(["report", ckpt]) == 0


def test_a_single_label_is_enough_for_all_but_cross_entropy(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = ["fname,labels,is_valid", *(f"{i}.jpg,{'cat' if i % 2 else ''},{i >= 3}" for i in range(8))]
    write_multilabel(tmp_path / "root", lines)
    ckpt = train(tmp_path, "multilabel.yaml")
    for verb in ("validate", "thresholds", "show_results", "report"):
        assert console([verb, ckpt]) == 0
    capsys.readouterr()
    args = [
        "fit",
        "--config",
        str(CONF / "multilabel.yaml"),
        *FLAGS,
        "--data.root",
        "root",
        "--model.pretrained",
        "false",
    ]
    assert console([*args, "--model", "MultiClassClassifier", "--data", "MultiClassDataModule"]) == 2
    assert "the images for training have 'cat' alone" in capsys.readouterr().err
