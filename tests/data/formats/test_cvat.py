"""CVAT for images 1.1, as CVAT's own exporter writes it; values of turned shapes by hand."""

import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tasks.__main__ import console
from lightning_tasks.data.tables.formats.cvat.reader import Cvat
from lightning_tasks.data.tables.formats.cvat.shapes import box_of
from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.xml_lines import Element
from lightning_tasks.deploy.annotation_files.cvat import CvatWriter
from lightning_tasks.deploy.annotation_files.writer import ImageEntry
from lightning_tasks.errors import TableError
from lightning_tasks.tasks.prediction import Annotation, AnnotationNames, NamedNumber, NamedPoint, ScoredLabel
from tests.fakes import write_image
from tests.test_fuzz import cases

HEAD = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>7</id>
      <name>faces</name>
      <size>2</size>
      <mode>annotation</mode>
      <labels>
{labels}      </labels>
      <original_size><width>640</width></original_size>
    </task>
    <dumped>2024-05-01 10:00:00.000000+00:00</dumped>
  </meta>
"""
LABEL = "        <label><name>{}</name><color>#ff0000</color><type>{}</type><attributes>{}</attributes>{}</label>\n"
ATTRIBUTE = (
    "<attribute><name>{}</name><mutable>False</mutable><input_type>{}</input_type>"
    "<default_value></default_value><values>{}</values></attribute>"
)


def head(labels):
    """The file's beginning: of each label its type, {attribute: type}, and the points of a skeleton."""
    lines = []
    for name, (kind, attributes, points) in labels.items():
        cells = "".join(ATTRIBUTE.format(attribute, of, "") for attribute, of in attributes.items())
        lines.append(LABEL.format(name, kind, cells, "<svg>&lt;circle/&gt;</svg>" if points else ""))
        lines += [LABEL.format(point, "points", "", f"<parent>{name}</parent>") for point in points]
    return HEAD.format(labels="".join(lines))


ALL = head(
    {
        "cat": ("any", {}, ()),
        "dog": ("any", {"age": "number", "colour": "select"}, ()),
        "face": ("skeleton", {}, ("nose", "left", "right")),
        "eye": ("points", {}, ()),
        "mouth": ("points", {}, ()),
        "numbers": ("tag", {"score": "text", "note": "text"}, ()),
    }
)


def image(content="", name="a.jpg", more=""):
    return f'  <image id="0" name="{name}"{more} width="640" height="480">\n{content}\n  </image>\n'


def write(folder: Path, *images: str, begin=ALL) -> Path:
    """Write annotations.xml of `images`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "annotations.xml").write_text(f"{begin}{''.join(images)}</annotations>\n", encoding="utf-8")
    return folder


def write_example(folder: Path) -> Path:
    """Write two images with a tag each, as an export with images unpacks."""
    for name in ("a", "b"):
        write_image(folder / "images" / f"{name}.jpg", (480, 640))
    tag = '<tag label="{}" source="manual"></tag>'
    return write(folder, image(tag.format("cat")), image(tag.format("dog"), "b.jpg"))


def read(path, **options):
    return read_annotations(path, ReadOptions(**options), "cvat")


def of_one(folder, content, begin=ALL):
    return read(write(folder, image(content), begin=begin))


BOX = '<box label="cat" source="manual" occluded="0" xtl="10.00" ytl="20.50" xbr="30.25" ybr="40.00" z_order="0"></box>'


def test_tags_are_labels_of_the_image_and_shapes_are_objects(tmp_path):
    found = of_one(tmp_path, f'<tag label="dog" source="manual"></tag>{BOX}')
    (annotated,) = found.images
    (thing,) = annotated.objects
    assert (list(annotated.labels), thing.label, tuple(thing.box)) == (["dog"], "cat", (10, 20.5, 30.25, 40))
    assert found.vocab == ("cat", "dog", "face", "numbers")
    assert not found.point_names
    assert annotated.where.endswith("annotations.xml: line 25")


SHAPES = {
    '<box label="cat" xtl="10" ytl="10" xbr="30" ybr="20" rotation="90.00"/>': (15, 5, 25, 25),
    '<box label="cat" xtl="0" ytl="0" xbr="2" ybr="2" rotation="45"/>': (
        1 - 2**0.5,
        1 - 2**0.5,
        1 + 2**0.5,
        1 + 2**0.5,
    ),
    '<polygon label="cat" points="1.00,2.00;5.00,0.50;3.00,9.00"/>': (1, 0.5, 5, 9),
    '<polyline label="cat" points="7,2;5,1"/>': (5, 1, 7, 2),
    '<ellipse label="cat" cx="10" cy="20" rx="4" ry="2"/>': (6, 18, 14, 22),
    '<ellipse label="cat" cx="10" cy="20" rx="4" ry="2" rotation="90"/>': (8, 16, 12, 24),
    '<mask label="cat" rle="2, 2" left="3" top="4" width="2" height="5"/>': (3, 4, 5, 9),
    '<cuboid label="cat" xtl1="1" ytl1="2" xbl1="1" ybl1="8" xtr1="5" ytr1="2" xbr1="5" ybr1="8" xtl2="2" ytl2="1" '
    'xbl2="2" ybl2="7" xtr2="6" ytr2="1" xbr2="6" ybr2="7"/>': (1, 1, 6, 8),
}


def test_the_box_of_each_shape(tmp_path):
    found = of_one(tmp_path, "\n".join(SHAPES))
    boxes = [tuple(thing.box) for thing in found.images[0].objects]
    assert boxes == [pytest.approx(box) for box in SHAPES.values()]
    assert found.left_out == {
        "outlines of polygons": 1, "lines of polylines": 1, "outlines of ellipses": 2, "masks": 1,
        "corners of cuboids": 1,
    }  # fmt: skip


@cases(60)
@given(turn=st.floats(-720, 720), half=st.tuples(st.floats(0.1, 50), st.floats(0.1, 50)))
def test_a_turned_box_is_that_of_its_turned_corners(turn, half):
    sides = {"xtl": -half[0], "ytl": -half[1], "xbr": half[0], "ybr": half[1], "rotation": turn}
    box = box_of(Path("a"), Element("box", {name: repr(value) for name, value in sides.items()}, 1))
    angle = math.radians(turn)
    corners = [
        (x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle))
        for x in (-half[0], half[0]) for y in (-half[1], half[1])
    ]  # fmt: skip
    xs, ys = zip(*corners, strict=True)
    assert tuple(box) == pytest.approx((min(xs), min(ys), max(xs), max(ys)), abs=1e-9)


SKELETON = """<skeleton label="face" source="manual" z_order="0">
  <points label="right" source="manual" outside="0" occluded="1" points="30.00,5.00"></points>
  <points label="nose" source="manual" outside="0" occluded="0" points="20.50,10.25"></points>
  <points label="left" source="manual" outside="1" occluded="1" points="1.00,1.00"></points>
</skeleton>"""


def test_a_skeleton_is_an_object_with_the_points_of_its_label_in_its_order(tmp_path):
    found = of_one(tmp_path, SKELETON)
    (thing,) = found.images[0].objects
    assert found.point_names == ("nose", "left", "right")
    assert (thing.label, thing.points) == ("face", (20.5, 10.25, 2, 0, 0, 0, 30, 5, 1))


def test_points_of_two_skeletons_that_are_called_alike(tmp_path):
    begin = head({"hand": ("skeleton", {}, "12"), "foot": ("skeleton", {}, "1"), "unused": ("skeleton", {}, "9")})
    of = '<skeleton label="{}"><points label="{}" outside="0" occluded="0" points="3,4"/></skeleton>'
    found = of_one(tmp_path, of.format("foot", 1) + of.format("hand", 2), begin)
    assert found.point_names == ("hand_1", "hand_2", "foot_1")
    assert [thing.points[2::3] for thing in found.images[0].objects] == [(0, 0, 2), (0, 2, 0)]


POINTS = '<points label="{}" source="manual" occluded="{}" points="{}" z_order="0"{}></points>'


def test_points_without_a_skeleton(tmp_path):
    """Single positions of an image are one object; several positions are numbered; groups are objects."""
    found = of_one(tmp_path, POINTS.format("mouth", 1, "5,6", "") + POINTS.format("eye", 0, "1,2", ""))
    assert (found.point_names, found.vocab) == (("eye", "mouth"), ("cat", "dog", "face", "numbers"))
    assert [thing.points for thing in found.images[0].objects] == [(1, 2, 2, 5, 6, 1)]

    several = POINTS.format("eye", 0, "1,2;3,4", "") + POINTS.format("eye", 0, "5,6;7,8", "")
    found = of_one(tmp_path, several)
    assert found.point_names == ("eye_0", "eye_1")
    assert [(thing.label, thing.points) for thing in found.images[0].objects] == [
        ("eye", (1, 2, 2, 3, 4, 2)),
        ("eye", (5, 6, 2, 7, 8, 2)),
    ]

    group = ' group_id="{}"'
    grouped = [POINTS.format(name, 0, xy, group.format(g)) for name, xy, g in (
        ("eye", "1,2", 1), ("eye", "3,4", 2), ("mouth", "5,6", 2),
    )]  # fmt: skip
    box = BOX.replace(' z_order="0"', group.format(2))
    found = of_one(tmp_path, "".join([BOX, *grouped, box]))
    assert [(thing.label, thing.box is not None, thing.points) for thing in found.images[0].objects] == [
        ("cat", True, ()),
        ("", False, (1, 2, 2, 0, 0, 0)),
        ("cat", True, (3, 4, 2, 5, 6, 2)),
    ]


def test_numbers_of_tags_are_numbers_of_the_image_and_other_attributes_are_counted(tmp_path):
    attribute = '<attribute name="{}">{}</attribute>'
    dog = f'<tag label="dog">{attribute.format("age", "3")}{attribute.format("colour", "7")}</tag>'
    cells = attribute.format("score", "-0.25") + attribute.format("note", "{}")
    numbers = f'<tag label="numbers">{cells}</tag>'
    box = BOX.replace("></box>", f">{attribute.format('fur', '1')}</box>").replace('"cat"', '"dog"')
    skeleton = SKELETON.replace("></points>", f">{attribute.format('fur', '1')}</points>", 1)
    more = image(numbers.format("x") + box + skeleton, "b.jpg")
    found = read(write(tmp_path, image(dog + numbers.format("1")), more))
    assert found.value_names == ("age", "score")
    assert [image.values for image in found.images] == [{"age": 3, "score": -0.25}, {"score": -0.25}]
    assert [list(image.labels) for image in found.images] == [["dog"], []]
    assert found.left_out == {
        "values of the attribute 'colour'": 1,
        "values of the attribute 'note'": 2,
        "values of the attribute 'fur' of objects": 2,
    }


def test_subsets_are_splits_and_the_images_of_a_project_lie_in_their_folders(tmp_path):
    names = ("Train", "Validation", "Test", "default")
    write(tmp_path, *(image(name="a.jpg", more=f' subset="{subset}"') for subset in names))
    for subset in names:
        write_image(tmp_path / "images" / subset / "a.jpg")
    found = read(tmp_path)
    assert [(image.name, image.split) for image in found.images] == [
        ("images/Train/a.jpg", "train"),
        ("images/Validation/a.jpg", "val"),
        ("images/Test/a.jpg", "test"),
        ("images/default/a.jpg", ""),
    ]


def test_several_files_and_images_elsewhere(tmp_path):
    for task in ("one", "two"):
        write(tmp_path / task, image(name="sub\\a.jpg"))
        write_image(tmp_path / task / "images" / "sub" / "a.jpg")
    found = read(tmp_path)
    assert [image.name for image in found.images] == ["one/images/sub/a.jpg", "two/images/sub/a.jpg"]
    assert "CVAT's XML, 2 files: 2 images" in found.found
    found = read(tmp_path / "one" / "annotations.xml")
    assert (found.images[0].name, found.folder) == ("sub/a.jpg", tmp_path / "one" / "images")
    (tmp_path / "one/images").rename(tmp_path / "photos")
    assert read(tmp_path / "one", images=tmp_path / "photos").images[0].name == "sub/a.jpg"


def test_frames_of_videos_lack_their_ending(tmp_path):
    for task in ("one", "two"):
        write(tmp_path / task, image(name="frame_000000"))
        write_image(tmp_path / task / "images" / "frame_000000.png")
    assert [i.name for i in read(tmp_path).images] == [f"{n}/images/frame_000000.png" for n in ("one", "two")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('<tag label="horse"/>', "line 26: 'horse' is not among the labels of <meta>: cat, dog, face"),
        ("<tag/>", "line 26: <tag> has no label"),
        (BOX.replace("10.00", "nan"), "line 26: <box>: xtl is 'nan', which is no number"),
        (BOX.replace('ybr="40.00"', ""), "line 26: <box>: ybr is missing"),
        (BOX.replace("10.00", "31"), r"line 26: the box goes from \(31, 20\.5\) to \(30\.25, 40\)"),
        (POINTS.format("eye", 0, "1;2", ""), "line 26: <points>: points is '1;2', not x,y;x,y"),
        (POINTS.format("eye", 0, "1,a", ""), "line 26: <points>: a y of points is 'a'"),
        (POINTS.format("eye", 0, "", ""), "line 26: <points>: points is '', not"),
        (POINTS.format("eye", 0, "1,2", "") * 2, "'eye' stands twice in no group of the image: make a group of each"),
        (
            f"{POINTS.format('eye', 0, '1,2;3,4', '')}\n{POINTS.format('eye', 0, '1,2', '')}",
            "line 27: 'eye' has 1 positions, and in .*line 26 it has 2",
        ),
        (SKELETON.replace('"left"', '"chin"'), "line 29: 'chin' is no point of the skeleton 'face'"),
        (SKELETON.replace('"left"', '"nose"'), "line 29: 'nose' stands twice in 'face'"),
        (SKELETON.replace("1.00,1.00", "1,1;2,2"), "line 29: 'left' has 2 positions, not one"),
        ('<tag label="dog"><attribute name="age">old</attribute></tag>', "line 26: 'age' is 'old', which is no number"),
        ('<tag label="dog"><attribute name="age">1</attribute></tag>' * 2, "line 26: a second 'age' of the image"),
        ("<tag", "not XML that can be read"),
        (f"</image>{image()}<image name='b.jpg'>", "the image a.jpg is in .*: line 25 already"),
        ("</image><image id='3'>", "line 26: the image has no name"),
        ("</image></annotations><!-- ", "not XML that can be read"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, content, message):
    with pytest.raises(TableError, match=message) as caught:
        of_one(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path / 'annotations.xml'}: line ")


def test_a_video_and_a_document_type_are_refused(tmp_path):
    track = '<track id="0" label="cat"><box frame="0" xtl="1" ytl="1" xbr="2" ybr="2" outside="0"/></track>'
    with pytest.raises(TableError, match=r"line 25: a track of a video\. Export it as 'CVAT for images 1\.1'"):
        read(write(tmp_path, track))
    assert Cvat().recognises(Source(tmp_path))
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    doctype = f"<!DOCTYPE a [<!ENTITY e SYSTEM '{secret.as_uri()}'>]>\n<annotations>"
    write(tmp_path, image(name="&e;"), begin=ALL.replace("<annotations>", doctype))
    with pytest.raises(TableError, match="a document type, which no annotation has"):
        read(tmp_path)


@pytest.mark.parametrize("text", ["<annotation><object/></annotation>", "<annotations/>", "{}", ""])
def test_what_is_not_cvat(tmp_path, text):
    (tmp_path / "a.xml").write_text(text)
    assert not Cvat().recognises(Source(tmp_path))


def test_files_without_meta_are_read(tmp_path):
    found = of_one(tmp_path, f'<tag label="any"/>{SKELETON}', "<annotations><version>1.1</version>")
    assert (found.vocab, found.point_names) == ((), ("right", "nose", "left"))


def test_many_images_are_read_in_pieces(tmp_path):
    write(tmp_path, *(image(f"{SKELETON}{BOX}", f"{i}.jpg") for i in range(2000)))
    start = time.process_time()
    assert len(read(tmp_path).images) == 2000
    assert time.process_time() - start < 4


def test_init_writes_tables_that_can_be_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_example(tmp_path / "set")
    assert console(["init", "set"]) == 0
    assert (tmp_path / "labels.csv").read_text() == "fname,labels\nimages/a.jpg,cat\nimages/b.jpg,dog\n"
    two = f"{SKELETON}\n{SKELETON.replace('20.50,10.25', '2,30')}"
    write(tmp_path / "set", image(SKELETON, more=' subset="Train"'), image(two, "b.jpg", ' subset="Validation"'))
    assert console(["init", "set", "--output", "points.yaml"]) == 2
    assert "line 32: images/b.jpg holds 2 objects with points, and 1 of 2 images hold" in capsys.readouterr().err
    assert console(["init", "set", "--output", "points.yaml", "--instances", "largest"]) == 0
    assert (tmp_path / "points.csv").read_text().splitlines() == [
        "fname,split,nose_x,nose_y,left_x,left_y,right_x,right_y,nose_visible,left_visible,right_visible",
        "images/a.jpg,train,20.5,10.25,,,30.0,5.0,2,0,1",
        "images/b.jpg,val,2.0,30.0,,,30.0,5.0,2,0,1",
    ]


def test_predictions_that_are_written_for_cvat_are_read_back(tmp_path):
    annotation = Annotation(
        (ScoredLabel("a & b", 0.9),), (NamedPoint("nose", 1.5, 2.25, 0.9), NamedPoint("left", 3.0, 4.0, 0.9)),
        (NamedNumber("age", 40.125),),
    )  # fmt: skip
    writer = CvatWriter(AnnotationNames(("a & b", "c"), ("nose", "left"), ("age",)), "run", "")
    begin, end = writer.frame(1)
    (entries,) = writer.entries(ImageEntry(0, "sub/x.jpg", 640, 480), annotation)
    (tmp_path / "preds.xml").write_text(begin + "".join(entries) + end)
    found = read(tmp_path / "preds.xml")
    (image,) = found.images
    assert (image.name, list(image.labels), image.values) == ("sub/x.jpg", ["a & b"], {"age": 40.125})
    assert (found.point_names, image.objects[0].points) == (("nose", "left"), (1.5, 2.25, 2, 3, 4, 2))
    assert not +found.left_out
