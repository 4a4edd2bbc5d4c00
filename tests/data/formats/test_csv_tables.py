"""Tables with anybody's columns, in the shapes that people write."""

import codecs

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tasks.data.tables.cells import normalize
from lightning_tasks.data.tables.formats.annotations import Box
from lightning_tasks.data.tables.formats.csv.reader import CsvTables, read_own_table
from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import read_annotations
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.errors import ConfigError, TableError
from tests.fakes import write_image


def write_example(folder):
    """Write a table in another tool's words, with its images; return what `init` is given."""
    for i in range(4):
        write_image(folder / "photos" / f"{i}.jpg", seed=i)
    text = "image_id;tags\n0.jpg;cat,dog\n1.jpg;dog\n2.jpg;cat\n3.jpg;\n"
    (folder / "train.csv").write_text(text, encoding="utf-16")
    return folder / "train.csv"


def read(folder, text, images=(), **options):
    for name in images:
        write_image(folder / name)
    path = folder / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_annotations(path, ReadOptions(**options))


def labels(annotations):
    return {image.name: tuple(image.labels) for image in annotations.images}


def unknown(annotations):
    return {image.name: tuple(image.unknown) for image in annotations.images if image.unknown}


def points(annotations):
    return {image.name: list(image.objects[0].points) for image in annotations.images}


# The text itself


TEXT = "image{0}tags\na.jpg{0}é\nb.jpg{0}ü\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    ("encode", "encoding"),
    [
        (lambda text: text.encode(), None),
        (lambda text: codecs.BOM_UTF8 + text.encode(), None),
        (lambda text: codecs.BOM_UTF8 + text.encode(), "utf-8"),
        (lambda text: text.encode("utf-16"), None),
        (lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"), None),
        (lambda text: text.encode("utf-32"), None),
        (lambda text: text.encode("latin-1"), "latin-1"),
        (lambda text: f"sep={text[5]}\n{text}".replace("\n", "\r\n").encode(), None),
    ],
)
def test_any_encoding_and_separator(tmp_path, delimiter, encode, encoding):
    found = read(tmp_path, encode(TEXT.format(delimiter)), encoding=encoding)
    assert labels(found) == {"a.jpg": ("é",), "b.jpg": ("ü",)}


CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf"), exclude_characters=",;|[{("), max_size=8)


@settings(max_examples=50)
@given(cells=st.lists(CELLS, min_size=1, max_size=5), encoding=st.sampled_from(["utf-8-sig", "utf-16", "utf-32"]))
def test_what_is_written_is_read(tmp_path_factory, cells, encoding):
    folder = tmp_path_factory.mktemp("t")
    words = [f"x{cell}" for cell in cells]
    text = "".join(
        ["image,tags\n", *(f'{i}.jpg,"{word.replace(chr(34), chr(34) * 2)}"\n' for i, word in enumerate(words))]
    )
    found = read(folder, text.encode(encoding), label_separator="none")
    assert [" ".join(image.labels[0].split()) for image in found.images] == [
        " ".join(label.split()) for label in map(normalize, words)
    ]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("image,tags\na.jpg,é\n".encode("latin-1"), {}, "not text in UTF-8 .* such as --encoding latin-1"),
        (b"image,tags\na.jpg,x\n", {"encoding": "klingon"}, "there is no such encoding"),
        (b"", {}, "an empty file"),
        (b"image,tags\n", {}, "no rows below the header"),
        (b"image,tags\na.jpg,x,y\n", {}, "row 2: 3 cells under 2 columns"),
        (b"image,tags\na.jpg\n", {}, "row 2: 1 cells under 2 columns"),
        (b"image,tags,tags\na.jpg,x,y\n", {}, "row 1: two columns are called 'tags'"),
        (b"image,tags\na.jpg,\0x\n", {}, "line 2: there are zero bytes"),
        (b"image,tags\n ,x\n", {}, "row 2, column 'image': the cell is empty"),
        (b"image,tags\na.jpg,None\nb.jpg,x\n", {}, "row 2, column 'tags': 'None' stands for nothing.*--none 'None'"),
        (b"image,tags\na.jpg,[x\n", {}, r"row 2, column 'tags': '\[x' starts like a list and is none"),
        (b"image,tags\na.jpg,1 0 0\nb.jpg,0 1\n", {}, "row 2, column 'tags': the label '0' stands twice"),
        (b"Image,a_x,a_y\n" + b"238 " * 2000 + b",1,2\n", {}, "no column names image files; 'Image' holds the pixels"),
        (b"image,tags,class\na.jpg,x,y\n", {}, r"several columns may be the labels.*--columns 'labels=tags'"),
        (b"left,right\na.jpg,b.jpg\n", {}, r"several columns name images: 'left', 'right'.*--columns 'fname=left'"),
        (b"code,breed\n17,x\n", {}, r"no column names image files; it has 'code', 'breed'.*--columns 'fname=code'"),
        (b"image,tags\na.jpg,x\n", {"columns": {"fname": "imag"}}, "--columns names 'imag', which is no column"),
        (b"image,tags\na.jpg,x\n", {"columns": {"name": "image"}}, "--columns: 'name' is none of ours"),
        (b"image,tags\na.jpg,x\n", {"none": ("y",)}, "--none 'y': no image has this label"),
        (b"image,tags,split\na.jpg,x,moon\n", {}, "row 2, column 'split': 'moon' is none of train, val and test"),
        (b"image,tags,split,is_valid\na.jpg,x,train,1\n", {}, "row 2, column 'is_valid': it contradicts 'train'"),
        (b"image,a_x,a_y\na.jpg,1,\n", {}, "row 2, column 'a_x/a_y': only one of the two is filled"),
        (b"image,a_x,a_y\na.jpg,1,nan\n", {}, "only one of the two is filled"),
        (b"image,a_x,a_y\na.jpg,1,inf\n", {}, "row 2, column 'a_y': 'inf' is not a number"),
        (b"image,a_x,a_y,a_v\na.jpg,1,2,3\n", {}, "row 2, column 'a_v': '3' is not 0, 1 or 2"),
        (b"image,a_x,a_y,a_v\na.jpg,,,2\n", {}, "said to be visible, and has no position"),
        (b"image,a_x\na.jpg,1\n", {}, "the point 'a' has no column 'a_y'"),
        (b"image,age\na.jpg,1\na.jpg,2\n", {}, "row 3: a.jpg stands in row 2 already, with other cells"),
        (b"image,cat,dog\na.jpg,1,0\na.jpg,0,0\n", {}, "row 3: a.jpg stands in row 2 already, with other cells"),
        (b"image,point,x,y\na.jpg,n,1,2\na.jpg,n,1,2\n", {}, "row 3, column 'point': the point 'n' of a.jpg stands"),
        (b"image,class,xmin,ymin,xmax,ymax\na.jpg,c,9,1,2,8\n", {}, r"row 2: the box \(9, 1, 2, 8\) is upside down"),
        (b"image,class,xmin,ymin,xmax,ymax\na.jpg,c,1,1,2,\n", {}, "row 2, column 'ymax': '' is not a number"),
        (b"image,class,xmin,ymin,xmax,ymax\na.jpg,c,.1,.1,.2,.2\n", {}, "row 2: its position is in parts of the image"),
        (b"image,a_x,a_y\na.jpg,.1,.2\n", {}, "row 2: its position is in parts of the image"),
        (b"image;v\na.jpg;1.234\nb.jpg;2,5\n", {}, "column 'v': '2,5' and '1.234' stand in it"),
        (b"image,tags,confidence\na.jpg,x,.9\nb.jpg,y,.2\n", {}, "2 labels have a number between.*none is left"),
        (b"image,a_x,a_y\na.jpg,1_5,3\n", {}, "row 2, column 'a_x': '1_5' is not a number"),
        (b"image,patient,tags\na.jpg,p,x\na.jpg,q,y\n", {}, "row 3, column 'patient': 'q', and 'p' in row 2"),
        (b"image,note\na.jpg,\n", {}, "no column of labels, points or numbers beside 'image'.*--columns 'labels=NAME'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(tmp_path, text, options, message):
    with pytest.raises((TableError, ConfigError), match=message):
        read(tmp_path, text, **options)


# Which column is which


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("id,photo_of,label", ["7,a.jpg,x", "8,b.jpg,y"]),  # by the cells' endings
        ("label,Image Index", ["x,a.jpg", "y,b.jpg"]),
        (",path,Tags", ["0,a.jpg,x", "1,b.jpg,y"]),
        ("name,id,breed", ["Rex,a,x", "Bob,b,y"]),  # by the images that are there
        ("width,height,code,what", ["5,5,a,x", "5,5,b,y"]),
        ("mask,image,category", ["m1.png,a.jpg,x", "m2.png,b.jpg,y"]),  # by names
        ("image_path,class_id,class_name", ["C:\\data\\a.jpg,0,x", "C:\\data\\b.jpg,1,y"]),
        ("file,species", ["/home/me/pets/a.jpg,x", "/home/me/pets/b.jpg,y"]),
        ("file,species", ["https://example.org/i/a.jpg?x=1,x", "https://example.org/i/b.jpg,y"]),
        ("image,group,target", ["A.JPG,g,x", "b.jpg,g,y"]),
    ],
)
def test_columns_are_known_by_names_and_by_cells(tmp_path, header, cells):
    found = read(tmp_path, "\n".join([header, *cells]), ["images/a.jpg", "images/b.jpg"])
    assert (found.folder, labels(found)) == (tmp_path / "images", {"a.jpg": ("x",), "b.jpg": ("y",)})


def test_images_outside_of_the_tables_folder(tmp_path):
    names = ["photos/a.jpg", "photos/more/b.jpg"]
    (tmp_path / "tables").mkdir()
    for to_photos in ("..", str(tmp_path)):
        text = "".join(["file,label\n", *(f"{to_photos}/{name},x\n" for name in names)])
        found = read(tmp_path / "tables", text, [f"../{name}" for name in names])
        assert (found.folder, labels(found)) == (tmp_path / "photos", {"a.jpg": ("x",), "more/b.jpg": ("x",)})


def test_the_user_says_which(tmp_path):
    text = "left,right,a,b,c,d\na.jpg,b.jpg,x,y,s1,test\nc.jpg,d.jpg,y,x,s2,train\n"
    columns = {"fname": "right", "labels": "b", "group": "c", "split": "d"}
    found = read(tmp_path, text, columns=columns)
    assert [(i.name, tuple(i.labels), i.group, i.split) for i in found.images] == [
        ("b.jpg", ("y",), "s1", "test"),
        ("d.jpg", ("x",), "s2", "train"),
    ]
    assert found.left_out == {"columns (left, a)": 2}


def test_splits_and_groups(tmp_path):
    text = "image,Patient ID,Usage,label\na.jpg,p1,Training,x\nb.jpg,p2,valid,y\nc.jpg,p2,test,x\n"
    found = read(tmp_path, text)
    assert [(i.group, i.split) for i in found.images] == [("p1", "train"), ("p2", "val"), ("p2", "test")]
    assert "fname=image,labels=label,group=Patient ID,split=Usage" in found.notes[0]
    found = read(tmp_path, "image,is_valid,set,label\na.jpg,True,1,x\nb.jpg,False,2,y\n")
    assert [i.split for i in found.images] == ["val", "train"]
    assert found.left_out == {"columns (set)": 1}  # its words are none of a split


def test_tables_of_splits_are_one(tmp_path):
    for split in ("train", "valid"):  # as Roboflow lays them
        write_image(tmp_path / split / f"{split}.jpg")
        (tmp_path / split / "_classes.csv").write_text(f"filename, cat, dog\n{split}.jpg, 1, 0\n")
    found = read_annotations(tmp_path, ReadOptions())
    assert [(i.name, i.labels, i.split) for i in found.images] == [
        ("train/train.jpg", ["cat"], "train"),
        ("valid/valid.jpg", ["cat"], "val"),
    ]
    (tmp_path / "more.csv").write_text("filename,cat,dog\nx.jpg,1,0\n")
    with pytest.raises(TableError, match=r"3 tables .*Name one of them"):
        read_annotations(tmp_path, ReadOptions())


# Labels


@pytest.mark.parametrize("cells", ["cat;red car", "cat|red car", "['cat', 'red car']", '"cat,red car"'])
def test_cells_of_labels(tmp_path, cells):
    cells = cells if cells.startswith('"') else f'"{cells}"'
    assert labels(read(tmp_path, f"image,tags\na.jpg,{cells}\nb.jpg,cat\n")) == {
        "a.jpg": ("cat", "red car"),
        "b.jpg": ("cat",),
    }


def test_a_row_a_label(tmp_path):
    found = read(tmp_path, "image,label\na.jpg,hot dog\nb.jpg,cat\na.jpg,cat\na.jpg,cat\nc.jpg,\n")
    assert labels(found) == {"a.jpg": ("hot dog", "cat"), "b.jpg": ("cat",), "c.jpg": ()}
    assert "a row a label: 3 images, 5 rows" in found.found


def test_open_images_say_what_is_absent(tmp_path):
    text = "ImageID,Source,LabelName,Confidence\na,v,/m/1,1\na,v,/m/2,0\na,machine,/m/3,0.7\n"
    found = read(tmp_path, text, ["a.jpg"])
    assert (labels(found), unknown(found)) == ({"a.jpg": ("/m/1",)}, {"a.jpg": ("/m/3",)})
    assert found.left_out == {"labels that are said to be absent": 1, "columns (Source)": 1}


CHEXPERT = """Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Cardiomegaly,Edema
CheXpert-v1.0-small/train/p1/s1/view1.jpg,Female,68,Frontal,AP,1.0,,
CheXpert-v1.0-small/train/p2/s1/view1.jpg,Male,87,Frontal,AP,,-1.0,1.0
CheXpert-v1.0-small/train/p2/s2/view1.jpg,Male,87,Lateral,,,0.0,
"""


def test_a_column_for_each_label_as_chexpert_has_them(tmp_path):
    names = [f"train/{name}/view1.jpg" for name in ("p1/s1", "p2/s1", "p2/s2")]
    found = read(tmp_path, CHEXPERT, names)
    assert labels(found) == dict(zip(names, [("No Finding",), ("Edema",), ()], strict=True))
    assert [list(image.unknown) for image in found.images] == [
        ["Cardiomegaly", "Edema"],
        ["No Finding", "Cardiomegaly"],
        ["No Finding", "Edema"],
    ]
    assert found.left_out == {"columns (Sex, Frontal/Lateral, AP/PA, Age)": 4}
    assert "-1 in 3 columns is taken for unknown; --minus_one absent takes it for absent" in found.notes
    assert found.images[1].values["Age"] == 87

    found = read(tmp_path, CHEXPERT, none=("No Finding",), minus_one="absent")
    assert [(list(image.labels), list(image.unknown)) for image in found.images] == [
        ([], []),  # none of all, so that an empty cell is absent
        (["Edema"], []),
        ([], ["Edema"]),
    ]
    assert found.vocab == ("Cardiomegaly", "Edema")


@pytest.mark.parametrize(
    ("rows", "minus_one", "present", "not_known"),
    [
        (["1,0", "0,1"], "auto", [["a"], ["b"]], [[], []]),
        (["1,-1", "-1,1"], "auto", [["a"], ["b"]], [[], []]),  # CelebA's
        (["1,-1", "-1,1"], "unknown", [["a"], ["b"]], [["b"], ["a"]]),
        (["1,-1", "0,1"], "auto", [["a"], ["b"]], [["b"], []]),
        (["1,-1", "0,1"], "absent", [["a"], ["b"]], [[], []]),
        (["1,", ",1"], "auto", [["a"], ["b"]], [[], []]),  # who marks what is there
        (["1,0", ",1"], "auto", [["a"], ["b"]], [[], ["a"]]),
        (["yes,No", "TRUE,f"], "auto", [["a"], ["a"]], [[], []]),
        (["1.0,0.0", "nan,1.0"], "auto", [["a"], ["b"]], [[], ["a"]]),
    ],
)
def test_one_hot(tmp_path, rows, minus_one, present, not_known):
    text = "\n".join(["file,a,b", *(f"{i}.jpg,{row}" for i, row in enumerate(rows))])
    found = read(tmp_path, text, minus_one=minus_one)
    assert [list(image.labels) for image in found.images] == present
    assert [list(image.unknown) for image in found.images] == not_known


@pytest.mark.parametrize(
    "names",
    ["person,car", "left,top,right,bottom", "x,y,z", "image,file", "video,frame", "class,target", "valid,x"],
)
def test_labels_that_are_called_like_something_else(tmp_path, names):
    n = names.count(",") + 1
    found = read(tmp_path, f"fname,{names},Sex\na.jpg{',1' * n},F\nb.jpg{',-1' * n},F\nc.jpg{',0' * n},F\n")
    assert [tuple(image.labels) for image in found.images] == [tuple(names.split(",")), (), ()]
    assert found.left_out == {"columns (Sex)": 1}


def test_one_column_of_yes_and_no_is_a_label(tmp_path):
    found = read(tmp_path, "image,cancer\na.jpg,1\nb.jpg,0\n")
    assert labels(found) == {"a.jpg": ("cancer",), "b.jpg": ()}
    assert "--task values reads it as a number" in found.notes[-1]
    assert [image.values for image in found.images] == [{"cancer": 1.0}, {"cancer": 0.0}]


def test_columns_that_count_rows_are_neither_labels_nor_numbers(tmp_path):
    found = read(tmp_path, "Unnamed: 0,image,fold,age\n0,a.jpg,0,7\n1,b.jpg,1,8\n")
    assert (found.value_names, found.left_out) == (("age",), {"columns (Unnamed: 0, fold)": 2})
    found = read(tmp_path, ",image,fold,cat,dog\n0,a.jpg,0,1,0\n1,b.jpg,1,0,1\n")
    assert labels(found) == {"a.jpg": ("cat",), "b.jpg": ("dog",)}
    assert labels(read(tmp_path, "image,label\na.jpg,1.0\nb.jpg,\n")) == {"a.jpg": ("1",), "b.jpg": ()}


def test_numbers_of_classes_are_labels_and_fractions_are_not(tmp_path):
    found = read(tmp_path, "image,target\na.jpg,0\nb.jpg,1\nc.jpg,2\n")
    assert labels(found) == {"a.jpg": ("0",), "b.jpg": ("1",), "c.jpg": ("2",)}
    assert "--task values reads them as numbers" in found.notes[-1]
    found = read(tmp_path, "image;target;age\na.jpg;0,5;7\nb.jpg;1;\n")
    assert found.value_names == ("target", "age")
    assert [image.values for image in found.images] == [{"target": 0.5, "age": 7.0}, {"target": 1.0}]


def test_a_word_for_none_in_cells_and_rows(tmp_path):
    found = read(tmp_path, "image,Finding Labels\na.jpg,No Finding\nb.jpg,Mass|Edema\n", none=("No Finding",))
    assert labels(found) == {"a.jpg": (), "b.jpg": ("Mass", "Edema")}
    text = "image,label\na.jpg,none\nb.jpg,x\nb.jpg,y\nc.jpg,none\nc.jpg,x\n"
    found = read(tmp_path, text, none=("none",))
    assert labels(found) == {"a.jpg": (), "b.jpg": ("x", "y"), "c.jpg": ("x",)}
    assert "1 images have other labels beside 'none': these stay" in found.notes
    box = "image,class,xmin,ymin,xmax,ymax\na.jpg,No finding,,,,\nb.jpg,x,1,2,3,4\n"
    found = read(tmp_path, box, none=("No finding",))
    assert [image.objects[0].label for image in found.images] == ["", "x"]


# Boxes


def test_a_row_a_box(tmp_path):
    text = "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,9,9,cat,1,2,3,4\na.jpg,9,9,cat,5,5,6,6.5\n"
    found = read(tmp_path, text)
    assert [(thing.label, thing.box) for thing in found.images[0].objects] == [
        ("cat", Box(1, 2, 3, 4)),
        ("cat", Box(5, 5, 6, 6.5)),
    ]
    found = read(tmp_path, "image,label,x,y,w,h\na.jpg,red car,1,2,3,4\n")
    assert found.images[0].objects[0][:2] == ("red car", Box(1, 2, 4, 6))


def test_boxes_of_open_images_are_parts_of_the_image(tmp_path):
    head = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded"
    write_image(tmp_path / "a.jpg", (20, 40))
    found = read(tmp_path, f"{head}\na,xclick,/m/1,1,0.25,0.5,0.1,0.5,0\n")
    assert found.images[0].objects[0][:2] == ("/m/1", Box(10, 2, 20, 10))


# What is chosen for the user is told


@pytest.mark.parametrize(
    ("text", "options", "note"),
    [
        ("image,tags\na.jpg,b\nb.jpg,a b\n", {}, "labels are cut at blanks: 'a b' is 'a', 'b'; --label_separator none"),
        ('image,tags\na.jpg,"Bush, George"\n', {}, "labels are cut at ',': 'Bush, George' is 'Bush', 'George'"),
        (
            "image,findings\na.jpg,a|b\nb.jpg,No Finding\n",
            {},
            "'No Finding' is a label like others; --none 'No Finding'",
        ),
        (
            "image,tags,patient\na.jpg,b,p7\n",
            {"columns": {"labels": "tags"}},
            "the columns are read as --columns 'fname=image,labels=tags,group=patient' would say",
        ),
        ("image,healthy,rust\na.jpg,0,1\nb.jpg,1,0\n", {}, "'healthy' is a label like others; --none 'healthy'"),
        ("image,label,confidence\na.jpg,x,1\nb.jpg,y,0.5\n", {}, "column 'confidence': 1 labels have a number between"),
        ("image,a_x,a_y\na.jpg,0,0\nb.jpg,-1,-1\nc.jpg,-1,0\n", {}, "2 points stand at 0 0 or -1 -1, and are read"),
        (
            "id,x,y,width,height,target\na.jpg,,,,,0\nb.jpg,1,2,3,4,1\n",
            {},
            "the numbers in 'target' are read as labels",
        ),
    ],
)
def test_what_may_be_meant_otherwise_is_told(tmp_path, text, options, note):
    assert any(told.startswith(note) for told in read(tmp_path, text, **options).notes)


def test_names_of_images_that_are_there_go_before_addresses(tmp_path):
    text = "id,url,species\naa,http://x/1.jpg,oak\nbb,http://x/2.jpg,elm\n"
    assert labels(read(tmp_path, text)) == {"1.jpg": ("oak",), "2.jpg": ("elm",)}
    assert labels(read(tmp_path, text, images=["aa.jpg", "bb.jpg"])) == {"aa.jpg": ("oak",), "bb.jpg": ("elm",)}


def test_one_column_of_0_and_1_beside_other_numbers_is_a_number(tmp_path):
    found = read(tmp_path, "image,yaw,pitch,roll\na.jpg,-10.5,3,1\nb.jpg,0.5,0.2,0\n")
    assert (found.value_names, found.has_image_labels) == (("yaw", "pitch", "roll"), False)
    found = read(tmp_path, "image,age,male,smiles\na.jpg,31,1,0\nb.jpg,20,0,1\n")
    assert labels(found) == {"a.jpg": ("male",), "b.jpg": ("smiles",)}


def test_nothing_is_told_where_the_user_said_it(tmp_path):
    options = {"columns": {"fname": "image", "labels": "tags"}, "label_separator": " ", "none": ["normal"]}
    assert not read(tmp_path, "image,tags\na.jpg,a b\nb.jpg,normal\n", **options).notes


def test_tables_of_splits_in_a_folder(tmp_path):
    for i in range(3):
        write_image(tmp_path / "images" / f"{i}.png", seed=i)
    (tmp_path / "train_labels.csv").write_text("id,breed\n0,pug\n1,corgi\n")
    (tmp_path / "classes.csv").write_text("breed,size\npug,1\n")  # names no images
    found = read_annotations(tmp_path, ReadOptions())
    assert labels(found) == {"0.png": ("pug",), "1.png": ("corgi",)}
    (tmp_path / "test_labels.csv").write_text("id,breed\n2,pug\n")
    splits = {image.name: image.split for image in read_annotations(tmp_path, ReadOptions()).images}
    assert splits == {"2.png": "test", "0.png": "train", "1.png": "train"}
    (tmp_path / "test_more.csv").write_text("id,age\n2,3\n")
    with pytest.raises(TableError, match=r"3 tables \(.*\)\. Name one of them"):
        read_annotations(tmp_path, ReadOptions())


# Points


@pytest.mark.parametrize("header", ["nose_x,nose_y,l_x,l_y", "noseX,noseY,lX,lY", "x_nose,y_nose,x_l,y_l"])
def test_points_side_by_side(tmp_path, header):
    found = read(tmp_path, f"image,{header}\na.jpg,1,2.5,,\n")
    assert (found.point_names, points(found)) == (("nose", "l"), {"a.jpg": [1, 2.5, 2, 0, 0, 0]})


def test_several_rows_of_points_are_several_objects(tmp_path):
    found = read(tmp_path, "image,label,a_x,a_y\na.jpg,cat,1,2\na.jpg,cat,3,4\n")
    assert [list(thing.points) for thing in found.images[0].objects] == [[1, 2, 2], [3, 4, 2]]
    found = read(tmp_path, "image,a_x,a_y\na.jpg,1,2\na.jpg,3,4\na.jpg,1,2\n")
    assert [list(thing.points) for thing in found.images[0].objects] == [[1, 2, 2], [3, 4, 2]]
    assert found.left_out == {"rows that say again what another one says": 1}


def test_points_between_0_and_1_are_parts_of_the_image(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        write_image(tmp_path / name, size=(20, 40))
    found = read(tmp_path, "image,n_x,n_y\na.jpg,0.5,0.25\nb.jpg,1,0\n")
    assert points(found) == {"a.jpg": [20, 5, 2], "b.jpg": [40, 0, 2]}
    assert "taken for parts of the image's width and height" in found.notes[-1]
    found = read(tmp_path, "image,n_x,n_y\na.jpg,1,1\nb.jpg,1,0\n")
    assert points(found) == {"a.jpg": [1, 1, 2], "b.jpg": [1, 0, 2]}


def test_visibility(tmp_path):
    text = "image,n_x,n_y,n_v,l_x,l_y,l_visible\na.jpg,1,2,1,3,4,2\nb.jpg,1,2,0,3,4,1\n"
    assert points(read(tmp_path, text)) == {"a.jpg": [1, 2, 1, 3, 4, 2], "b.jpg": [0, 0, 0, 3, 4, 1]}
    found = read(tmp_path, "image,n_x,n_y,n_v\na.jpg,1,2,true\nb.jpg,1,2,false\n")  # nobody says that one is hidden
    assert points(found) == {"a.jpg": [1, 2, 2], "b.jpg": [0, 0, 0]}


def test_a_row_a_point(tmp_path):
    text = "image\tlandmark\tx\ty\na.jpg\tnose\t1,5\t2\na.jpg\tear\t3\t4\nb.jpg\tear\t5\t6\n"
    found = read(tmp_path, text)
    assert found.point_names == ("nose", "ear")
    assert points(found) == {"a.jpg": [1.5, 2, 2, 3, 4, 2], "b.jpg": [0, 0, 0, 5, 6, 2]}
    assert points(read(tmp_path, "image,label,x,y\na.jpg,n,1,2\na.jpg,m,3,4\n")) == {"a.jpg": [1, 2, 2, 3, 4, 2]}
    assert read(tmp_path, "image,x,y\na.jpg,1,2\n").point_names == ("point",)


@settings(max_examples=30)
@given(xy=st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 4), min_size=1, max_size=4))
def test_points_side_by_side_and_one_a_row_are_the_same(tmp_path_factory, xy):
    folder = tmp_path_factory.mktemp("p")
    xy = [(0, 0, 0, 2), *xy]  # else they might be parts of images
    wide = ["image,a_x,a_y,b_x,b_y", *(f"{i}.jpg,{','.join(map(repr, row))}" for i, row in enumerate(xy))]
    long = ["image,point,x,y"]
    for i, (ax, ay, bx, by) in enumerate(xy):
        long += [f"{i}.jpg,a,{ax!r},{ay!r}", f"{i}.jpg,b,{bx!r},{by!r}"]
    first, second = points(read(folder, "\n".join(wide))), points(read(folder, "\n".join(long)))
    assert first == second
    assert np.array_equal([row[:2] + row[3:5] for row in first.values()], xy)


# What is ours already


@pytest.mark.parametrize(
    ("text", "is_own"),
    [
        ("fname,labels\na.jpg,cat dog\n", True),
        ("fname;labels;color\na.jpg;cat dog;red\n", True),
        ("fname,nose_x,nose_y,nose_v\na.jpg,1,2,1\n", True),
        ("fname,age,male\na.jpg,7,1\nb.jpg,8,0\n", True),
        ("fname,a_x,a_y\na.jpg,0.5,0.25\nb.jpg,0,1\n", False),  # parts of the image
        ("fname,a_x,a_y\na.jpg,1,2\na.jpg,3,4\n", True),  # told by whoever reads it
        ("fname,labels\na.jpg,cat\na.jpg,dog\n", False),
        ("fname,cat,dog\na.jpg,1,0\n", False),
        ("fname,tags\na.jpg,cat\n", False),
        ("image,labels\na.jpg,cat\n", False),
        ("fname,noseX,noseY\na.jpg,1,2\n", False),
        ("fname,point,x,y\na.jpg,n,1,2\n", False),
        ("sep=,\nfname,labels\na.jpg,cat\n", False),
        ("fname|labels\na.jpg|cat\n", False),
    ],
)
def test_what_is_ours_stays(tmp_path, text, is_own):
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert (read_own_table(path, ReadOptions()) is not None) == is_own
    assert read_own_table(path, ReadOptions(none=("x",))) is None


@pytest.mark.parametrize(
    "text",
    [
        "epoch,train/box_loss\n1,0.5\n",
        "scorer,me,me\nbodyparts,nose,nose\ncoords,x,y\na.jpg,1,2\n",
        "filename,file_size,region_shape_attributes\na.jpg,1,{}\n",
        "a.jpg,cat\n",
        "0 0.5 0.5 0.1 0.1\n",
        '{"a": 1, "b": 2}',
        "just words",
    ],
)
def test_what_is_no_table_of_images(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    assert not CsvTables().recognises(Source(tmp_path))
