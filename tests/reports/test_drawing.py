"""Figures that are drawn beside a training."""

import io
import os
import random
import signal
import time
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard._utils import figure_to_image
from torch.utils.tensorboard.summary import image

from lightning_tasks import MultiClassClassifier, MultiLabelClassifier
from lightning_tasks.batch import TargetBatch
from lightning_tasks.errors import ConfigError, LightningTasksWarning
from lightning_tasks.reports.drawing import Drawing, _figure_summary, add_figure, add_figure_file
from lightning_tasks.tasks.registry import task_of

HERE = os.getpid()
MODULE = SimpleNamespace()


def a_trainer(world_size=1):
    return SimpleNamespace(world_size=world_size, callbacks=[Drawing()])


def who():
    return str(os.getpid()).encode()


def a_figure():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 3, 2])
    return figure


def test_figures_are_drawn_elsewhere_and_written_in_order():
    trainer, got = a_trainer(), []
    (drawing,) = trainer.callbacks
    for number in range(2):
        drawing.add(trainer, lambda: who(), lambda pid, number=number: got.append((number, int(pid))))
    drawing.on_validation_end(trainer, MODULE)
    drawing.add(trainer, lambda: b"0", lambda pid: got.append((2, int(pid))))
    drawing.on_train_end(trainer, MODULE)
    assert [number for number, _ in got] == [0, 1, 2]
    assert HERE not in {pid for _, pid in got}


def test_a_training_that_a_callback_ends_has_its_figures():
    trainer, got = a_trainer(), []
    (drawing,) = trainer.callbacks
    drawing.add(trainer, who, got.append)
    drawing.on_train_start(trainer, MODULE)
    drawing.add(trainer, who, got.append)
    drawing.teardown(trainer, MODULE, "fit")  # after LRFinder's `only` there is no other hook
    assert len(got) == 2


def test_the_training_does_not_wait_and_draws_no_number():
    trainer, got = a_trainer(), []
    (drawing,) = trainer.callbacks
    torch.manual_seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()

    def slowly():
        torch.rand(3), np.random.rand(3), random.random()
        time.sleep(3)
        return who()

    drawing.add(trainer, slowly, got.append)
    began = time.perf_counter()
    drawing.on_validation_end(trainer, MODULE)
    drawing.on_train_batch_start(trainer, MODULE, None, 0)
    assert time.perf_counter() - began < 2
    assert not got
    drawing.on_train_end(trainer, MODULE)
    assert int(got[0]) != HERE
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


def test_an_error_is_raised_in_the_training():
    trainer, got = a_trainer(), []
    (drawing,) = trainer.callbacks

    def fail():
        raise ConfigError("The disk is full.")

    drawing.add(trainer, who, got.append)
    drawing.add(trainer, fail, got.append)
    drawing.on_validation_end(trainer, MODULE)
    with pytest.raises(ConfigError) as raised:
        drawing.on_train_end(trainer, MODULE)
    assert str(raised.value) == "The disk is full."  # all that the command line prints
    assert len(got) == 1  # what was drawn before it is written
    assert raised.traceback[-1].name == "fail"


def test_what_only_the_training_can_draw_is_drawn_there():
    def reach_the_device():
        if os.getpid() != HERE:
            raise RuntimeError("Cannot re-initialize CUDA in forked subprocess.")
        return who()

    trainer, got = a_trainer(), []
    (drawing,) = trainer.callbacks
    for work in (who, reach_the_device, who):
        drawing.add(trainer, work, got.append)
    drawing.on_validation_end(trainer, MODULE)
    drawing.on_train_end(trainer, MODULE)
    assert int(got[0]) != HERE
    assert got[1:] == [str(HERE).encode()] * 2


def test_results_are_drawn_without_the_device_that_trains():
    """The process cannot copy from a GPU; here nothing can be copied from the model."""
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    batch, probabilities = TargetBatch(images, torch.eye(2), torch.arange(2)), torch.tensor([[0.4, 0.1], [0.2, 0.9]])
    for kind, settings in ((MultiLabelClassifier, {"threshold": [0.3, 0.95]}), (MultiClassClassifier, {})):
        model = kind(["cat", "dog"], "test_resnet", (32, 32), **settings)
        expected = model.predicted(probabilities)
        model.to("meta")
        assert torch.equal(model.predicted(probabilities), expected)
        assert len(task_of(model).draw_results(batch, probabilities, model).axes) == 2


def test_what_ends_a_training_is_not_hidden_by_a_figure():
    trainer, got = a_trainer(), []
    (drawing,) = trainer.callbacks
    drawing.add(trainer, who, got.append)
    drawing.add(trainer, lambda: [][0], got.append)
    drawing.on_validation_end(trainer, MODULE)
    with pytest.warns(LightningTasksWarning, match="A figure could not be drawn: list index out of range"):
        drawing.on_exception(trainer, MODULE, KeyboardInterrupt())
    assert len(got) == 1


def test_a_warning_is_told_in_the_training():
    def warn():
        warnings.warn("No font here has 猫", LightningTasksWarning, stacklevel=2)
        return b""

    trainer = a_trainer()
    trainer.callbacks[0].add(trainer, warn, print)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")  # the suite's filter would make it an error in the process
        trainer.callbacks[0].on_validation_end(trainer, MODULE)
        trainer.callbacks[0].on_train_end(trainer, MODULE)
    assert [(str(found.message), found.category) for found in told] == [("No font here has 猫", LightningTasksWarning)]


def test_a_process_that_was_killed_leaves_no_gap():
    def die():
        if os.getpid() != HERE:
            os.kill(os.getpid(), signal.SIGKILL)
        return who()

    trainer, got = a_trainer(), []
    (drawing,) = trainer.callbacks
    drawing.add(trainer, die, got.append)
    drawing.add(trainer, who, got.append)
    drawing.on_validation_end(trainer, MODULE)
    drawing.on_train_end(trainer, MODULE)
    assert got == [str(HERE).encode()] * 2


def test_signals_that_end_a_training_are_the_trainings_own():
    def signalled():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        return who()

    trainer, got = a_trainer(), []
    trainer.callbacks[0].add(trainer, signalled, got.append)
    trainer.callbacks[0].on_validation_end(trainer, MODULE)
    trainer.callbacks[0].on_train_end(trainer, MODULE)
    assert int(got[0]) != HERE


@pytest.mark.parametrize("why", ["several processes train", "another start method", "no room"])
def test_where_no_process_can_be_forked_figures_are_drawn_at_once(monkeypatch, why):
    trainer, got = a_trainer(2 if why == "several processes train" else 1), []
    if why == "another start method":
        monkeypatch.setattr("multiprocessing.get_start_method", lambda allow_none: "spawn")
    if why == "no room":
        monkeypatch.setattr("os.fork", lambda: (_ for _ in ()).throw(OSError(11, "Resource temporarily unavailable")))
    trainer.callbacks[0].add(trainer, who, got.append)
    trainer.callbacks[0].on_validation_end(trainer, MODULE)
    assert got == [str(HERE).encode()]


def test_what_waits_is_bounded():
    trainer, got = a_trainer(), []
    (drawing,) = trainer.callbacks
    for number in range(40):
        drawing.add(trainer, who, lambda pid, number=number: got.append(number))
        assert len(drawing._waiting) <= 17
    drawing.on_train_end(trainer, MODULE)
    assert got == list(range(40))


def test_tensorboard_is_given_the_figure_that_it_would_make(tmp_path):
    expected = image("tag", figure_to_image(a_figure()), dataformats="CHW")
    assert _figure_summary("tag", a_figure) == expected.SerializeToString()


def test_without_a_place_for_it_a_figure_is_drawn_at_once(tmp_path):
    trainer, shown = SimpleNamespace(callbacks=[]), []
    add_figure(trainer, SimpleNamespace(add_figure=lambda *given: shown.append(given)), "tag", a_figure, 3)
    assert [(tag, step) for tag, _, step in shown] == [("tag", 3)]
    add_figure_file(trainer, tmp_path / "a.png", a_figure)
    assert (tmp_path / "a.png").stat().st_size > 100


def test_both_kinds_of_figures_are_there_at_the_end(tmp_path):
    trainer = a_trainer()
    writer = SummaryWriter(str(tmp_path / "events"))
    for step in (1, 5):
        add_figure(trainer, writer, "tag", a_figure, step)
        trainer.callbacks[0].on_validation_end(trainer, MODULE)
    add_figure_file(trainer, tmp_path / "a.png", a_figure)
    trainer.callbacks[0].on_train_end(trainer, MODULE)
    writer.close()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(tmp_path / "events"), size_guidance={"images": 0}).Reload().Images("tag")
    assert [event.step for event in found] == [1, 5]
    from PIL import Image

    assert Image.open(io.BytesIO(found[0].encoded_image_string)).size == (200, 100)
    assert Image.open(tmp_path / "a.png").size == (220, 110)
