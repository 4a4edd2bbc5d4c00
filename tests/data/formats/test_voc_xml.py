"""Anybody's VOC annotations, written as VOC's kit, LabelImg and Roboflow write them."""

from pathlib import Path

import pytest

from lightning_tasks.__main__ import console
from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.data.tables.formats.voc.reader import Voc
from lightning_tasks.data.tables.formats.xml_lines import root_tag
from lightning_tasks.errors import TableError
from tests.fakes import write_image, write_voc

LABELIMG = """<annotation verified="yes">
	<folder>photos</folder>
	<filename>{name}</filename>
	<path>C:\\Users\\anna\\photos\\{name}</path>
	<source>
		<database>Unknown</database>
	</source>
	<size>
		<width>32</width>
		<height>24</height>
		<depth>3</depth>
	</size>
	<segmented>0</segmented>
{objects}</annotation>
"""
OBJECT = """	<object>
		<name>{label}</name>
		<pose>Unspecified</pose>
		<truncated>0</truncated>
		<difficult>{difficult}</difficult>
		<bndbox>
			<xmin>3</xmin>
			<ymin>4</ymin>
			<xmax>12</xmax>
			<ymax>24</ymax>
		</bndbox>
	</object>
"""


def write(path: Path, name: str = "", labels=("tumour",), difficult=()) -> None:
    """Write an annotation as LabelImg does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = [OBJECT.format(label=label, difficult=0) for label in labels]
    objects += [OBJECT.format(label=label, difficult=1) for label in difficult]
    path.write_text(LABELIMG.format(name=name or f"{path.stem}.jpg", objects="".join(objects)))


def write_example(folder: Path) -> Path:
    """Write two images with an annotation beside each."""
    for name, label in (("a", "tumour"), ("b", "healthy")):
        write(folder / f"{name}.xml", labels=(label,))
        write_image(folder / f"{name}.jpg")
    return folder


def read(path, **options):
    return read_annotations(path, ReadOptions(**options), "voc")


def test_boxes_are_counted_from_one_and_hold_their_last_pixel(tmp_path):
    found = read(write_example(tmp_path))
    assert [(image.name, image.split) for image in found.images] == [("a.jpg", ""), ("b.jpg", "")]
    (thing,) = found.images[0].objects
    assert (thing.label, tuple(thing.box), thing.box.area_px2) == ("tumour", (2, 3, 12, 24), 210)
    assert "2 images: 2 objects" in found.found
    (found,) = read(tmp_path / "b.xml").images
    assert found.name == "b.jpg"


def test_what_only_difficult_objects_are_is_not_known(tmp_path):
    write(tmp_path / "a.xml", labels=("cat",), difficult=("cat", "dog"))
    found = read(tmp_path)
    (image,) = found.images
    assert ([thing.label for thing in image.objects], list(image.unknown)) == (["cat", "", ""], ["dog"])
    assert all(thing.box is not None for thing in image.objects)
    assert found.notes == ["2 objects are difficult; what only they are in an image is not known of it"]


def test_voc_s_own_layout_and_its_lists(tmp_path):
    sets = {"train": {"1": [("cat", False)], "2": []}, "val": {"3": [("cat", True)]}, "test": {"4": [("dog", False)]}}
    write_voc(tmp_path / "VOCdevkit" / "VOC2007", sets)
    main = tmp_path / "VOCdevkit/VOC2007/ImageSets/Main"
    expected = [("1", "train"), ("2", "train"), ("3", "val"), ("4", "test")]
    for root in ("VOCdevkit/VOC2007", "VOCdevkit/VOC2007/Annotations", "VOCdevkit"):
        found = read(tmp_path / root)
        assert [(Path(image.name).stem, image.split) for image in found.images] == expected
        assert all((found.folder / image.name).parent.name == "JPEGImages" for image in found.images)
    assert found.left_out["body parts"] == 3
    (main / "val.txt").unlink()
    (main / "train.txt").unlink()
    assert [image.split for image in read(tmp_path).images] == ["train", "train", "train", "test"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("val", "2\n9\n", r"val\.txt: line 2: there is no annotation 9\.xml"),
        ("val", "2\n1\n", r"val\.txt: line 2: 1 is in train\.txt already"),
        ("train", "1\n1\n", r"train\.txt: line 2: 1 is in train\.txt already"),
        ("trainval", "1\n4\n", r"trainval\.txt: line 2: 4 is in test\.txt already"),
        ("val", "\udcff", r"val\.txt: cannot be read as text"),
    ],
)
def test_a_wrong_list_is_named(tmp_path, name, text, message):
    write_voc(tmp_path, {"train": {"1": [("cat", False)]}, "val": {"2": []}, "test": {"4": [("dog", False)]}})
    (tmp_path / "ImageSets/Main" / f"{name}.txt").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(TableError, match=message):
        read(tmp_path)


def test_roboflow_s_folders_are_splits(tmp_path):
    for folder in ("train", "valid", "test"):
        write(tmp_path / folder / "a_jpg.rf.0b1.xml")
        write_image(tmp_path / folder / "a_jpg.rf.0b1.jpg")
    assert {image.name: image.split for image in read(tmp_path).images} == {
        "test/a_jpg.rf.0b1.jpg": "test",
        "train/a_jpg.rf.0b1.jpg": "train",
        "valid/a_jpg.rf.0b1.jpg": "val",
    }


def test_which_image_is_meant(tmp_path):
    """The annotation's own name decides; else `filename`, which may lack its ending or have folders of elsewhere."""
    names = {"renamed": "other.jpg", "1": "other", "2": "C:\\x\\photo.jpg", "3": "missing.png", "4": ""}
    for stem, name in names.items():
        write(tmp_path / "xml" / f"{stem}.xml", name)
    (tmp_path / "xml/4.xml").write_text("<annotation><object><name>x</name></object></annotation>")
    for name in ("renamed.png", "other.jpg", "photo.jpg", "unlabelled.jpg"):
        write_image(tmp_path / "photos" / name)
    found = read(tmp_path)
    of = {Path(image.where).stem: image.name for image in found.images}
    assert of == {
        "renamed": "photos/renamed.png",
        "1": "photos/other.jpg",
        "2": "photos/photo.jpg",
        "3": "missing.png",
        "4": "4.jpg",
    }
    assert found.left_out["images without an annotation"] == 1
    found = read(tmp_path / "xml", images=tmp_path / "photos")
    assert {image.name for image in found.images} == {"renamed.png", "other.jpg", "photo.jpg", "missing.png", "4.jpg"}
    write(tmp_path / "xml/5.xml", "other.jpg")
    with pytest.raises(TableError, match=r"5\.xml: its image photos/other\.jpg is that of .*1\.xml, too"):
        read(tmp_path)


BOX = "<annotation>\n<object><name>a</name>\n<bndbox>\n{}</bndbox></object></annotation>"
SIDES = "<xmin>1</xmin><ymin>2</ymin><xmax>{}</xmax><ymax>4</ymax>"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation>\n<object>\n</annotation>", r"line 3: not XML that can be read \(mismatched tag"),
        ("<annotation>\n<object>", "line 2: not XML that can be read"),
        ("", "not XML that can be read"),
        ("\n<html/>", "line 2: XML of <html>, not of <annotation>"),
        ("<annotation>\n<object><name> </name></object></annotation>", "line 2: the object has no <name>"),
        ("<annotation><object><name>a</name><difficult>2</difficult></object></annotation>", "difficult is '2'"),
        (BOX.format("<xmin>1</xmin><ymin>1</ymin><xmax>1</xmax>"), "line 3: the box has no <ymax>"),
        (BOX.format(SIDES.format("nan")), "line 4: <xmax>: it is 'nan', which is no number"),
        (BOX.format(SIDES.format("")), "line 4: <xmax>: it is '', which is no number"),
        (BOX.format(SIDES.format("1e999")), "line 4: <xmax>: it is '1e999', which is no number"),
        (BOX.format(SIDES.format("0")), r"line 3: the box goes from \(1, 2\) to \(0, 4\)"),
        ("<?xml version='1.0' encoding='klingon'?><annotation/>", "unknown encoding"),
        ("<?xml version='1.0' encoding='utf-8'?><annotation>\n\udcff</annotation>", "line 2: not XML"),
        ("<!DOCTYPE a SYSTEM 'a.dtd'><annotation/>", "a document type"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><annotation>&b;</annotation>", "a document type"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, content, message):
    (tmp_path / "a.xml").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(TableError, match=message) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'a.xml'}: line ")


def test_labelme_s_xml_is_refused(tmp_path):
    """CVAT's export 'LabelMe 3.0': its root is called the same, and what was deleted is still in it."""
    one = "<object><name>{}</name><deleted>{}</deleted><polygon><pt><x>1</x><y>2</y></pt></polygon></object>"
    objects = "\n".join(one.format(*of) for of in (("cat", 0), ("dog", 1)))
    size = "<imagesize><nrows>24</nrows><ncols>32</ncols></imagesize>"
    for name, content in (("a", f"{size}\n{objects}"), ("b", f"{objects}\n{size}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.xml").write_text(f"<annotation>\n{content}\n</annotation>")
        with pytest.raises(
            TableError, match=r"1\.xml: line \d: XML of MIT's LabelMe, not of PASCAL VOC\. Export it as"
        ):
            read_annotations(tmp_path / name, ReadOptions())


def test_no_other_file_is_read(tmp_path):
    """A document type may name files, or unpack to more than fits: it is refused before either."""
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    bomb = "<!ENTITY a 'ha'>" + "".join(f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in ("ab", "bc", "cd", "de"))
    for entity in (f"<!ENTITY e SYSTEM '{secret.as_uri()}'>", f"<!ENTITY % p SYSTEM '{secret}'>%p;", bomb):
        (tmp_path / "a.xml").write_text(f"<!DOCTYPE a [{entity}]><annotation><filename>&e;</filename></annotation>")
        with pytest.raises(TableError, match="a document type, which no annotation has") as caught:
            read(tmp_path)
        assert "secret'" not in str(caught.value)


def test_other_encodings(tmp_path):
    for encoding in ("utf-8-sig", "utf-16", "latin-1"):
        head = "<?xml version='1.0' encoding='latin-1'?>" if encoding == "latin-1" else ""
        text = f"{head}<annotation><object><name>Käfer</name></object></annotation>"
        (tmp_path / "a.xml").write_bytes(text.encode(encoding))
        assert Voc().recognises(Source(tmp_path))
        assert read(tmp_path).images[0].objects[0].label == "Käfer"


@pytest.mark.parametrize("text", ["<annotations><image/></annotations>", "<html/>", "{}", ""])
def test_what_is_not_voc(tmp_path, text):
    (tmp_path / "a.xml").write_text(text)
    assert not Voc().recognises(Source(tmp_path))


def test_init_writes_a_table_that_can_be_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for stem, labels, difficult in (("a", ["cat", "dog"], []), ("b", [], ["cat"]), ("c", [], []), ("d", ["dog"], [])):
        write(tmp_path / "set/Annotations" / f"{stem}.xml", labels=labels, difficult=difficult)
        write_image(tmp_path / "set/JPEGImages" / f"{stem}.jpg")
    assert console(["init", "set"]) == 0
    assert (tmp_path / "labels.csv").read_text().splitlines() == [
        "fname,labels,difficult",
        "JPEGImages/a.jpg,cat;dog,",
        "JPEGImages/b.jpg,,cat",
        "JPEGImages/c.jpg,,",
        "JPEGImages/d.jpg,dog,",
    ]
    assert "VOC's XML, 4 images: 4 objects" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("head", "tag"),
    [
        ("\ufeff<?xml version='1.0'?>\n<!-- <b> -->\n<a>", "a"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]>\n<a x='1'>", "a"),
        ("<!-- -->" * 40, ""),  # a pattern that may end each in many places would not end
        ("<!DOCTYPE a [", ""),
        ("<a", ""),
        ("{}", ""),
    ],
)
def test_what_a_root_is_called(head, tag):
    assert root_tag(head) == tag
