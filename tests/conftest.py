"""Settings of all tests, tiny trained runs, and a browser."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from lightning_tasks.__main__ import console
from tests.fakes import FLAGS, LABELS, POINTS, write_multilabel, write_points

# No test writes into, or reads from, the user's own cache of decoded images; processes that tests start inherit this.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="lightning_tasks_tests_")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)

CONF = Path(__file__).parents[1] / "conf"

settings.register_profile("lightning_tasks", deadline=None)  # a busy machine is no fault
settings.register_profile("quick", deadline=None, max_examples=30)  # where not all tests are run: scripts/test.sh
settings.load_profile("lightning_tasks")


def pytest_collection_modifyitems(items):
    for item in items:
        if "browser" in item.fixturenames:
            item.add_marker("browser")


def train(folder, config, *more):
    """Train for an epoch, in `folder`, and return the checkpoint's path."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        tiny = [
            "--data.root",
            "root",
            "--data.size",
            "[32,40]",
            "--data.batch_size",
            "4",
            "--model.pretrained",
            "false",
        ]
        args = ["fit", "--config", str(CONF / config), *FLAGS, *tiny, "--trainer.max_epochs", "1", *more]
        assert console(args) == 0
        return str(next(Path("runs").glob("*/version_0/checkpoints/best.ckpt")))
    finally:
        os.chdir(here)


@pytest.fixture(scope="session")
def labels_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    write_multilabel(folder / "root", LABELS)
    return folder, train(folder, "multilabel.yaml")


@pytest.fixture(scope="session")
def points_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("points")
    write_points(folder / "root", [line.replace("7,7", ",7").replace(",,7", ",,") for line in POINTS])
    return folder, train(folder, "keypoints.yaml")


@pytest.fixture(scope="module")
def browser():
    """Headless chromium; where there is none these tests are skipped, and fail where they are required."""
    from playwright.sync_api import sync_playwright

    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    path = next(filter(None, found), None)
    if path is None:
        missing = "there is no chromium here: apt-get install chromium"
        (pytest.fail if os.environ.get("LIGHTNING_TASKS_BROWSER") == "required" else pytest.skip)(missing)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path)
        yield running
        running.close()
