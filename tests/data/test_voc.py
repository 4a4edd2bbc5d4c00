"""VOC's own tree, held against the lists that it has for each class."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tasks import PascalDataModule
from lightning_tasks.errors import ConfigError, DatasetNotFoundError, TableError
from lightning_tasks.tasks.multilabel.voc import CLASSES, read_annotation, read_voc
from lightning_tasks.verbs.check import check
from tests.fakes import write_voc, write_voc_annotation
from tests.test_fuzz import CHANGES, CONTENT, cases, only_our_own

SETS = {
    "train": {
        "000012": [("car", False), ("car", True)],
        "000017": [("person", False), ("horse", False)],
        "000023": [("person", True)],
        "000026": [("car", False), ("horse", True)],
    },
    "val": {"000005": [("car", False), ("person", True)], "000007": [("horse", False)], "000024": []},
    "test": {"000001": [("person", False)], "000002": [("car", True)]},
}


@pytest.fixture
def tree(tmp_path):
    tree = tmp_path / "VOCdevkit" / "VOC2007"
    write_voc(tree, SETS)
    return tree


def values_of_lists(main, image_set):
    """What the classes' own lists say: {(image, class): 1, 0 or −1}."""
    found = {}
    for path in main.glob(f"*_{image_set}.txt"):
        for line in path.read_text().splitlines():
            image, value = line.split()
            found[image, path.name.removesuffix(f"_{image_set}.txt")] = int(value)
    return found


def values_of_rows(table):
    """The same of a table, of every class."""
    return {
        (fname.removesuffix(".jpg"), name): 1 if name in labels else 0 if name in difficult else -1
        for fname, labels, difficult in zip(table["fname"], table["labels"], table["difficult"], strict=True)
        for name in CLASSES
    }


OBJECTS = st.lists(st.tuples(st.sampled_from(CLASSES[:4]), st.booleans()), max_size=5)


@cases(20)
@given(images=st.dictionaries(st.from_regex(r"[0-9]{6}", fullmatch=True), OBJECTS, min_size=1, max_size=4))
def test_rows_say_what_the_classes_lists_say(images):
    with tempfile.TemporaryDirectory() as folder:
        main = Path(folder) / "ImageSets" / "Main"
        write_voc(Path(folder), {"train": images})
        rows, lists = values_of_rows(read_voc(main / "train.txt")), values_of_lists(main, "train")
    assert all(rows[cell] == value for cell, value in lists.items())
    assert {cell for cell, value in rows.items() if value != -1} <= set(lists)
    assert len(rows) == 20 * len(images)


def test_a_row_for_each_image_in_the_lists_order(tree):
    table = read_voc(tree / "ImageSets" / "Main" / "trainval.txt")
    assert table.to_dict("list") == {
        "fname": [f"{name}.jpg" for name in ("000005", "000007", "000012", "000017", "000023", "000024", "000026")],
        "labels": [("car",), ("horse",), ("car",), ("horse", "person"), (), (), ("car",)],
        "difficult": [("person",), (), (), (), ("person",), (), ("horse",)],
        "is_valid": [True, True, False, False, False, True, False],
    }
    assert "is_valid" not in read_voc(tree / "ImageSets" / "Main" / "train.txt").columns


@pytest.mark.parametrize("place", [".", "VOCdevkit", "VOCdevkit/VOC2007"])
def test_root_may_be_any_of_three_folders(tree, tmp_path, place):
    data = PascalDataModule(str(tmp_path / place), num_workers=0, batch_size=8, size=16)
    data.setup("fit")
    assert data.vocab == ["car", "horse", "person"]
    assert next(iter(data.val_dataloader())).targets.tolist() == [[1, 0, -1], [0, 1, 0], [0, 0, 0]]
    assert data.train_set.targets.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, -1], [1, -1, 0]]
    data.setup("test")
    assert next(iter(data.test_dataloader())).targets.tolist() == [[0, 0, 1], [-1, 0, 0]]
    said = data.describe()
    assert "7 images, 4 training, 3 validation" in said
    assert "3 difficult ones count as ignored" in said
    assert "test.txt: 2 images for testing" in said


def test_difficult_objects_may_count_as_absent(tree):
    data = PascalDataModule(str(tree), difficult="negative")
    data.setup("fit")
    assert data.valid_set.targets.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_both_layouts_give_the_same_targets(tree, tmp_path):
    """A csv with a column `difficult` beside the same images says what the tree says."""
    fastai = tmp_path / "fastai"
    shutil.copytree(tree / "JPEGImages", fastai / "train")
    table = read_voc(tree / "ImageSets" / "Main" / "trainval.txt")
    for column in ("labels", "difficult"):
        table[column] = table[column].map(" ".join)
    table.to_csv(fastai / "train.csv", index=False)
    of_csv, of_tree = PascalDataModule(str(fastai)), PascalDataModule(str(tree))
    for data in (of_csv, of_tree):
        data.setup("fit")
    assert of_csv.vocab == of_tree.vocab
    for split in ("train_set", "valid_set"):
        ours, theirs = getattr(of_csv, split), getattr(of_tree, split)
        np.testing.assert_array_equal(ours.targets, theirs.targets)
        assert [path.name for path in ours.paths] == [path.name for path in theirs.paths]


def test_what_is_named_goes_before_what_is_found(tree):
    (tree / "mine.csv").write_text("fname,labels,is_valid\n000012.jpg,mine,False\n000005.jpg,mine,True\n")
    mine = PascalDataModule(str(tree), csv="mine.csv", images="JPEGImages", test_csv=None)
    mine.setup("fit")
    assert (mine.vocab, len(mine.valid_set)) == (["mine"], 1)
    with pytest.raises(DatasetNotFoundError, match=r"no table .*none\.csv"):
        PascalDataModule(str(tree), csv="none.csv").setup("fit")

    train_alone = PascalDataModule(str(tree), csv="ImageSets/Main/train.txt", vocab=["car", "horse", "person"])
    assert len(train_alone.table) == 4
    train_alone.setup("validate")
    assert train_alone.valid_set.paths[0].parent == tree / "JPEGImages"

    other = PascalDataModule(str(tree), test_csv="mine.csv", test_images="JPEGImages", vocab=["car", "mine"])
    other._make_sets("test")
    assert other.test_set.targets.tolist() == [[0, 1], [0, 1]]
    with pytest.raises(ConfigError, match="no test table"):
        PascalDataModule(str(tree), test_csv=None).setup("test")
    with pytest.raises(DatasetNotFoundError, match=r"row 1, .*no image .*smaller/000005\.jpg\. 6 more"):
        PascalDataModule(str(tree), images="smaller").setup("fit")

    shutil.move(tree / "mine.csv", tree / "train.csv")  # fastai's layout, with a tree beside it
    shutil.copytree(tree / "JPEGImages", tree / "train")
    assert PascalDataModule(str(tree)).vocab == ["mine"]


def test_a_tree_that_comes_after_the_module_is_found(tmp_path):
    data = PascalDataModule(str(tmp_path))
    write_voc(tmp_path / "VOC2007", SETS)
    data.setup("fit")
    assert len(data.train_set) == 4


BOMB = "<!DOCTYPE b [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation>\n<object>\n</annotation>", r"not an annotation in XML \(mismatched tag: line 3, column 2\)"),
        ("", "not an annotation in XML"),
        ("<html/>", "row 1: XML of <html>, not of <annotation>"),
        (f"{BOMB}]><annotation><object><name>&j;</name></object></annotation>", r"XML \(a document type"),
        ("<!DOCTYPE a [<!ENTITY x SYSTEM '/etc/hostname'>]><annotation>&x;</annotation>", r"XML \(a document type"),
        ("<!DOCTYPE a SYSTEM 'a.dtd'><annotation/>", r"XML \(a document type"),
        ("<annotation>&x;</annotation>", "undefined entity"),
        ("<?xml version='1.0' encoding='klingon'?><annotation/>", "unknown encoding"),
        (f"<annotation>{' ' * 2**20}</annotation>", "more than 1,048,576 bytes"),
        ("<annotation><object><name>kat</name></object></annotation>", "object 1: 'kat' is none .* mean 'cat'"),
        ("<annotation><object><part><name>cat</name></part></object></annotation>", "object 1: '' is none of"),
        (
            "<annotation><object><name>cat</name></object><object><name>dog</name><difficult>2</difficult></object>"
            "</annotation>",
            "object 2: difficult is '2'",
        ),
    ],
)
def test_a_broken_annotation_is_named(tree, content, message):
    path = tree / "Annotations" / "000007.xml"
    path.write_text(content)
    with pytest.raises(TableError, match=message) as caught:
        PascalDataModule(str(tree)).setup("fit")
    assert str(caught.value).startswith(f"{path}: ")


def test_an_annotation_without_difficult_has_none(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("<annotation><object><name> cat\n</name></object></annotation>")
    assert read_annotation(path) == (("cat",), ())


def test_what_is_missing_is_named(tree):
    (tree / "JPEGImages" / "000012.jpg").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"trainval\.txt: row 3, column 'fname': there is no image .*0012"):
        PascalDataModule(str(tree)).setup("fit")
    (tree / "Annotations" / "000017.xml").unlink()
    with pytest.raises(TableError, match=r"Annotations/000017\.xml: there is no annotation"):
        PascalDataModule(str(tree)).setup("fit")
    for name in ("test", "val", "trainval"):
        (tree / "ImageSets" / "Main" / f"{name}.txt").unlink()
        write_voc_annotation(tree / "Annotations" / "000017.xml", [])
        with pytest.raises(DatasetNotFoundError, match=rf"no image set .*Main/{name}\.txt"):
            PascalDataModule(str(tree)).setup("test" if name == "test" else "fit")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("trainval", "000005\n000012 -1\n", r"trainval\.txt: row 2: '000012 -1' is not one image's name"),
        ("trainval", "000005\n\n000012\n", r"trainval\.txt: row 2: ''"),
        ("trainval", "", r"trainval\.txt: row 1: ''"),
        ("trainval", "../../secret\n", r"row 1: '../../secret' is not one"),
        ("trainval", "\udcff", "cannot be read as text"),
        ("val", "000005\n000001\n", r"val\.txt: row 2: '000001' is not in trainval\.txt"),
    ],
)
def test_a_broken_list_is_named(tree, name, content, message):
    path = tree / "ImageSets" / "Main" / f"{name}.txt"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(TableError, match=message):
        PascalDataModule(str(tree)).setup("fit")


def test_a_class_that_no_training_image_has_is_told_with_its_row(tree):
    write_voc_annotation(tree / "Annotations" / "000007.xml", [("sheep", False)])
    with pytest.raises(TableError, match=r"trainval\.txt: row 2, column 'labels': the label 'sheep'"):
        PascalDataModule(str(tree)).setup("fit")


def test_all_that_is_wrong_is_found_at_once(tree):
    main, annotations = tree / "ImageSets" / "Main", tree / "Annotations"
    (annotations / "000007.xml").write_text("<annotation>")
    write_voc_annotation(annotations / "000017.xml", [("unicorn", False)])
    (annotations / "000024.xml").unlink()
    (tree / "JPEGImages" / "000026.jpg").write_bytes(b"")
    with (main / "trainval.txt").open("a") as file:
        file.write("a\0b\n000012\n")
    problems = check(PascalDataModule(str(tree)), min_positives=0, max_distance=0)
    assert [(problem.kind, problem.row) for problem in problems if problem.kind != "label"] == [
        ("cell", 1), ("cell", 3), ("cell", 5), ("cell", 7), ("image", 6), ("image", 7), ("duplicate", 8),
    ]  # fmt: skip
    messages = [problem.message for problem in problems]
    assert "row 9: 000012.jpg stands in row 3 already, and counts twice" in next(m for m in messages if "twice" in m)
    assert messages[4].startswith(f"{main / 'trainval.txt'}: row 7: {tree / 'JPEGImages' / '000026.jpg'}: is empty")


# What breaks readers of XML: ends and beginnings out of order, entities, encodings, names of other files.
PIECES = [
    "<annotation>", "</annotation>", "<object>", "</object>", "<name>", "</name>", "<difficult>", "</difficult>", "cat",
    "dog", "0", "1", "<object/>", "<!DOCTYPE a [", "<!ENTITY a 'b'>", "<!ENTITY % p SYSTEM 'x'>", "]>", "&a;", "%p;",
    "&amp;", "&#0;", "&#x110000;", "<![CDATA[", "]]>", "<!--", "-->", "<?xml version='1.0' encoding='", "'?>", "utf-16",
    "utf-7", "idna", "rot13", "latin-1", "xmlns:a='b'", "<a:b ", ">", "<", "\0", "\ufeff", "é",
]  # fmt: skip
XML = st.one_of(
    CONTENT,
    st.lists(st.sampled_from(PIECES), max_size=30).map(lambda pieces: "".join(pieces).encode()),
    st.tuples(*[st.lists(st.sampled_from(PIECES), max_size=6).map("".join)] * 2).map(
        lambda parts: f"{parts[0]}<annotation><object>{parts[1]}</object></annotation>".encode()
    ),
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    tree = tmp_path_factory.mktemp("voc")
    write_voc(tree, SETS)
    return tree, (tree / "Annotations" / "000012.xml").read_bytes()


@cases(400)
@given(content=XML)
def test_whatever_an_annotation_holds_only_our_own_errors_come_out(fuzzed, content):
    path = fuzzed[0] / "file"
    path.write_bytes(content)
    only_our_own(read_annotation, path)


@cases(150)
@given(changes=CHANGES, keep=st.integers(0, 2000))
def test_or_is_made_of_one(fuzzed, changes, keep):
    tree, good = fuzzed
    content = bytearray(good[:keep])
    for at, value in changes:
        content[at % max(1, len(content)) : at % max(1, len(content)) + 1] = bytes([value])
    (tree / "file").write_bytes(content)
    only_our_own(read_annotation, tree / "file")


NAMES = st.lists(st.sampled_from(["000005", "000012", "\n", "\n", "..", "/", ".xml", "\0", " ", "x" * 300]), max_size=9)


@cases(80)
@given(trainval=st.one_of(NAMES.map("".join).map(str.encode), CONTENT), val=NAMES.map("".join).map(str.encode))
def test_whatever_the_lists_hold_only_our_own_errors_come_out(fuzzed, trainval, val):
    tree = fuzzed[0]
    for name, content in (("trainval", trainval), ("val", val)):
        (tree / "ImageSets" / "Main" / f"{name}.txt").write_bytes(content)
    data = PascalDataModule(str(tree), cache="none", num_workers=0, size=16)
    only_our_own(data.setup, "fit")
    only_our_own(check, data)


def test_deep_and_wide_annotations_end(tmp_path):
    path = tmp_path / "a.xml"
    deep = 70_000
    path.write_text(f"<annotation>{'<part>' * deep}{'</part>' * deep}</annotation>")
    assert read_annotation(path) == ((), ())
