"""Letters of any alphabet in what is drawn."""

import warnings

import numpy as np
import pytest
import torch
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from PIL import Image

from lightning_tasks.errors import LightningTasksWarning
from lightning_tasks.reports import canvas
from lightning_tasks.reports.canvas import Canvas
from lightning_tasks.reports.figure_file import write_figure
from lightning_tasks.tasks.multilabel.draw import draw_results

CAT = "猫"


@pytest.fixture
def clean(monkeypatch):
    """Fonts as if none had been asked for yet."""
    cached = (canvas._fonts_and_missing, canvas._others, canvas._letters, canvas._family)
    monkeypatch.setattr(canvas, "_told", set())
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


@pytest.fixture
def font_with_cat(tmp_path, monkeypatch, clean):
    """The one font of the machine: 猫 is a full square in it."""
    pen = TTGlyphPen(None)
    for i, point in enumerate(((0, 0), (0, 900), (900, 900), (900, 0))):
        (pen.lineTo if i else pen.moveTo)(point)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "cat"])
    builder.setupCharacterMap({ord(CAT): "cat"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "cat": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (500, 0), "cat": (1000, 0)})
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Cats Only", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "cats.ttf")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    files = [str(tmp_path / "broken.ttf"), str(tmp_path / "cats.ttf")]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: files)
    return files[1]


@pytest.fixture
def no_fonts(monkeypatch, clean):
    monkeypatch.setattr(font_manager, "findSystemFonts", list)


def written(text):
    image = Image.new("RGB", (240, 40))
    Canvas(image, 20).write(5, 15, canvas.drawable(text), fill=(255, 255, 255))
    return np.asarray(image)[:, :, 0]


def test_dejavu_has_most_alphabets_and_no_letter_looks_like_another(no_fonts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = [written(letter) for letter in "ïéßøłčğΩЖאب€→"]
    assert all(not np.array_equal(a, b) for i, a in enumerate(pixels) for b in pixels[:i])
    assert canvas.fonts_for(["naïve Жук"]) == (canvas.DEJAVU,)


def test_what_it_lacks_is_taken_from_the_machines_fonts(font_with_cat):
    assert canvas.fonts_for([f"cat {CAT}"]) == (canvas.DEJAVU, font_with_cat)
    assert canvas.runs(f"a {CAT}{CAT} b", canvas.fonts_for([CAT])) == [
        (canvas.DEJAVU, "a "),
        (font_with_cat, CAT * 2),
        (canvas.DEJAVU, " b"),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lit = written(f"a {CAT} b") > 200
    square = lit[:, lit.sum(0) == 18]  # 0.9 of 20 px: no Latin letter's column is so high
    assert square.shape[1] in (17, 18, 19)


def test_letters_that_no_font_has_are_said_once_and_drawn_as_boxes(no_fonts):
    with pytest.warns(LightningTasksWarning, match=rf"No font here has {CAT}: .*Install"):
        assert canvas.drawable(f"{CAT} cat") == f"{canvas.BOX} cat"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert canvas.drawable(f"another {CAT}") == f"another {canvas.BOX}"
        assert canvas.drawable("a\tb\U000e0100c") == "a bc"
    with pytest.warns(LightningTasksWarning, match=r"No font here has \?"):
        assert canvas.drawable("\udcff") == canvas.BOX


def test_figures_have_the_letters_and_matplotlib_has_nothing_to_say(font_with_cat, tmp_path):
    vocab = [f"{CAT} $x", "naïve\tcat", "𓃠"]
    truth = torch.ones(1, 3)
    figures = [draw_results([np.zeros((30, 40, 3), np.uint8)], truth, truth, vocab, truth > 0) for _ in range(2)]
    with pytest.warns(LightningTasksWarning, match="No font here has 𓃠:"):
        write_figure(tmp_path / "a.png", figures[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_figure(tmp_path / "a.svg", figures[1])
    title = figures[0].axes[0].title
    assert "Cats Only" in title.get_fontfamily()
    assert title.get_text().split() == [CAT, "$x,", "naïve", "cat,", canvas.BOX]
