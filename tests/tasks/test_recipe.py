"""Which training `init` chooses, and that it is the measured one where something was measured."""

import pytest
import yaml

from lightning_tasks.devices import Machine, this_machine
from lightning_tasks.tasks import recipe as shared
from lightning_tasks.tasks.config_draft import OwnTable
from lightning_tasks.tasks.keypoints.recipe import point_recipe
from lightning_tasks.tasks.multilabel.draft import draft_any_number
from lightning_tasks.tasks.multilabel.recipe import label_recipe
from lightning_tasks.tasks.recipe import Recipe, Wishes
from lightning_tasks.tasks.values.recipe import value_recipe
from tests.conftest import CONF

H200 = Machine(16, "NVIDIA H200", 150.0, "bf16-mixed")
PASCAL, POINTING, FACES = (2_500, (256, 341)), (1_860, (288, 384)), (384, (199, 182))


def merged(*configs):
    """What configs that lie over each other say, by sections; without what says where data is."""
    found = {"model": {}, "data": {}, "trainer": {}}
    for name in configs:
        config = yaml.safe_load((CONF / name).read_text())
        for section, wanted in found.items():
            wanted.update(
                config.get(section, {}).get("init_args", config.get(section, {}) if section == "trainer" else {})
            )
    return found


def plain(recipe):
    """The same of a recipe."""
    values = {name: {key: value for key, (value, _) in getattr(recipe, name).items()} for name in ("model", "data")}
    callbacks = [
        (part.class_path, {key: value for key, (value, _) in part.settings.items()}) for part in recipe.callbacks
    ]
    return {**values, "max_epochs": recipe.trainer["max_epochs"].value, "callbacks": callbacks}


def as_pairs(callbacks):
    return [(callback["class_path"], callback.get("init_args", {})) for callback in callbacks]


@pytest.mark.parametrize(
    ("recipe", "configs"),
    [
        (label_recipe(Wishes(), *PASCAL), ["linear.yaml"]),
        (point_recipe(Wishes(), *POINTING, points=1, mirrors=True), ["keypoints.yaml", "heatmap.yaml", "heads.yaml"]),
        (point_recipe(Wishes(), *FACES, points=68, mirrors=True), ["keypoints.yaml", "heatmap.yaml", "faces.yaml"]),
    ],
    ids=["labels", "heads", "faces"],
)
def test_on_what_was_measured_it_is_what_was_measured(recipe, configs):
    wanted, found = merged(*configs), plain(recipe)
    size = wanted["data"]["size"]
    assert found["data"]["size"] in (size, [size, size])
    for section in ("model", "data"):
        for name in wanted[section].keys() - {"size", "root", "csv", "images", "normalize_by", "threshold"}:
            if name != "backbone":
                assert found[section][name] == wanted[section][name], name
    assert found["max_epochs"] == wanted["trainer"]["max_epochs"]
    assert found["callbacks"] == as_pairs(wanted["trainer"]["callbacks"])
    assert found["model"]["backbone"] == "tf_efficientnet_lite0.in1k"


def recipes(wishes, rows=300, size=(300, 400)):
    return [
        label_recipe(wishes, rows, size),
        point_recipe(wishes, rows, size, 1, mirrors=True),
        point_recipe(wishes, rows, size, 17, mirrors=False),
        value_recipe(wishes, rows, size),
    ]


@pytest.mark.parametrize("preset", ["balanced", "fast", "best", "fastai"])
@pytest.mark.parametrize("machine", [Machine(2), H200], ids=str)
def test_every_choice_says_why(preset, machine):
    for recipe in recipes(Wishes(preset, machine=machine)):
        settings = [*recipe.model.items(), *recipe.data.items()]
        settings += [item for callback in recipe.callbacks for item in callback.settings.items()]
        if preset != "fastai":
            settings += recipe.trainer.items()
        for name, (_, why) in settings:
            assert len(why) > 10, name
            assert "\n" not in why


def cost(recipe, rows):
    """Pixels that a training shows."""
    values = plain(recipe)
    size = values["data"]["size"]
    height, width = (size, size) if isinstance(size, int) else size
    epochs = values["max_epochs"] or sum(values["callbacks"][0][1][name] for name in ("epochs", "freeze_epochs"))
    return height * width * epochs * rows


@pytest.mark.parametrize("rows", [16, 300, 2_500, 20_000])
def test_presets_differ_in_time(rows):
    cheap, usual, dear = (recipes(Wishes(preset), rows) for preset in ("fast", "balanced", "best"))
    for fast, balanced, best in zip(cheap, usual, dear, strict=True):
        assert cost(fast, rows) < 0.75 * cost(balanced, rows)
        assert cost(best, rows) > 1.25 * cost(balanced, rows)


def test_fastais_is_the_chapters():
    wanted = {"backbone": "resnet18.tv_in1k", "pretrained": True}
    labels, points, _, values = recipes(Wishes("fastai"), size=(480, 640))
    for recipe, size in ((labels, 128), (points, [240, 320]), (values, 128)):
        found = plain(recipe)
        assert (found["model"], found["data"]["size"]) == (wanted, size)
        assert (found["max_epochs"], found["callbacks"]) == (5, [("OneCycle", {})])


@pytest.mark.parametrize(
    ("rows", "shown", "fewest", "epochs"),
    [(2_500, 12_500, 5, 5), (384, 4_600, 3, 12), (16, 12_500, 5, 60), (20_000, 12_500, 5, 5), (100_000, 12_500, 5, 2),
     (1_000_000, 12_500, 5, 1), (1, 12_500, 5, 60)],
)  # fmt: skip
def test_small_sets_get_steps_and_huge_ones_end(rows, shown, fewest, epochs):
    assert shared.choose_epochs(rows, shown, fewest) == epochs


def test_batches_are_smaller_for_few_images_and_larger_on_a_gpu_with_many():
    def batch(rows, machine):
        values = plain(label_recipe(Wishes(machine=machine), rows, (300, 300)))
        return values["data"]["batch_size"], values["model"]["lr"]

    assert batch(16, Machine(2))[0] == 8
    assert batch(2_500, Machine(2)) == batch(2_500, H200) == (64, 0.001)
    assert batch(100_000, Machine(2)) == (64, 0.001)
    assert batch(100_000, H200) == (256, 0.002)
    assert batch(100_000, Machine(8, "small", 8.0))[0] == 32


def test_a_gpu_gets_a_larger_backbone_unless_one_is_named():
    for recipe in recipes(Wishes(machine=H200)):
        assert recipe.model["backbone"].value == "tf_efficientnetv2_s.in21k_ft_in1k"
    for recipe in recipes(Wishes(backbone="resnet34", weights="w.pth", machine=H200)):
        assert recipe.model["backbone"].value == "resnet34"
        assert recipe.model["weights"].value == "w.pth"
        assert "pretrained" not in recipe.model


@pytest.mark.parametrize(
    ("size", "labels", "one_point", "many_points", "values"),
    [
        ((28, 28), 32, [32, 32], [32, 32], [32, 32]),
        ((100, 100), 96, [96, 96], [96, 96], [96, 96]),
        ((2_000, 500), 256, [336, 80], [320, 64], [256, 64]),
        (None, 256, [144, 192], [160, 160], [128, 128]),
    ],
)
def test_images_keep_their_shape_and_are_not_enlarged(size, labels, one_point, many_points, values):
    assert [plain(recipe)["data"]["size"] for recipe in recipes(Wishes(), 300, size)] == [
        labels, one_point, many_points, values,
    ]  # fmt: skip


def test_crops_of_long_images_may_be_small_enough_to_lie_anywhere():
    assert plain(label_recipe(Wishes(), 300, (100, 800)))["data"]["min_scale"] == 0.12  # a crop is at most 4:3


def test_points_without_maps_are_regressed():
    recipe = point_recipe(Wishes(backbone="vit_tiny_patch16_224"), 300, (480, 640), 1, mirrors=True)
    assert plain(recipe)["model"]["head"] == "regression"
    assert "max_stride" not in recipe.model


def test_predictions_are_not_mirrored_where_nobody_knows_how():
    assert plain(point_recipe(Wishes(), 300, None, 5, mirrors=False))["model"]["flip_tta"] is False


def test_this_machine_is_known():
    machine = this_machine()
    assert machine.cores >= 1
    assert (machine.gpu is None) == (machine.gpu_memory_gb == 0)
    assert Recipe().trainer["max_epochs"].value == 5


@pytest.mark.parametrize(
    ("rare", "preset", "told"), [(2, "balanced", True), (10, "balanced", False), (2, "fastai", False)]
)
def test_where_labels_are_rare_the_option_for_them_is_named(tmp_path, rare, preset, told):
    rows = [f"{i}.jpg,cat{';gnu' * (i < rare)}" for i in range(40)]
    (tmp_path / "labels.csv").write_text("\n".join(["fname,labels", *rows]) + "\n")
    own = OwnTable(tmp_path / "labels.csv", ".", ";", None, Wishes(preset=preset))
    setting = draft_any_number(own).recipe.data.get("oversample_threshold")
    assert (setting is not None) == told
    assert setting is None or (setting.value == 0 and "(the rarest: 5.00%)" in setting.why)
