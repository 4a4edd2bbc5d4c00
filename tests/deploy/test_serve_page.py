"""The server's page in a headless browser, from a server process of its own."""

import contextlib
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_tasks import load
from lightning_tasks.checkpoint import read_checkpoint
from tests.fakes import write_image

pytest.importorskip("fastapi")

HOSTILE = "<img src=x onerror=alert(1)>"
VOCAB = [HOSTILE, "</script><script>alert(2)</script> {{ 7*7 }}"]


@contextlib.contextmanager
def serving(ckpt, *more):
    """Start a server on a free port, yield its process and address, and end it as Ctrl-C does."""
    command = [sys.executable, "-m", "lightning_tasks", "serve", str(ckpt), "--port", "0", "--device", "cpu", *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        told = [process.stdout.readline() for _ in range(3)]
        url = re.search(r"http://127\.0\.0\.1:\d+", "".join(told))
        assert url, (told, process.stderr.read())
        yield process, url.group()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


def hostile(run, folder, **settings):
    """Write a copy of the run's checkpoint whose settings are changed."""
    content = read_checkpoint(run[0] / run[1])
    content["hyper_parameters"] |= settings
    path = folder / "<b onclick=alert(3)>.ckpt"
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def labels_server(labels_run, tmp_path_factory):
    ckpt = hostile(labels_run, tmp_path_factory.mktemp("labels"), vocab=VOCAB, threshold=[0.25, 0.75])
    with serving(ckpt, "--max_mb", "0.1") as (_, url):
        yield ckpt, url


@pytest.fixture(scope="module")
def points_server(points_run, tmp_path_factory):
    ckpt = hostile(points_run, tmp_path_factory.mktemp("points"), point_names=[HOSTILE, "nose"])
    with serving(ckpt, "--host", "0.0.0.0") as (process, url):
        warning = process.stderr.readline()
        assert re.fullmatch(r"warning: on 0\.0\.0\.0 anybody .* no password\.\n", warning)
        yield ckpt, url


@pytest.fixture
def opened(browser):
    """Return a function that opens a page, and fail if it asked another server, complained or ran what is text."""
    contexts, complaints = [], []

    def open_page(url, **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on(
            "request", lambda one: None if one.url.startswith((url, "blob:", "data:")) else complaints.append(one.url)
        )
        page.goto(url)
        return page

    open_page.complaints = complaints
    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def jpeg(tmp_path):
    write_image(tmp_path / "a.jpg", (60, 90))
    return tmp_path / "a.jpg"


def choose(page, path):
    page.set_input_files("#file", path)
    page.wait_for_selector("#image:not(.waiting)", state="attached")


def tab_to(page, selector):
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not reach {selector}")


def shown(page):
    rows = page.locator("#bars li:visible").all()
    return [(row.locator("span").nth(2 if "chosen" not in (row.get_attribute("class") or "") else 3).text_content(),
             float(row.locator(".number").text_content()),
             "chosen" in (row.get_attribute("class") or "")) for row in rows]  # fmt: skip


def test_labels_with_bars_and_a_threshold_by_keyboard(opened, labels_server, jpeg):
    ckpt, url = labels_server
    prediction = load(ckpt, "cpu")(jpeg)
    likeliest_first = np.argsort(-prediction.probabilities)
    wanted = [(VOCAB[i], pytest.approx(prediction.probabilities[i], abs=6e-4)) for i in likeliest_first]
    page = opened(url)
    assert not page.is_visible("#result")
    choose(page, jpeg)
    assert shown(page) == [(*one, prediction.chosen[i]) for one, i in zip(wanted, likeliest_first, strict=True)]
    assert page.text_content("#caption") == "a.jpg, 90×60 pixels"
    assert page.evaluate("document.getElementById('image').naturalWidth") == 90
    shares = page.locator(".bar").evaluate_all("bars => bars.map(bar => bar.style.getPropertyValue('--share'))")
    assert [float(share) for share in shares] == [probability for _, probability in wanted]
    assert page.text_content("#at") == "own"  # two thresholds

    tab_to(page, "#slider")
    for key, at, chosen in (("Home", "0.00", [True, True]), ("End", "1.00", [False, False])):
        page.keyboard.press(key)
        assert page.text_content("#at") == at
        assert [one[2] for one in shown(page)] == chosen
        assert f"{sum(chosen)} of 2 labels" in page.get_attribute("#slider", "aria-valuetext")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # reset
    assert [one[2] for one in shown(page)] == [bool(prediction.chosen[i]) for i in likeliest_first]
    assert page.is_disabled("#reset")
    page.fill("#slider", "0.4")
    choose(page, jpeg)  # the threshold stays
    assert page.text_content("#at") == "0.40"


def test_names_are_never_markup(opened, labels_server, points_server, jpeg):
    page = opened(labels_server[1])
    choose(page, jpeg)
    assert page.locator("script").count() == 1
    assert page.locator("[onerror], [onclick], h1 b, #bars img, #bars script").count() == 0
    assert page.text_content("h1") == "Try an image on <b onclick=alert(3)>.ckpt"
    assert {name for name, _, _ in shown(page)} == set(VOCAB)
    page = opened(points_server[1])
    choose(page, jpeg)
    assert page.locator("#rows img, #marks img").count() == 0
    assert page.locator("#rows button").all_text_contents() == [HOSTILE, "nose"]
    for url in (labels_server[1], points_server[1]):
        docs = opened(f"{url}/docs")
        assert docs.locator("script, h1 b").count() == 0
        assert "/predict" in docs.text_content("main")


def test_points_lie_on_the_image(opened, points_server, jpeg):
    ckpt, url = points_server
    wanted = load(ckpt, "cpu")(jpeg).points_px
    page = opened(url)
    choose(page, jpeg)
    cells = page.locator("#rows td").all_text_contents()
    assert np.array(cells, dtype=float).reshape(2, 2) == pytest.approx(wanted, abs=0.051)
    image, dots = page.locator("#image").bounding_box(), page.locator("#marks circle").all()
    scale = image["width"] / 90
    for dot, (x, y) in zip(dots, wanted, strict=True):
        box = dot.bounding_box()
        centre = (box["x"] + box["width"] / 2 - image["x"], box["y"] + box["height"] / 2 - image["y"])
        assert centre == pytest.approx(((x + 0.5) * scale, (y + 0.5) * scale), abs=0.6)
    page.hover("#rows tr:nth-child(2)")
    assert page.locator("#marks .lit title").text_content() == "nose"
    page.mouse.move(0, 0)
    tab_to(page, "#rows tr:first-child button")
    assert page.locator("#marks .lit title").text_content() == HOSTILE


def test_a_turned_image(opened, points_server, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (90, 60)).save(tmp_path / "turned.jpg", exif=exif)
    page = opened(points_server[1])
    choose(page, tmp_path / "turned.jpg")
    box = page.locator("#image").bounding_box()
    assert page.get_attribute("#marks", "viewBox") == "-0.5 -0.5 60 90"
    assert box["height"] / box["width"] == pytest.approx(1.5, abs=0.05)


def test_what_is_refused_says_why(opened, labels_server, jpeg, tmp_path):
    page = opened(labels_server[1])
    (tmp_path / "cut.jpg").write_bytes(jpeg.read_bytes()[:2000])
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "large.jpg").write_bytes(b"x" * 150_000)
    for name, message in (("cut.jpg", "cut short"), ("text.txt", "no image"), ("large.jpg", "0.1 MB at most")):
        choose(page, tmp_path / name)
        assert message in page.text_content("#error")
        assert name in page.text_content("#error")
        assert not page.is_visible("#result")
    assert page.get_attribute("#error", "role") == "alert"
    choose(page, jpeg)
    assert not page.is_visible("#error")
    assert page.is_visible("#bars")
    assert [text for text in opened.complaints if "422" not in text] == []
    opened.complaints.clear()


def test_a_dropped_image(opened, labels_server, jpeg):
    page = opened(labels_server[1])
    drop = """bytes => {
        const data = new DataTransfer();
        if (bytes.length) data.items.add(new File([new Uint8Array(bytes)], "dropped.jpg", { type: "image/jpeg" }));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(drop, [])
    assert "no file" in page.text_content("#error")
    page.evaluate(drop, list(jpeg.read_bytes()))
    page.wait_for_selector("#bars li")
    assert page.text_content("#caption") == "dropped.jpg, 90×60 pixels"


@pytest.mark.parametrize("server", ["labels_server", "points_server"])
def test_a_phone(opened, request, jpeg, server):
    url = request.getfixturevalue(server)[1]
    page = opened(url, viewport={"width": 375, "height": 700}, is_mobile=True, has_touch=True, color_scheme="dark")
    choose(page, jpeg)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert page.is_visible("label[for=camera]")
    assert page.get_attribute("#camera", "capture") == "environment"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    page.goto(f"{url}/docs")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_nothing_can_leave_the_page(opened, labels_server):
    page = opened(labels_server[1])
    sent = "async url => { try { await fetch(url, { mode: 'no-cors' }); return 'sent'; } catch { return 'refused'; } }"
    assert page.evaluate(sent, "http://127.0.0.1:9/") == "refused"
    assert "Content Security Policy" in opened.complaints[0]
    opened.complaints.clear()


def test_many_labels_are_shown_on_demand(opened, labels_server, jpeg):
    page = opened(labels_server[1])
    many = [{"label": f"label {i}", "probability": 1 / (i + 2), "threshold": 0.02, "chosen": i < 48} for i in range(90)]
    page.route("**/predict", lambda route: route.fulfill(json={"predicted": many, "width_px": 90, "height_px": 60}))
    choose(page, jpeg)
    assert page.locator("#bars li:visible").count() == 48  # all that are chosen
    page.fill("#slider", "0.2")
    assert page.locator("#bars li:visible").count() == 20
    page.click("#all")
    assert page.locator("#bars li:visible").count() == 90
    assert not page.is_visible("#all")


def test_rows_of_any_other_task_are_a_table(opened, labels_server, jpeg):
    page = opened(labels_server[1])
    rows = [{"name": HOSTILE, "value": 31.23456, "unit": "years"}, {"name": "weight", "value": 7, "unit": None}]
    page.route("**/predict", lambda route: route.fulfill(json={"values": rows, "width_px": 90, "height_px": 60}))
    choose(page, jpeg)
    assert page.locator("#headings th").all_text_contents() == ["label", "value", "unit"]
    assert page.locator("#rows th").all_text_contents() == [HOSTILE, "weight"]
    assert page.locator("#rows td").all_text_contents() == ["31.23", "years", "7", ""]
    assert not page.is_visible("#bars")
    assert not page.is_visible("#marks")


def test_the_server_has_gone(opened, labels_server, jpeg):
    page = opened(labels_server[1])
    page.route("**/predict", lambda route: route.abort())
    choose(page, jpeg)
    assert "does not answer" in page.text_content("#error")
    opened.complaints.clear()
