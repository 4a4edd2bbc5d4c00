import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision.transforms.functional import normalize

from lightning_tasks.__main__ import console
from lightning_tasks.errors import BackboneError
from lightning_tasks.models.backbone import Backbone
from lightning_tasks.models.heads import fastai_head, sigmoid_range
from lightning_tasks.models.optimizer import adamw
from lightning_tasks.tasks.keypoints.heads import FeatureMaps
from lightning_tasks.tasks.multilabel.attention import LastMap


def images(size, n=2):
    return torch.randint(0, 256, (n, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "size", "width"),
    [
        ("test_resnet", (64, 64), 2 * 96),  # average and maximum
        ("resnet18", (48, 64), 2 * 512),
        ("mobilenetv3_small_050", (64, 64), 2 * 512),  # two layers stand behind its pool
        ("test_convnext", (64, 64), 64),  # these pool in their own way
        ("test_vit", (160, 160), 64),
        ("test_vit", (64, 96), 64),  # built at the data's size
        ("swin_tiny_patch4_window7_224", (128, 128), 2 * 768),
    ],
)
def test_any_family_gives_pooled_features(name, size, width):
    backbone = Backbone(name, size).eval()
    features = backbone(images(size))
    assert features.shape == (2, width)
    assert backbone.num_features == width
    early, late = backbone.parameter_halves()
    together = [*early, *late]
    assert early
    assert late
    assert {id(p) for p in together} == {id(p) for p in backbone.parameters()}
    assert len(together) == len({id(p) for p in together})


def test_features_are_the_mean_and_the_maximum_of_the_map():
    backbone = Backbone("test_resnet", (64, 64)).eval()
    batch = images((64, 64))
    maps = backbone.body.forward_features((batch.float() - backbone.mean) / backbone.std)
    oracle = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)
    torch.testing.assert_close(backbone(batch), oracle)


def test_images_are_normalised_as_the_weights_expect():
    backbone = Backbone("tf_efficientnet_lite0", (64, 64))
    config = timm.get_pretrained_cfg("tf_efficientnet_lite0")
    assert config.mean == (0.5, 0.5, 0.5)  # not ImageNet's usual ones
    batch = images((64, 64))
    oracle = normalize(batch / 255, list(config.mean), list(config.std))
    torch.testing.assert_close((batch.float() - backbone.mean) / backbone.std, oracle)


def test_the_groups_of_a_resnet_are_fastais():
    backbone = Backbone("resnet18", (64, 64))
    names = {id(p): n for n, p in backbone.body.named_parameters()}
    early, late = ([names[id(p)].split(".")[0] for p in half] for half in backbone.parameter_halves())
    assert set(early) == {"conv1", "bn1", "layer1", "layer2"}
    assert set(late) == {"layer3", "layer4"}


def test_adamw_has_three_rates_and_decays_matrices_alone():
    backbone = Backbone("test_resnet", (64, 64))
    head = fastai_head(backbone.num_features, 5)
    optimizer = adamw(backbone, head, lr=1e-2, lr_mult=100, weight_decay=0.1)
    rates = {group["name"]: (group["max_lr"], group["weight_decay"]) for group in optimizer.param_groups}
    assert rates == {
        "early": (pytest.approx(1e-4), 0.1),
        "early_no_decay": (pytest.approx(1e-4), 0),
        "late": (pytest.approx(1e-3), 0.1),
        "late_no_decay": (pytest.approx(1e-3), 0),
        "head": (pytest.approx(1e-2), 0.1),
        "head_no_decay": (pytest.approx(1e-2), 0),
    }
    for group in optimizer.param_groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])
        assert group["betas"] == (0.9, 0.99)
        assert group["eps"] == 1e-5
    count = sum(len(group["params"]) for group in optimizer.param_groups)
    assert count == len([*backbone.parameters(), *head.parameters()])


def test_the_head_is_fastais():
    head = fastai_head(20, 3)
    kinds = [type(module).__name__ for module in head]
    assert kinds == ["BatchNorm1d", "Dropout", "Linear", "ReLU", "BatchNorm1d", "Dropout", "Linear"]
    assert [head[1].p, head[5].p] == [0.25, 0.5]
    assert head[2].bias is None
    assert head[6].bias is None
    assert head[2].weight.shape == (512, 20)
    # kaiming-normal: the standard deviation is sqrt(2 / fan_in)
    assert fastai_head(2000, 3)[2].weight.std().item() == pytest.approx((2 / 2000) ** 0.5, rel=0.02)


def test_sigmoid_range_is_its_formula():
    x = torch.tensor([-100.0, 0.0, 100.0])
    assert sigmoid_range(x, -1, 1).tolist() == [-1, 0, 1]
    assert sigmoid_range(torch.tensor(1.0), 2, 5).item() == pytest.approx(2 + 3 * 0.7310585786)


@pytest.fixture
def state():
    torch.manual_seed(1)
    return timm.create_model("test_resnet", num_classes=10).state_dict()


def test_weights_come_from_safetensors_and_pth(tmp_path, state):
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pth")
    torch.save({"state_dict": state}, tmp_path / "nested.pth")
    for name in ("w.safetensors", "w.pth", "nested.pth"):
        loaded = Backbone("test_resnet", (64, 64), pretrained=True, weights=str(tmp_path / name)).body.state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in state.items() if not key.startswith("fc."))


def test_weights_that_do_not_fit_are_refused(tmp_path, state):
    def load(content, name="w.pth"):
        torch.save(content, tmp_path / name)
        return Backbone("test_resnet", (64, 64), weights=str(tmp_path / name))

    with pytest.raises(BackboneError, match=r"1 parameters are missing \(conv1\.0\.weight\)"):
        load({key: value for key, value in state.items() if key != "conv1.0.weight"})
    with pytest.raises(BackboneError, match=r"1 are unknown \(extra\)"):
        load({**state, "extra": torch.zeros(1)})
    with pytest.raises(BackboneError, match="does not fit 'test_resnet': size mismatch"):
        load({**state, "conv1.0.weight": torch.zeros(1, 3, 3, 3)})
    with pytest.raises(BackboneError, match="cannot be read as weights"):
        load([print])  # a pickle that names a function
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    with pytest.raises(BackboneError, match="cannot be read as weights"):
        Backbone("test_resnet", (64, 64), weights=str(tmp_path / "w.safetensors"))
    with pytest.raises(BackboneError, match="no weights file"):
        Backbone("test_resnet", (64, 64), weights=str(tmp_path / "none.pth"))


def test_unknown_names_get_suggestions():
    with pytest.raises(BackboneError, match=r"no backbone 'resnet51'.*resnet50"):
        Backbone("resnet51", (64, 64))
    with pytest.raises(BackboneError, match=r"no weights tagged 'bogus': its tags are .*tv_in1k"):
        Backbone("resnet18.bogus", (64, 64))


def test_a_size_that_cannot_be_is_refused_with_sizes_that_work():
    with pytest.raises(BackboneError, match=r"does not take images of 100×100.*Sizes that work: .*\b128\b"):
        Backbone("maxvit_rmlp_pico_rw_256", (100, 100))


def test_a_hub_out_of_reach_names_both_ways_out(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        BackboneError, match=r"resnet18\.tv_in1k.*cannot be fetched.*--model\.weights.*--model\.pretrained false"
    ):
        Backbone("resnet18.tv_in1k", (64, 64), pretrained=True)
    with pytest.raises(BackboneError, match="no pretrained weights for 'dpn48b'"):
        Backbone("dpn48b", (64, 64), pretrained=True)


def named(state, prefix, **beside):
    return {**{f"{prefix}{key}": value for key, value in state.items()}, **beside}


AVERAGE = {"n_averaged": torch.tensor(3)}


@pytest.mark.parametrize(
    "content",
    [
        lambda state: named(state, "backbone.body."),  # of another's Lightning module
        lambda state: named(state, "model."),
        lambda state: named(state, "module."),
        lambda state: named(state, "_orig_mod."),
        lambda state: named(state, "module._orig_mod.", **AVERAGE),
        lambda state: named(state, "net.encoder.", **{"net.decoder.weight": torch.zeros(3)}),
        lambda state: {**named(state, "model."), **named({k: v + 1 for k, v in state.items()}, "raw.")},
        lambda state: {**named(state, "ema_model."), **named({k: v + 1 for k, v in state.items()}, "model.")},
        lambda state: {"epoch": 3, "model_state_dict": state, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}},
        lambda state: {"state_dict": {k: v + 1 for k, v in state.items()}, "state_dict_ema": named(state, "module.")},
        lambda state: {"state_dict": state, "current_model_state": {k: v + 1 for k, v in state.items()}},
    ],
)
def test_weights_are_found_under_whatever_stands_in_front_of_them(content, tmp_path, state):
    torch.save(content(state), tmp_path / "w.pth")
    backbone = Backbone("test_resnet", (64, 64), weights=str(tmp_path / "w.pth"))
    loaded = backbone.body.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())
    assert not backbone.told or " tensors of " in backbone.told


def test_own_checkpoints_and_exports_are_weights_with_their_normalisation(labels_run, tmp_path, monkeypatch):
    folder, ckpt = labels_run
    monkeypatch.chdir(folder)
    content = torch.load(folder / ckpt, weights_only=True)
    content["state_dict"]["backbone.mean"] = torch.full((1, 3, 1, 1), 33.0)
    torch.save(content, tmp_path / "best.ckpt")
    assert console(["export", str(tmp_path / "best.ckpt"), "--format", "safetensors"]) == 0
    (exported,) = tmp_path.glob("*.safetensors")
    body = {key: value for key, value in content["state_dict"].items() if key.startswith("backbone.body.")}
    for path in (tmp_path / "best.ckpt", exported):
        backbone = Backbone("test_resnet", (64, 64), weights=str(path))
        assert backbone.told == f"body of {path}"
        assert all(torch.equal(backbone.state_dict()[key.removeprefix("backbone.")], body[key]) for key in body)
        assert backbone.mean.unique().tolist() == [33]
        with pytest.raises(
            BackboneError, match=r"does not fit 'resnet18'.*It was made for --model\.backbone test_resnet"
        ):
            Backbone("resnet18", (64, 64), weights=str(path))


@pytest.mark.parametrize(
    "maps",
    [lambda **more: FeatureMaps("resnet18", (64, 64), **more), lambda **more: LastMap("resnet18", (64, 64), **more)],
)
def test_layers_that_a_head_leaves_out_need_not_be_in_the_file(maps, tmp_path):
    first = maps()
    settings = {"hyper_parameters": {"backbone": "resnet18", "head": "heatmap"}}
    torch.save({"state_dict": named(first.state_dict(), "backbone."), **settings}, tmp_path / "w.ckpt")
    again = maps(weights=str(tmp_path / "w.ckpt"))
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in first.state_dict().items())
    torch.save({"state_dict": timm.create_model("resnet18").state_dict()}, tmp_path / "whole.pth")
    maps(weights=str(tmp_path / "whole.pth"))
    if isinstance(first, FeatureMaps):
        with pytest.raises(BackboneError, match=r"missing \(layer4.*this backbone under a head 'heatmap'"):
            Backbone("resnet18", (64, 64), weights=str(tmp_path / "w.ckpt"))
    settings["hyper_parameters"]["max_stride"] = 8
    fine = FeatureMaps("resnet18", (64, 64), max_stride=8)
    torch.save({"state_dict": named(fine.state_dict(), "backbone."), **settings}, tmp_path / "w.ckpt")
    with pytest.raises(BackboneError, match=r"fewer of its layers: give --model\.head heatmap --model\.max_stride 8"):
        FeatureMaps("resnet18", (64, 64), max_stride=32, weights=str(tmp_path / "w.ckpt"))


def test_names_of_other_code_are_translated_behind_a_prefix_too(tmp_path, monkeypatch):
    state = timm.create_model("test_vit", num_classes=0).state_dict()

    def translated(found, model):
        return {key.replace("layers.", "blocks."): value for key, value in found.items()}

    monkeypatch.setattr("timm.models.vision_transformer.checkpoint_filter_fn", translated)
    old = {key.replace("blocks.", "layers."): value for key, value in state.items()}
    torch.save(named(old, "visual.trunk."), tmp_path / "w.pth")
    loaded = Backbone("test_vit", (160, 160), weights=str(tmp_path / "w.pth")).body
    assert torch.equal(loaded.blocks[0].attn.qkv.weight, state["blocks.0.attn.qkv.weight"])
