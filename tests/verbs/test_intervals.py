"""`validate --ci` and `compare`, on the recorded checkpoints."""

import re
import shutil
from pathlib import Path

import pytest
import torch

from lightning_tasks import KeypointDataModule, KeypointRegressor
from lightning_tasks.__main__ import console
from lightning_tasks.command_line.arguments import with_implied_numbers
from lightning_tasks.reports.comparison import compare_scores, rows_that_differ
from lightning_tasks.trainer import Trainer

RECORDED = Path(__file__).parents[1] / "recorded"
pytestmark = pytest.mark.filterwarnings("always:.*:UserWarning")  # of options that have other names now
CPU = ["--trainer.accelerator", "cpu", "--trainer.precision", "32-true", "--trainer.enable_progress_bar", "false"]


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    for part in ("data", "runs"):
        shutil.copytree(RECORDED / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)
    return lambda variant, name="best": f"runs/{variant}/version_0/checkpoints/{name}.ckpt"


def numbers(line):
    return [float(word) for word in re.findall(r"[-+]?\d*\.\d+", line)]


@pytest.mark.parametrize("variant", ["labels", "one_label", "points"])
def test_intervals_stand_below_the_scores_that_are_printed(variant, recorded, capsys):
    assert console(["validate", recorded(variant), *CPU, "--data.batch_size", "3", "--ci"]) == 0
    table, below = re.split(r"\n +score +from +to\n", capsys.readouterr().out)
    printed = dict(re.findall(r"(val/\w+) +([-\d.e]+)", table))
    intervals = {line.split()[0]: line for line in below.splitlines() if line.startswith("val/")}
    common = set(printed) & set(intervals)
    assert common >= ({"val/loss", "val/median_px", "val/p95_px"} if variant == "points" else
                      {"val/loss", "val/mAP", "val/accuracy"})  # fmt: skip
    for name in common:
        value, low, high = numbers(intervals[name])
        assert value == pytest.approx(float(printed[name]), rel=1e-5, abs=6e-5)
        assert low <= value <= high
    assert "95 % intervals, of 1,000 bootstrap resamples of the " in below


def test_a_level_is_refused_before_anything_is_read(recorded, capsys):
    for verb in ("validate", "test", "report"):
        assert console([verb, recorded("labels"), *CPU, "--ci", "95"]) == 2
        assert "--ci is 95; it is a share between 0 and 1, such as 0.95. Write 0.95." in capsys.readouterr().err


def test_no_image_scored_has_no_interval(recorded, capsys):
    assert console(["validate", recorded("labels"), *CPU, "--ci", "--trainer.limit_val_batches", "0"]) == 2
    assert "No image was scored" in capsys.readouterr().err


def test_from_python_data_may_stand_where_lightning_takes_loaders(recorded, capsys):
    content = torch.load(recorded("points"), weights_only=True)
    data = KeypointDataModule("data", size=content["hyper_parameters"]["image_size"], num_workers=0)
    model = KeypointRegressor.load_from_checkpoint(recorded("points"), weights_only=True)
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    (scores,) = trainer.validate(model, data, ci=0.8)
    said = capsys.readouterr().out
    value, low, high = numbers(re.search(r"^val/median_px  .*$", said, re.MULTILINE)[0])
    assert (value, low <= value <= high) == (pytest.approx(scores["val/median_px"], abs=1e-4), True)
    assert "80 % intervals" in said


def test_the_option_may_stand_without_a_number():
    args = with_implied_numbers
    assert args(["validate", "--ci", "a.ckpt"]) == ["validate", "--ci=0.95", "a.ckpt"]
    assert args(["validate", "a.ckpt", "--ci"]) == ["validate", "a.ckpt", "--ci=0.95"]
    assert args(["validate", "--ci", "--x", "1"]) == ["validate", "--ci=0.95", "--x", "1"]
    for number in ("0.5", "95", "-1", "null"):
        assert args(["validate", "--ci", number, "a.ckpt"]) == ["validate", "--ci", number, "a.ckpt"]
    assert args(["validate", "--ci=.5", "a.ckpt"]) == ["validate", "--ci=.5", "a.ckpt"]


@pytest.mark.parametrize(("a", "b", "score"), [("labels", "labels", "mAP"), ("points", "heatmap", "median_px")])
def test_two_checkpoints_are_compared_on_the_same_images(a, b, score, recorded, capsys):
    files = [recorded(a), recorded(b, "last" if a == b else "best")]
    wanted = []
    for file in files:
        console(["validate", file, *CPU])
        wanted.append(float(re.search(rf"val/{score} +([-\d.e]+)", capsys.readouterr().out)[1]))
    assert console(["compare", *files, *CPU, "--output", "there/page.html"]) == 0
    said = capsys.readouterr().out
    found = numbers(re.search(rf"^{score} .*$", said, re.MULTILINE)[0])
    assert found[:3] == pytest.approx([*wanted, wanted[1] - wanted[0]], abs=2e-4)
    assert found[3] <= found[2] + 1e-4 <= found[4] + 2e-4
    page = Path("there/page.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") % 2 == 0
    assert f"<td>{wanted[0]:.3f}</td><td>{wanted[1]:.3f}</td>" in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)


def test_mistakes_with_two_checkpoints_are_told(recorded, capsys):
    for words, told in (
        ([recorded("labels")], "compare A.ckpt B.ckpt"),
        ([recorded("labels"), recorded("points")], "of the task multilabel"),
        ([recorded("labels"), "none.ckpt"], "There is no checkpoint none.ckpt"),
        ([recorded("labels"), recorded("labels"), "--output", recorded("labels")], "would be written over"),
        ([recorded("labels"), recorded("labels"), "--split", "train"], "valid or test"),
    ):
        assert console(["compare", *words, *CPU]) == 2
        assert told in capsys.readouterr().err
    assert not Path("compare.html").exists()


def test_other_names_and_another_split_are_told(recorded, capsys):
    content = torch.load(recorded("labels"), weights_only=True)
    vocab = content["hyper_parameters"]["vocab"]
    content["hyper_parameters"]["vocab"] = [*vocab[:-1], "zebra"]
    torch.save(content, "zebra.ckpt")
    assert console(["compare", recorded("labels"), "zebra.ckpt", *CPU]) == 2
    assert "zebra.ckpt alone has zebra" in capsys.readouterr().err
    content["hyper_parameters"]["vocab"] = vocab
    # The table has a column `is_valid`, whose rows no fold trains on either.
    for name, value, doubt in (
        ("split_seed", 7, None),
        ("fold", 1, None),
        ("train_on_valid", True, "other.ckpt was trained on"),
        ("csv", "old.csv", "other.ckpt was trained on another table"),
    ):
        before = content["datamodule_hyper_parameters"]
        torch.save({**content, "datamodule_hyper_parameters": {**before, name: value}}, "other.ckpt")
        assert console(["compare", recorded("labels"), "other.ckpt", *CPU]) == 0
        said = capsys.readouterr()
        assert (doubt or "") in said.err
        assert (doubt is None) == ("was trained on" not in said.err)
        assert "50.0 %" in said.out  # the same model
    both = [recorded("labels"), recorded("labels", "last")]
    assert console(["compare", *both, *CPU, "--data.fold", "0", "--data.folds", "2"]) == 0
    said = capsys.readouterr().err
    for file in both:
        assert f"{file} was trained on 3 of the 3 rows for validation (data.fold was None and is 0" in said


def test_labels_in_another_order_are_the_same_labels(recorded, capsys):
    content = torch.load(recorded("labels"), weights_only=True)
    vocab = content["hyper_parameters"]["vocab"]
    content["hyper_parameters"]["vocab"] = vocab[::-1]
    last = max(name for name in content["state_dict"] if name.startswith("head.") and name.endswith("weight"))
    for name in (last, last.replace("weight", "bias")):
        if name in content["state_dict"]:
            content["state_dict"][name] = content["state_dict"][name].flip(0)
    threshold = content["hyper_parameters"].get("threshold")
    if isinstance(threshold, list):
        content["hyper_parameters"]["threshold"] = threshold[::-1]
    torch.save(content, "flipped.ckpt")
    assert console(["compare", recorded("labels"), "flipped.ckpt", *CPU]) == 0
    a, b, difference, *_ = numbers(re.search(r"^mAP .*$", capsys.readouterr().out, re.MULTILINE)[0])
    assert (a, difference) == (b, 0)


def test_differences_are_those_of_pairs():
    values = torch.arange(40, dtype=torch.float64)

    def scores(of):
        return lambda counts: {"mae_x": of @ counts.double() / counts.double().sum(0)}

    same = compare_scores(scores(values), scores(values), 40).scores["mae_x"]
    assert (same.more.value, same.more.low, same.more.high, same.b_better, same.is_sure) == (0, 0, 0, 0.5, False)
    lower = compare_scores(scores(values), scores(values - 1), 40, lower_is_better=("mae_",)).scores["mae_x"]
    assert lower.more == pytest.approx((-1, -1, -1))
    assert lower.b_better == 1.0
    assert compare_scores(scores(values), scores(values - 1), 40).scores["mae_x"].b_better == 0.0
    one = compare_scores(scores(values), scores(values), 40, ["a"] * 40).scores["mae_x"]
    assert one.more.low != one.more.low


def test_the_images_that_differ_most_are_found():
    a, b = torch.tensor([3.0, 1.0, 5.0, torch.nan, 2.0]), torch.tensor([1.0, 1.0, 9.0, 1.0, 2.5])
    assert rows_that_differ(a, b, 5) == ([0], [2, 4])
    assert rows_that_differ(a, b, 1) == ([0], [2])
