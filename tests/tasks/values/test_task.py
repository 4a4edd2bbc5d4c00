"""From a table to every answer of a checkpoint, by the verbs that everybody uses."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_tasks import ValueDataModule, ValueRegressor, load
from lightning_tasks.__main__ import console
from lightning_tasks.batch import TargetBatch
from lightning_tasks.errors import ConfigError, LightningTasksWarning, TableError
from lightning_tasks.tasks.values.statistics import statistics_of
from tests.tasks.values.conftest import AGES, WEIGHTS, write_values

QUIET = ["--device", "cpu", "--progress", "false"]


def rows_of(path):
    return list(csv.DictReader(Path(path).read_text(encoding="utf-8").splitlines()))


@pytest.fixture
def here(values_run, monkeypatch):
    """The checkpoint, from the folder where it was trained."""
    folder, checkpoint = values_run
    monkeypatch.chdir(folder)
    return checkpoint


def test_the_checkpoint_keeps_the_training_splits_statistics(here):
    state = torch.load(here, weights_only=True)["state_dict"]
    columns = np.stack([AGES, WEIGHTS], 1)
    for name, wanted in (("mean", np.nanmean), ("std", np.nanstd), ("median", np.nanmedian)):
        np.testing.assert_allclose(state[f"head.{name}"], wanted(columns, axis=0), rtol=1e-6)


def test_scores_are_those_of_get_preds_csv(here, capsys):
    assert console(["get_preds", here, "--output", "preds.csv"]) == 0
    rows = rows_of("preds.csv")
    assert list(rows[0]) == ["fname", "age", "weight", "age_annotated", "weight_annotated"]
    assert [row["weight_annotated"] for row in rows] == ["0.6", ""]
    capsys.readouterr()
    assert console(["validate", here, "--trainer.enable_progress_bar", "false"]) == 0
    said = dict(line.split()[:2] for line in capsys.readouterr().out.splitlines() if line.strip().startswith("val/"))
    errors = [float(row["age"]) - float(row["age_annotated"]) for row in rows]
    assert float(said["val/mae_age"]) == pytest.approx(np.abs(errors).mean(), rel=1e-4)
    assert float(said["val/mae_baseline_age"]) == pytest.approx(np.abs([90 - 60, 100 - 60]).mean())
    assert float(said["val/rmse_baseline_age"]) == pytest.approx(np.sqrt(np.square([90 - 56, 100 - 56]).mean()))
    standardised = [*(np.array(errors) / np.nanstd(AGES)), (float(rows[0]["weight"]) - 0.6) / WEIGHTS.std()]
    assert float(said["val/loss"]) == pytest.approx(np.square(standardised).mean(), rel=1e-4)


def test_predictions_are_the_same_by_every_way(here, capsys):
    assert console(["predict", here, "root", "--output", "p.csv", *QUIET]) == 0
    assert console(["predict", here, "root/7.jpg", "--output", "p.json", *QUIET]) == 0
    assert console(["get_preds", here, "--output", "preds.csv"]) == 0
    by_verb = {row["fname"].rpartition("/")[2]: float(row["age"]) for row in rows_of("p.csv")}
    loaded = load(here, "cpu")("root/7.jpg")
    assert loaded.targets == ("age", "weight")
    assert by_verb["7.jpg"] == pytest.approx(float(loaded.values[0]), rel=1e-5)
    assert json.loads(Path("p.json").read_text())[0]["values"]["age"] == pytest.approx(by_verb["7.jpg"], rel=1e-5)
    assert float(rows_of("preds.csv")[1]["age"]) == pytest.approx(by_verb["7.jpg"], rel=1e-3)
    assert console(["export", here, "--format", "safetensors", "--output", "m.safetensors"]) == 0
    assert "numbers in standard deviations" in capsys.readouterr().out


def test_the_server_answers_names_and_numbers(here):
    testclient = pytest.importorskip("fastapi.testclient", exc_type=ImportError)
    from lightning_tasks.deploy.server.app import make_app
    from lightning_tasks.deploy.server.limits import Limits

    predictor = load(here, "cpu")
    client = testclient.TestClient(make_app(predictor, Limits(), "best.ckpt", None, []))
    answer = client.post("/predict", content=Path("root/7.jpg").read_bytes()).json()
    assert [row["name"] for row in answer["values"]] == ["age", "weight"]
    assert answer["values"][0]["value"] == pytest.approx(float(predictor("root/7.jpg").values[0]), rel=1e-6)
    assert client.get("/model").json()["values"] == ["age", "weight"]


def test_pictures_page_and_lines_are_made(here, capsys):
    assert console(["init", "root/values.csv", "--output", "own.yaml", "--force", "true"]) == 0
    assert "targets: [age, weight]" in Path("own.yaml").read_text()
    data = ["--config", "own.yaml", "--data.num_workers", "0"]
    for verb in (["show_batch", *data, "--originals", "true"], ["summary", *data], ["check", *data]):
        assert console(verb) == 0
    said = capsys.readouterr().out
    assert "nothing is wrong" in said
    assert "2 targets (age, weight), known for 87.5% of the rows" in said
    assert console(["show_results", here, "--worst", "true"]) == 0
    assert console(["report", here, "--output", "report.html"]) == 0
    page = Path("report.html").read_text()
    for words in ("age: predicted against true", "weight: residuals", "age by group, the worst first"):
        assert words in page
    assert console(["thresholds", here]) == 2
    assert "Thresholds are for images with any number of labels" in capsys.readouterr().err


def test_another_table_is_scored_with_the_checkpoints_statistics(here, tmp_path, capsys):
    write_values(tmp_path / "root", ["fname,weight,age", *(f"{i}.jpg,{i},{1000 * i}" for i in range(8))])
    args = ["--data.root", str(tmp_path / "root"), "--split", "valid"]
    assert console(["get_preds", here, *args, "--output", str(tmp_path / "other.csv")]) == 0
    assert console(["predict", here, str(tmp_path / "root"), "--output", str(tmp_path / "p.csv"), *QUIET]) == 0
    by_name = {row["fname"].rpartition("/")[2]: row for row in rows_of(tmp_path / "p.csv")}
    for row in rows_of(tmp_path / "other.csv"):
        assert float(row["age"]) == pytest.approx(float(by_name[row["fname"].rpartition("/")[2]]["age"]), rel=1e-3)


def test_a_range_holds_every_prediction():
    model = ValueRegressor(["age"], "test_resnet", image_size=(32, 32), y_range=(0.0, 120.0)).eval()
    model.head.set_statistics(statistics_of(AGES[:, None]))
    with torch.no_grad():
        for layer in model.head.layers[-1:]:
            layer.weight.fill_(100.0)
        outputs = model(torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8))
        predictions = model.decode(outputs)
        torch.testing.assert_close(model.encode(predictions), outputs)
    assert predictions.min() >= 0
    assert predictions.max() <= 120.001
    with pytest.raises(ConfigError, match=r"y_range is \[3, 1\]"):
        ValueRegressor(["age"], "test_resnet", image_size=(32, 32), y_range=(3, 1))


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["5"] * 8, r"column 'age': all 6 numbers for training are 5\. There is nothing to learn"),
        ([*"1234567", "9000"], r"row 9, column 'age': 9000, where half of all lie from 2\.75 to 6\.25"),
        ([*"123456", "", ""], r"column 'age': no row for validation has a number\. Fill it"),
    ],
)
def test_doubts_about_a_column_are_told(tmp_path, cells, told):
    write_values(tmp_path, ["fname,is_valid,age", *(f"{i}.jpg,{i >= 6},{cell}" for i, cell in enumerate(cells))])
    with pytest.warns(LightningTasksWarning, match=told):
        ValueDataModule(str(tmp_path)).read_sets("fit")


def test_a_column_that_training_knows_nothing_of_is_refused(tmp_path):
    write_values(tmp_path, ["fname,is_valid,age", *(f"{i}.jpg,{i >= 6},{i if i >= 6 else ''}" for i in range(8))])
    with pytest.raises(TableError, match="'age': no row for training has a number"):
        ValueDataModule(str(tmp_path)).read_sets("fit")


def test_numbers_that_float32_cannot_tell_apart_are_refused(tmp_path):
    write_values(tmp_path, ["fname,is_valid,taken_s", *(f"{i}.jpg,{i >= 6},{1_700_000_000 + i}" for i in range(8))])
    with pytest.raises(TableError, match="'taken_s': the numbers for training lie from 1700000000 to 1700000005"):
        ValueDataModule(str(tmp_path)).read_sets("fit")


def test_mirroring_is_averaged_outside_training():
    model = ValueRegressor(["age"], "test_resnet", image_size=(32, 48), flip_tta=True).eval()
    images = torch.randint(0, 256, (3, 3, 32, 48), dtype=torch.uint8)
    with torch.no_grad():
        batches = [TargetBatch(seen, torch.zeros(3, 1), torch.arange(3)) for seen in (images, images.flip(3))]
        torch.testing.assert_close(*(model.predict_step(batch) for batch in batches))


def test_the_drawn_sample_says_what_it_shows(tmp_path):
    from lightning_tasks import ValueSampleDataModule
    from lightning_tasks.data.images.decode import read_image

    data = ValueSampleDataModule(str(tmp_path / "sample"), size=32)
    data.prepare_data()
    assert data.targets == ["discs", "covered_percent"]
    none = data.table[data.table["covered_percent"] == 0]
    assert (none["discs"].dropna() == 0).all()
    row = data.table[data.table["covered_percent"] > 15].iloc[0]
    image = read_image(tmp_path / "sample" / row["fname"]).astype(int)
    red = (image[..., 0] > 170) & (image[..., 1] < 100) & (image[..., 2] < 100)
    assert 100 * red.mean() == pytest.approx(row["covered_percent"], rel=0.35)
