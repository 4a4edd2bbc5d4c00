"""The report's page in a headless browser: hostile text, numbers by scikit-learn, filters, a phone, dark mode, keys."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from lightning_tasks.reports.comparison import compare_scores
from lightning_tasks.reports.page import write_page
from lightning_tasks.reports.run_info import read_run
from lightning_tasks.tasks.keypoints.predictions import PointPredictions
from lightning_tasks.tasks.multiclass.task import ClassPredictions
from lightning_tasks.verbs.compare import comparison_page
from lightning_tasks.verbs.report import read_reduced as read
from tests.fakes import label_predictions, write_image

HOSTILE = "<img src=x onerror=alert(1)>"
VOCAB = ["cat", HOSTILE, "</script><script>alert(2)</script>", "{{ 7*7 }} & \"quoted\" 'label'", "absent"]
N = 60


@pytest.fixture(scope="module")
def predictions():
    """Probabilities (N, C), many of them on the slider's own steps, and targets; the last label has no positive."""
    generator = torch.Generator().manual_seed(1)
    probabilities = torch.rand(N, len(VOCAB), generator=generator)
    probabilities[::3] = (probabilities[::3] * 100).round() / 100
    targets = (torch.rand(N, len(VOCAB), generator=generator) < 0.2 + 0.5 * probabilities).float()
    targets[torch.rand(N, len(VOCAB), generator=generator) < 0.1] = -1
    targets[:, -1] = targets[:, -1].clamp(max=0)
    return probabilities, targets


def hostile_run(folder):
    """Write a run's folder in which everything that is text looks like markup, and return what is read of it."""
    folder.mkdir()
    (folder / "metrics.csv").write_text(
        "epoch,step,train/loss_epoch,val/loss,val/<b onclick=alert(3)>$x_1$,lr/head\n"
        "0,9,,,,1e-3\n0,10,1.5,,,\n0,10,,1.25,0.5,\n1,19,,,,1e-5\n1,20,1.0,,,\n1,20,,0.75,0.625,\n1,2"
    )
    (folder / "config.yaml").write_text("root: </pre><script>alert(4)</script>\n")
    (folder / "lr_find.csv").write_text("lr,loss,smoothed_loss\n1e-4,1,1\n1e-3,.8,.9\n1e-2,3,2\n")
    values = {"_class_path": "Model", "vocab": VOCAB, "lr": 1e-3, "<i>name</i>": "</td><script>alert(5)</script>"}
    return read_run(folder / "best.ckpt", {"hyper_parameters": values, "epoch": 1, "global_step": 20})


@pytest.fixture(scope="module")
def labels_html(tmp_path_factory, predictions):
    folder = tmp_path_factory.mktemp("<b>labels")
    paths = []
    for row in range(N):  # a few are hostile, one is no image
        name = f"{row}{'<svg onload=alert(6)>' if row % 20 == 0 else ''}.png"
        write_image(folder / name, seed=row)
        paths.append(folder / name)
    paths[1].write_bytes(b"")
    groups = [("<u>ann</u>", "bob")[row % 2] for row in range(N)]
    run = hostile_run(folder / "<script>alert(7)")
    thresholds = torch.full((len(VOCAB),), 0.3)
    found = label_predictions(*predictions, VOCAB, thresholds=thresholds, paths=paths, groups=groups)
    write_page(folder / "page.html", found.report(run, "validation", read))
    return folder / "page.html"


@pytest.fixture(scope="module")
def compare_html(tmp_path_factory, predictions):
    """Two models, of which the second says the opposite of the first; labels, groups and files are hostile."""
    folder = tmp_path_factory.mktemp("<b>compare")
    paths = [folder / f"{row}<svg onload=alert(6)>.png" for row in range(N)]
    for row, path in enumerate(paths):
        write_image(path, seed=row)
    groups = tuple(("<u>ann</u>", "bob")[row % 2] for row in range(N))
    probabilities, targets = predictions
    a, b = (
        label_predictions(of, targets, VOCAB, paths=paths, groups=groups) for of in (probabilities, 1 - probabilities)
    )
    found = compare_scores(a.resampled, b.resampled, N, groups)
    files = (folder / "<i>a.ckpt", folder / "b.ckpt")
    write_page(folder / "page.html", comparison_page(found, a, b, files, VOCAB, "valid", 5))
    return folder / "page.html"


@pytest.fixture(scope="module")
def points_html(tmp_path_factory):
    """Ten images of 40×20 px with two points, 3 and 4 px off; ten times as far in row 7, none visible in row 8."""
    folder = tmp_path_factory.mktemp("points")
    n, size = 10, torch.tensor([40.0, 20.0]).expand(10, 2)
    paths = [folder / f"{row}.jpg" for row in range(n)]
    for row, path in enumerate(paths):
        write_image(path, (20, 40), seed=row)
    targets_norm = torch.zeros(n, 2, 2)
    visible = torch.ones(n, 2, dtype=torch.bool)
    visible[8] = False
    offsets_px = torch.tensor([[3.0, 0.0], [0.0, 4.0]]).expand(n, 2, 2).clone()
    offsets_px[7] *= 10
    targets_px = torch.tensor([19.5, 9.5]).expand(n, 2, 2).clone()
    points_px = targets_px + offsets_px
    targets_px[~visible] = torch.nan
    groups = [f"person {row % 3}" for row in range(n)]
    found = PointPredictions(
        rows=torch.arange(n), paths=paths, groups=groups, point_names=["nose", "<i>chin"],
        points_norm=2 * offsets_px / size[:, None], targets_norm=targets_norm, visible=visible, original_size_px=size,
        points_px=points_px, targets_px=targets_px,
    )  # fmt: skip
    write_page(folder / "page.html", found.report(read_run(folder / "best.ckpt", {}), "test", read))
    return folder / "page.html"


@pytest.fixture
def opened(browser):
    """Return a function that opens a page, and fail if it asked the network, complained or ran what is text."""
    contexts, complaints = [], []

    def open_page(path, **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: complaints.append(request.url) if asked(request.url) else None)
        page.goto(path.as_uri())
        return page

    def asked(url):
        return not url.startswith("data:") and not url.endswith("/page.html")

    open_page.complaints = complaints
    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


def tab_to(page, selector):
    """Press Tab until the element has the focus, and return how many times."""
    for presses in range(1, 60):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return presses
    raise AssertionError(f"Tab does not reach {selector}")


def numbers(page):
    names = ("accuracy", "nothing", "precision", "recall", "f1", "macro")
    texts = [page.text_content(f"#{name}") for name in names]
    return {name: None if text == "–" else float(text) for name, text in zip(names, texts, strict=True)}


def expected(predictions, step, label=None):
    """Return the numbers of the page by scikit-learn; None where a score has no meaning."""
    probabilities, targets = (tensor.numpy() for tensor in predictions)
    found = probabilities > np.float32(step / 100)

    def of(columns):
        counts = targets[:, columns] != -1
        return targets[:, columns][counts] == 1, found[:, columns][counts]

    truth, said = of(slice(None) if label is None else [label])
    by_label = [f1_score(*of([c])) for c in range(len(VOCAB)) if (targets[:, c] == 1).any()]
    return {
        "accuracy": accuracy_score(truth, said),
        "nothing": 1 - truth.mean(),
        "precision": precision_score(truth, said) if said.any() else None,
        "recall": recall_score(truth, said) if truth.any() else None,
        "f1": f1_score(truth, said) if truth.any() else None,
        "macro": np.mean(by_label),
    }


def test_the_sliders_numbers_are_scikit_learns(opened, labels_html, predictions):
    page = opened(labels_html)
    tab_to(page, "#slider")
    assert page.text_content("#at") == "0.30"  # the model's own
    steps = {"0.30": []} | {"0.31": ["ArrowRight"], "0.28": ["ArrowLeft"] * 3, "1.00": ["End"], "0.00": ["Home"]}
    steps |= {"0.57": ["ArrowUp"] * 57}
    for at, keys in steps.items():
        for key in keys:
            page.keyboard.press(key)
        assert page.text_content("#at") == at
        wanted = expected(predictions, round(100 * float(at)))
        assert numbers(page) == pytest.approx(wanted, abs=6e-4), at
        assert float(page.get_attribute("#marker", "x1")) == pytest.approx(100 * float(at))
        assert f"F1 {page.text_content('#f1')}" in page.get_attribute("#slider", "aria-valuetext")


@pytest.mark.parametrize("label", range(len(VOCAB)))
def test_so_are_those_of_each_label(opened, labels_html, predictions, label):
    page = opened(labels_html)
    before = page.get_attribute("#curve-recall", "points")
    page.select_option("#of-label", str(label))
    for step in (30, 62, 99):
        page.fill("#slider", str(step / 100))
        assert numbers(page) == pytest.approx(expected(predictions, step, label), abs=6e-4)
    assert page.get_attribute("#curve-recall", "points") != before
    points = [tuple(map(float, pair.split(","))) for pair in page.get_attribute("#curve-accuracy", "points").split()]
    wanted = [(step, 100 - 100 * expected(predictions, step, label)["accuracy"]) for step in range(101)]
    assert np.array(points) == pytest.approx(np.array(wanted), abs=1e-6)


def test_a_threshold_for_each_label(opened, tmp_path, predictions):
    thresholds = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.55])
    paths = [tmp_path / f"{row}.jpg" for row in range(N)]
    run = read_run(tmp_path / "best.ckpt", {})
    found = label_predictions(*predictions, VOCAB, thresholds=thresholds, paths=paths)
    write_page(tmp_path / "page.html", found.report(run, "test", read))
    page = opened(tmp_path / "page.html")
    assert "a threshold for each label" in page.text_content("#model-threshold")
    page.select_option("#of-label", "4")
    assert "0.550" in page.text_content("#model-threshold")
    assert page.locator("#filter optgroup").count() == 1  # no groups
    assert "This image cannot be shown." in page.text_content("#sample")


def test_text_is_never_markup(opened, labels_html):
    page = opened(labels_html)
    assert page.locator("script").count() == 2  # the counts, and our own
    assert page.locator("[onerror], [onclick], [onload], b b, u, i, img:not([src^='data:image/jpeg'])").count() == 0
    assert page.locator("#of-label option").all_text_contents() == ["all labels together", *VOCAB]
    assert page.locator("#filter option").all_text_contents() == ["all images", *VOCAB, "<u>ann</u>", "bob"]
    assert HOSTILE in page.locator("#labels th").all_text_contents()
    assert "val/<b onclick=alert(3)>$x_1$" in page.text_content("#training")
    assert "root: </pre><script>alert(4)</script>" in page.text_content("pre")
    assert "0<svg onload=alert(6)>.png" in page.locator("#sample .file").all_text_contents()
    assert "</td><script>alert(5)</script>" in page.text_content("#settings")
    assert "<script>alert(7)" in page.text_content("h1")


def test_nothing_can_leave_the_page(opened, labels_html):
    page = opened(labels_html)
    sent = "async url => { try { await fetch(url); return 'sent'; } catch { return 'refused'; } }"
    assert page.evaluate(sent, "data:,x") == "refused"  # by the page's own policy: what a browser would always allow
    assert "default-src 'none'" in opened.complaints[0]
    opened.complaints.clear()
    assert page.evaluate("document.images.length && [...document.images].every(image => image.naturalWidth)")


def test_images_are_filtered_by_label_and_by_group(opened, labels_html, predictions):
    probabilities, targets = predictions
    page = opened(labels_html)
    cards = page.locator(".cards > li:visible")
    assert cards.count() == 24
    involved = (targets == 1) | ((probabilities > 0.3) & (targets == 0))
    sample = torch.linspace(0, N - 1, 24).round().long()
    for label in (0, 1, 4):
        page.select_option("#filter", f"label-{label}")
        assert cards.count() == int(involved[sample, label].sum())
        assert page.text_content("#shown") == f"{cards.count()} of 24 images"
        for card in cards.all():
            assert VOCAB[label] in [text[2:].split(":", 1)[1].rsplit(" ", 1)[0].strip() for text in tags(card)]
    page.select_option("#filter", "group-0")
    assert cards.count() == int((sample % 2 == 0).sum())
    assert page.get_attribute("#shown", "role") == "status"


def tags(card):
    return [" ".join(text.split()) for text in card.locator(".tag").all_text_contents()]


def test_the_worst_come_first(opened, labels_html):
    page = opened(labels_html)
    tab_to(page, "input[name=view]")
    page.keyboard.press("ArrowRight")
    losses = [
        float(text.split()[1]) for text in page.locator("#worst .note:visible").all_text_contents() if "loss" in text
    ]
    assert len(losses) >= 24
    assert losses == sorted(losses, reverse=True)
    assert not page.is_visible("#sample")


def test_tags_tell_true_positives_false_negatives_and_false_positives(opened, labels_html, predictions):
    page = opened(labels_html)
    shown = tags(page.locator("#sample > li").nth(0))
    kinds = {(1, True): "✓TP", (1, False): "○FN", (0, True): "✗FP"}
    probabilities, targets = (tensor[0].tolist() for tensor in predictions)
    wanted = [
        (-p, f"{kinds[target, p > 0.3]}: {name} {p:.2f}")
        for name, p, target in zip(VOCAB, probabilities, targets, strict=True)
        if (target, p > 0.3) in kinds
    ]
    assert len(wanted) > 1
    assert shown == [text for _, text in sorted(wanted)]


def test_points_lie_where_they_are_in_the_original(opened, points_html):
    page = opened(points_html)
    first = page.locator("#sample > li").nth(0)
    assert first.locator("svg").get_attribute("viewBox") == "-0.5 -0.5 40 20"  # pixels span ±½ around their centres
    assert first.locator(".errors").get_attribute("d") == "M19.5 9.5L22.5 9.5M19.5 9.5L19.5 13.5"
    box = first.locator("path.annotated").evaluate(
        "path => { const b = path.getBBox(); return [b.x + b.width / 2, b.y + b.height / 2]; }"
    )
    assert box == pytest.approx([19.5, 9.5], abs=0.05)
    assert "3.5 px off on average, at most 4.0 (<i>chin)" in " ".join(first.text_content().split())
    page.check("input[value=worst]")
    worst = page.locator("#worst > li")
    assert "35.0 px off" in worst.nth(0).text_content()
    assert worst.count() == 9  # not the one without a point
    page.select_option("#filter", "group-1")
    assert page.text_content("#shown") == "3 of 9 images"
    assert page.locator("#worst > li:visible .file").all_text_contents() == ["7.jpg", "1.jpg", "4.jpg"]


def test_errors_are_shown_by_group_and_by_point(opened, points_html):
    page = opened(points_html)
    assert page.locator(".bars").nth(0).locator("tbody th").all_text_contents() == ["person 1", "person 0", "person 2"]
    assert page.locator(".bars").nth(1).locator("tbody th").all_text_contents() == ["<i>chin", "nose"]
    assert page.locator("#errors .numbers").nth(1).locator("tbody tr").nth(1).locator("td").all_text_contents() == [
        *("9", "3.0", "6.0"), *(f"{np.quantile([3] * 8 + [30], 0.95):.1f}", "88.9 %", "88.9 %")
    ]  # fmt: skip
    assert "Histogram of 18 errors" in page.text_content("#errors")
    assert "no metrics.csv" in page.text_content("#training")
    assert "lightning-tasks lr_find" in page.text_content("#training")


@pytest.mark.parametrize("kind", ["labels_html", "points_html", "compare_html"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_and_every_text_stands_out(opened, request, kind, scheme):
    page = opened(request.getfixturevalue(kind), viewport={"width": 375, "height": 700}, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    page.evaluate("document.querySelectorAll('.cards').forEach(list => { list.hidden = false; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(background) < 0.05) == (scheme == "dark")
    colours = page.evaluate(
        "[...new Set([...document.querySelectorAll('p, a, th, td, dd, dt, .tag, summary, .chart text')]"
        ".map(one => { const style = getComputedStyle(one);"
        " return one.matches('text') ? style.fill : style.color; }))]"
    )
    for colour in colours:
        light, dark = sorted((luminance(colour), luminance(background)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, colour  # WCAG 2.2, 1.4.3


def luminance(rgb):
    """Source: WCAG 2.2, relative luminance."""
    channels = [int(value) / 255 for value in re.findall(r"\d+", rgb)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_comparison_shows_where_each_is_better_and_text_is_no_markup(opened, compare_html):
    page = opened(compare_html)
    assert page.locator("script").count() == 0
    assert page.locator("[onerror], [onclick], [onload], b b, u, i, img:not([src^='data:image/jpeg'])").count() == 0
    assert [page.locator(f"#{id} .pairs > li").count() for id in ("better", "worse")] == [5, 5]
    assert page.locator("#better .cards img").count() == 10
    assert "higher than B" in page.text_content("#better .pairs > li > .note")
    assert HOSTILE in page.locator("#scores th").all_text_contents()
    assert "Only 2 groups" in page.text_content("#scores")


def test_the_keyboard_reaches_everything(opened, labels_html):
    page = opened(labels_html)
    assert tab_to(page, ".skip") == 1
    assert page.is_visible(".skip:focus")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    confusions = [f"#confusions {stop}" for stop in (".scroll:has(.stacks)", "h3 + .scroll:has(.numbers)", "summary")]
    stops = ["#labels summary", *confusions, "#of-label", "#slider", "input[name=view]", "#filter"]
    assert [tab_to(page, selector) for selector in stops] == [1] * len(stops)  # in the page's order
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    inputs = "one => !one.labels.length && !one.getAttribute('aria-labelledby')"
    assert page.evaluate(f"[...document.querySelectorAll('input, select')].filter({inputs}).length") == 0
    nameless = ("table:not(:has(caption))", "img:not([alt])", "svg:not([role=img], [aria-hidden], [role=img] svg)")
    assert page.locator(", ".join(nameless)).count() == 0


def test_without_javascript_all_images_are_there(browser, labels_html):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(labels_html.as_uri())
    assert page.is_visible("#sample")
    assert page.is_visible("#worst")
    assert "JavaScript" in page.inner_text("noscript")
    page.context.close()


def test_with_one_label_an_image_there_is_no_threshold(opened, tmp_path):
    shares = torch.tensor([[0.6, 0.4], [0.3, 0.7], [0.9, 0.1], [0.2, 0.8]])
    truth = torch.tensor([[1.0, 0], [1, 0], [1, 0], [0, 1]])
    run, paths = read_run(tmp_path / "best.ckpt", {}), [tmp_path / f"{row}.jpg" for row in range(4)]
    found = label_predictions(shares, truth, ["a", "b"], paths=paths, kind=ClassPredictions)
    page = found.report(run, "test", read)
    write_page(tmp_path / "page.html", page)
    scores = opened(tmp_path / "page.html").inner_text("#scores")
    assert re.search(r"accuracy\s+0\.750\s+always the commonest label: 0\.750", scores)
    assert "predicting nothing" not in page
    assert 'id="slider"' not in page


def test_images_are_upright_and_small(opened, tmp_path, predictions):
    """An image that is stored lying, 800 by 600, with the EXIF word that it is to be turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (800, 600), "red").save(tmp_path / "turned.jpg", exif=exif)
    run = read_run(tmp_path / "best.ckpt", {})
    found = label_predictions(*(tensor[:1] for tensor in predictions), VOCAB, paths=[tmp_path / "turned.jpg"])
    write_page(tmp_path / "page.html", found.report(run, "test", read))
    page = opened(tmp_path / "page.html")
    assert page.evaluate("[document.images[0].naturalWidth, document.images[0].naturalHeight]") == [240, 320]
