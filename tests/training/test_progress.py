"""Schedules of runs that are resumed with epochs of another length: by the number, and in real runs."""

import csv
import math
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from lightning_tasks import OneCycle
from lightning_tasks.__main__ import console
from lightning_tasks.training.progress import RunLength, Timetable
from lightning_tasks.training.schedule import one_cycle
from tests.callbacks import Stopped
from tests.fakes import FLAGS
from tests.training.small_runs import CONF, write_data
from tests.training.test_schedule import Line

lengths = st.tuples(st.integers(1, 30), st.integers(1, 4))  # batches of an epoch, and how many share a step


def train(timetable, length, step, epoch, batch, stop_after):
    """Yield the place of each step until the end, or until so many, as a checkpoint between steps notes it."""
    boundary, epochs = timetable.boundaries[0], length.max_epochs
    for _ in range(stop_after):
        if epoch == epochs or step == length.max_steps:
            return
        frozen = timetable.span(step) == timetable.spans[0]
        assert frozen == (epoch < boundary)
        yield frozen, timetable.span(step).position(step), step, epoch, batch
        step, batch = step + 1, batch + length.accumulate
        if batch >= length.batches:
            epoch, batch = epoch + 1, 0
    yield None, None, step, epoch, batch


def resumed(before, length, boundaries, place):
    step, epoch, batch = place
    batch = length.batch_like(batch, before.length)
    return Timetable.of_resumed_run(before, length, boundaries, step, epoch, batch), (step, epoch, batch)


@given(st.integers(1, 6), st.integers(0, 6), st.lists(st.tuples(lengths, st.integers(1, 60)), min_size=1, max_size=6))
def test_however_often_epochs_change_their_length_the_schedule_goes_on_to_its_end(epochs, boundary, parts):
    boundary = min(boundary, epochs)
    place, timetable, seen = (0, 0, 0), None, []
    for number, ((batches, accumulate), stop_after) in enumerate(parts):
        length = RunLength(batches, accumulate, epochs, -1)
        if timetable is None:
            timetable = Timetable.of_new_run(length, (boundary,), length.steps * epochs)
        else:
            timetable, place = resumed(timetable, length, (boundary,), place)
            timetable = Timetable.from_state(timetable.state())
        steps = list(train(timetable, length, *place, stop_after if number + 1 < len(parts) else 10**6))
        seen += [(frozen, position) for frozen, position, *_ in steps if position is not None]
        place = steps[-1][2:] if steps[-1][0] is None else (0, epochs, 0)
        if place[1] == epochs:
            break  # the run is over
    for stage in (True, False):
        positions = [position for frozen, position in seen if frozen is stage]
        assert positions == sorted(positions)
        assert all(0 <= position < 1 for position in positions)
        rates = [one_cycle(position).lr_factor for position in positions if position >= 0.25]
        assert rates == sorted(rates, reverse=True)
    last = timetable.spans[-1] if boundary < epochs else timetable.spans[0]
    assert last.position(last.end_step) == 1
    assert seen[-1][1] == last.position(last.end_step - 1)  # the last step is the one before the end of the cycle


@given(st.integers(1, 6), st.integers(0, 6), lengths, st.integers(0, 10**4))
def test_where_nothing_changes_positions_are_the_same_to_the_bit(epochs, boundary, length, step):
    length = RunLength(*length, epochs, -1)
    total = length.steps * epochs
    step, boundary = step % total, min(boundary, epochs)
    frozen_steps = length.steps * boundary
    timetable = Timetable.from_state(Timetable.of_new_run(length, (boundary,), total).state())
    span = timetable.span(step)
    first, end = (0, frozen_steps) if step < frozen_steps else (frozen_steps, total)
    assert span.position(step) == (step - first) / (end - first)
    assert Timetable.of_new_run(length, (), total).span(step).position(step) == step / total


def test_the_place_is_a_share_of_the_training():
    batch_4, batch_7 = RunLength(21, 1, 5, -1), RunLength(12, 1, 5, -1)
    before = Timetable.of_new_run(batch_4, (), 105)
    after, _ = resumed(before, batch_7, (), (42, 2, 0))
    assert after.span(42).position(42) == 0.4
    assert after.span(54).position(54) == pytest.approx(0.6)  # an epoch later
    assert after.spans[0].end_step == 42 + 3 * 12
    middle, place = resumed(before, batch_7, (), (52, 2, 10))  # 40 of 84 images
    assert place == (52, 2, 5)
    assert middle.span(52).position(52) == 52 / 105
    longer, _ = resumed(before, batch_4._replace(max_epochs=8), (), (42, 2, 0))
    assert longer.span(42).position(42) == 2 / 8
    ended, _ = resumed(before, batch_7._replace(max_epochs=8), (), (105, 5, 0))
    assert ended.span(105).position(105) == 5 / 8
    assert ended.spans[0].end_step == 105 + 3 * 12
    shorter, _ = resumed(before, batch_4._replace(max_epochs=2), (), (42, 2, 0))
    assert shorter.span(42).position(42) == 1  # nothing is left
    of_steps = RunLength(21, 1, -1, 100)
    by_steps, _ = resumed(Timetable.of_new_run(of_steps, (), 100), of_steps._replace(batches=12), (), (40, 1, 19))
    assert by_steps.spans == ((40, 100, 0.4),)
    endless = of_steps._replace(batches=math.inf)
    unknown, _ = resumed(Timetable.of_new_run(endless, (), 100), endless._replace(max_steps=200), (), (40, 0, 40))
    assert unknown.spans == ((40, 200, 0.2),)
    old = Timetable.of_resumed_run(None, batch_7, (2,), 60, 3, 6)  # of a checkpoint that does not say what was before
    assert old.span(60).position(60) == pytest.approx(1.5 / 3)
    assert old.spans[1].end_step == 60 + 18
    assert one_cycle(120 / 105) == one_cycle(1)  # and never rises again


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data()


def fit(callback, *more, stop=None):
    """Train three epochs on ten images; stop before a step if asked to. Return what the run's metrics.csv holds."""
    callbacks = [callback, *([{"class_path": "tests.callbacks.Stopper", "init_args": {"step": stop}}] if stop else [])]
    Path("c.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": callbacks, "log_every_n_steps": 1}}))
    sizes = ["--data.root", "points", "--data.size", "32", "--model.pretrained", "false", "--model.lr", "0.01"]
    known = ["--run_name", "run", "--trainer.max_epochs", "3", "--last.every_n_steps", "1"]
    args = ["fit", "--config", str(CONF / "keypoints.yaml"), "--config", "c.yaml", *FLAGS, *sizes, *known, *more]
    if stop:
        with pytest.raises(Stopped):
            console(args)
    else:
        assert console(args) == 0
    with Path("runs/run/version_0/metrics.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["lr/head"]]


TWO, FIVE = ["--data.batch_size", "2"], ["--data.batch_size", "5"]
LIMIT = ["--trainer.limit_train_batches", "3"]
ONE_CYCLE = {"class_path": "OneCycle"}
FINE_TUNE = {"class_path": "FineTune", "init_args": {"epochs": 2, "freeze_epochs": 1}}


@pytest.mark.parametrize(
    ("before", "after", "steps", "told"),
    [
        (TWO, FIVE, 7 + 4, "2 instead of 5 batches an epoch (batch size 2 → 5)"),
        (FIVE, TWO, 3 + 8, "5 instead of 2 batches an epoch (batch size 5 → 2)"),
        (TWO, [*TWO, *LIMIT], 7 + 5, "3 instead of 5 batches an epoch (limit_train_batches 1.0 → 3)"),
        (TWO, [*TWO, "--trainer.accumulate_grad_batches", "2"], 7 + 5, "accumulate_grad_batches 1 → 2"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_run_resumed_with_another_number_of_steps_falls_to_its_end(before, after, steps, told, capsys):
    stop = 7 if before is TWO else 3  # in the second epoch, past the peak
    fit(ONE_CYCLE, *before, stop=stop)
    capsys.readouterr()
    rows = fit(ONE_CYCLE, *after, "--ckpt_path", "last")
    assert f"resumed with     {told}: the schedule continues at" in capsys.readouterr().out
    rates = {int(row["step"]): float(row["lr/head"]) for row in rows}
    assert len(rates) == steps
    assert sorted(rates) == list(range(steps))
    falling = [rates[step] for step in range(stop - 1, steps)]
    assert falling == sorted(falling, reverse=True)
    assert len(set(falling)) == len(falling)
    assert rates[steps - 1] < 0.2 * 0.01  # close to its end, and not further on
    assert [int(row["epoch"]) for row in rows[stop:]] == sorted(int(row["epoch"]) for row in rows[stop:])


@pytest.mark.usefixtures("folder")
def test_a_fine_tuned_run_thaws_at_its_epoch_whatever_the_batch_size():
    fit(FINE_TUNE, *FIVE, stop=1)  # in the midst of the frozen epoch
    rows = fit(FINE_TUNE, *TWO, "--ckpt_path", "last")
    early = [float(row["lr/early"]) / float(row["lr/head"]) for row in rows]
    frozen = [int(row["epoch"]) < 1 for row in rows]
    assert frozen.count(True) == 1 + 3
    assert [ratio > 0.05 for ratio in early] == frozen  # a tenth of the head's rate while frozen, then a hundredth
    assert len(rows) == 1 + 3 + 10
    assert float(rows[-1]["lr/head"]) < 0.1 * max(float(row["lr/head"]) for row in rows[4:])


@pytest.mark.usefixtures("folder")
def test_a_table_with_fewer_rows_is_the_same_training(capsys):
    fit(ONE_CYCLE, *TWO, stop=5)  # at the end of the first epoch
    rows = Path("points/points.csv").read_text().splitlines()
    Path("points/points.csv").write_text("\n".join([rows[0], *rows[5:]]) + "\n")
    capsys.readouterr()
    rates = [float(row["lr/head"]) for row in fit(ONE_CYCLE, *TWO, "--ckpt_path", "last")]
    told = "resumed with     3 instead of 5 batches an epoch (training images 10 → 6): the schedule continues at 33.3%"
    assert told in capsys.readouterr().out
    assert rates[5:] == [pytest.approx(0.01 * one_cycle((3 + step) / 9).lr_factor) for step in range(6)]


@pytest.mark.usefixtures("folder")
def test_an_unchanged_run_says_nothing_of_changes(capsys):
    fit(ONE_CYCLE, *FIVE, stop=3)
    fit(ONE_CYCLE, *FIVE, "--ckpt_path", "last")
    assert "resumed with" not in capsys.readouterr().out


def test_a_trainer_of_ones_own_goes_on_by_its_share_too(tmp_path, capsys):
    """With Lightning's checkpoint, written at the end of the second of five epochs, and without LastCheckpoint."""

    def fit(batch_size, **more):
        saved = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
        trainer = Trainer(
            max_epochs=5, callbacks=[OneCycle(), saved], logger=False, accelerator="cpu", enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip
        model = Line()
        trainer.fit(model, DataLoader(torch.ones(20, 1), batch_size), **more)
        return [head for _, (head, _) in model.used]

    whole = fit(2)
    unchanged = fit(2, ckpt_path=tmp_path / "epoch=1.ckpt")
    assert unchanged == whole[20:]
    assert "resumed with" not in capsys.readouterr().out
    changed = fit(5, ckpt_path=tmp_path / "epoch=1.ckpt")
    told = "resumed with     4 instead of 10 batches an epoch (batch size 2 → 5): the schedule continues at 40.0%"
    assert told in capsys.readouterr().out
    assert changed == [pytest.approx(1e-2 * one_cycle((8 + step) / 20).lr_factor) for step in range(12)]
    stored = torch.load(tmp_path / "epoch=1.ckpt", weights_only=True)
    del stored["callbacks"]["OneCycle"]
    torch.save(stored, tmp_path / "old.ckpt")  # of a version that did not store it
    assert fit(2, ckpt_path=tmp_path / "old.ckpt") == whole[20:]
    assert fit(5, ckpt_path=tmp_path / "old.ckpt") == changed


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("callback", "taken"), [(ONE_CYCLE, False), (FINE_TUNE, True)])
def test_another_rate_is_taken_or_told_not_to_be(callback, taken, capsys):
    fit(callback, *FIVE, stop=3)
    capsys.readouterr()
    highest = max(float(row["lr/head"]) for row in fit(callback, *FIVE, "--model.lr", "0.5", "--ckpt_path", "last"))
    assert (highest > 0.01) == taken
    told = "learning rate    0.01 as before, not 0.5: that would need a new run"
    assert (told in capsys.readouterr().out) != taken
