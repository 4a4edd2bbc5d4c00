"""Where in an image does a label come from? Grad-CAM, by captum."""

import difflib

import torch
from timm.layers.adaptive_avgmax_pool import SelectAdaptivePool2d
from torch import Tensor, nn

from lightning_tasks.data.loading.dataset import TargetDataset, collate_targets
from lightning_tasks.errors import ConfigError, MissingLibraryError
from lightning_tasks.models.names import composed
from lightning_tasks.reports.gallery import Results, choose_rows
from lightning_tasks.reports.grid import to_arrays
from lightning_tasks.tasks.multilabel.attention import LastMap
from lightning_tasks.tasks.multilabel.classifier import MultiLabelClassifier
from lightning_tasks.tasks.multilabel.draw import draw_heat
from lightning_tasks.tasks.multilabel.predictions import LabelPredictions
from lightning_tasks.tasks.multilabel.scores import label_losses
from lightning_tasks.tasks.split_predictions import evaluating


class GradCam:
    """The parts of images that speak for a label, by the last map of features that the backbone pools.

    Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017.

    Args:
        model: a classifier with a convolutional backbone; it is left as it was.
        label: one of its labels.

    Raises:
        ConfigError: the model has no such label, or no map of features.
        MissingLibraryError: captum is not installed.
    """

    def __init__(self, model: MultiLabelClassifier, label: str) -> None:
        known = composed(model.vocab)
        (label,) = composed([label])
        if label not in known:
            close = difflib.get_close_matches(label, model.vocab, n=3) or model.vocab
            raise ConfigError(f"The model knows no label {label!r} (--grad_cam). Did you mean {', '.join(close)}?")
        try:
            from captum.attr import LayerAttribution, LayerGradCam
        except ImportError as error:
            raise MissingLibraryError("Grad-CAM needs captum: pip install 'lightning-tasks[explain]'") from error
        self.label = label
        self.column = known.index(label)
        self._model = model
        self._captum = LayerGradCam(model, _pooled_layer(model))
        self._enlarged = LayerAttribution.interpolate

    def __call__(self, images: Tensor) -> Tensor:
        """Return the heat (B, H, W), 0 or more, of (B, 3, H, W) RGB from 0 to 255; both on any device."""
        with evaluating(self._model), torch.enable_grad():
            # With an input that needs a gradient the maps have one, whatever is frozen.
            inputs = images.to(self._model.device, torch.float32).requires_grad_()
            maps = self._captum.attribute(inputs, target=self.column, relu_attributions=True)
        heat: Tensor = self._enlarged(maps, images.shape[-2:], "bilinear")
        return heat[:, 0].detach().to(images.device)

    def draw(self, found: LabelPredictions, dataset: TargetDataset, n: int, worst: bool) -> Results:
        """Draw the heat on the images as the model sees them: where the label is most probable, or its loss highest."""
        probabilities, targets = found.probabilities[:, self.column], found.targets[:, self.column]
        losses = label_losses(probabilities[:, None], targets[:, None])
        rows = choose_rows(losses if worst else probabilities, n, worst=True)
        images = collate_targets([dataset[int(row)] for row in found.rows[rows]]).images
        values = tuple(losses[rows].tolist())
        figure = draw_heat(
            to_arrays(images), self(images), self.label, targets[rows], probabilities[rows], values if worst else ()
        )
        return Results(figure, tuple(found.paths[row] for row in rows), values)


@torch.no_grad()
def _pooled_layer(model: MultiLabelClassifier) -> nn.Module:
    """Return the last layer whose output goes into timm's pooling, or to a head that takes the map itself."""
    outputs: list[tuple[nn.Module, Tensor]] = []
    pooled: list[tuple[Tensor, Tensor]] = []
    hooks = [
        module.register_forward_hook(lambda _, inputs, output: pooled.append((inputs[0], output)))
        if isinstance(module, SelectAdaptivePool2d)
        else module.register_forward_hook(lambda layer, _, output: outputs.append((layer, output)))
        for module in model.backbone.body.modules()
    ]
    if isinstance(model.backbone, LastMap):
        hooks.append(model.backbone.register_forward_hook(lambda *call: pooled.append((call[-1], call[-1]))))
    try:
        with evaluating(model):
            model(torch.zeros(1, 3, *model.hparams["image_size"], device=model.device))
    finally:
        for hook in hooks:
            hook.remove()
    layers = [layer for layer, output in outputs if pooled and output is pooled[-1][0]]
    maps, features = pooled[-1] if layers else (torch.empty(0),) * 2
    # Is it (B, C, h, w), pooled to C features or to 2·C, of average and maximum? Swin's is (B, h, w, C).
    if maps.ndim != 4 or features.shape[1] not in (maps.shape[1], 2 * maps.shape[1]):
        raise ConfigError(
            f"Grad-CAM needs the map of features that a convolutional backbone pools; {model.hparams['backbone']!r} "
            "has none. Train with a convolutional one (--model.backbone), such as resnet50.tv_in1k."
        )
    return layers[-1]
