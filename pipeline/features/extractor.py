"""Features of images, extracted once a set through torch-fidelity.

The domain extractor needs no download: Inception's features are of photographs and its weights are not always at hand,
so the bottleneck of the instrument network, trained on reserved patients of the same kind of image, is the default. It
only measures. The other extractors need weights the user has; nothing is ever fetched.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY, register_feature_extractor
from torch_fidelity.utils import create_feature_extractor, get_featuresdict_from_dataset

from pipeline.run.errors import InputError

DOMAIN, INCEPTION, DINOV2, CLIP = EXTRACTORS = ("domain", "inception", "dinov2", "clip")

DINOV2_EDGE_PX = 224
"""Published comparisons use 224 px (Stein et al. 2023), though the models were last trained at 518."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

_WHAT = {
    INCEPTION: "the file of torch-fidelity's Inception weights",
    DINOV2: "a Hugging Face folder of a Dinov2Model",
    CLIP: "a Hugging Face folder of a CLIPVisionModelWithProjection or a CLIPModel",
}


class Images(Dataset):
    """torch-fidelity's input: one uint8 tensor [3, S, S] of three equal channels per image.

    An item is opened when its turn comes and not kept, so memory does not grow with the number of images.

    Args:
        source: items in order; opened by index.
        prepare: an item → uint8 (S, S), S the same for all.
    """

    def __init__(self, source: Sequence, prepare: Callable[..., np.ndarray]):
        self.source = source
        self.prepare = prepare

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Tensor:
        grey = np.array(self.prepare(self.source[index]), order="C")
        return torch.from_numpy(grey)[None].expand(3, -1, -1)


def register_domain(features: Callable[[Tensor], Tensor]) -> None:
    """Make ``features``, float [B, 1, S, S] in [-1, 1] → float [B, D], the extractor named ``domain``."""
    _Domain.features = staticmethod(features)


def extract(name: str, images: Images, weights: Path | None, *, cuda: bool, batch: int = 32) -> Tensor:
    """Features of a set of images, float32 (N, D) on the CPU, in the order of the images.

    Args:
        name: one of ``EXTRACTORS``; ``domain`` must have been registered.
        weights: of Inception a file, of DINOv2 and CLIP a folder; not looked at for ``domain``.

    Raises:
        InputError: no images, or the weights are missing or another network's.
    """
    if not len(images):
        raise InputError(f"no images to extract the features '{name}' from; score a set that holds some")
    network = _create(name, weights, cuda)
    layer = network.get_requested_features_list()[0]
    return get_featuresdict_from_dataset(images, network, batch, cuda, True, False)[layer].float()


def _create(name: str, weights: Path | None, cuda: bool) -> FeatureExtractorBase:
    if name == DOMAIN:
        return create_feature_extractor(DOMAIN, [_Domain.LAYER], cuda=cuda, verbose=False)
    if weights is None:
        raise _refusal(name, "no path given")
    if name == INCEPTION:
        _refuse_code(weights)
        registered, layer = "inception-v3-compat", "2048"
    else:
        registered, layer = name, _Folder.LAYER
    options = {"feature_extractor_weights_path": str(weights), "verbose": False}
    try:
        return create_feature_extractor(registered, [layer], cuda=cuda, **options)
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        if name != INCEPTION:
            raise
        raise _refusal(name, f"{weights} holds another network ({_first_line(error)})") from None


def _refuse_code(path: Path) -> None:
    """torch-fidelity unpickles the file without restraint: let it see only files that hold nothing but tensors."""
    if not path.is_file():
        raise _refusal(INCEPTION, f"no file {path}")
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _refusal(INCEPTION, f"{path} is not a file of weights ({_first_line(error)})") from None


def _refusal(name: str, reason: str) -> InputError:
    return InputError(f"key 'score.extractors.{name}': {reason}; give {_WHAT[name]}, or null to do without")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


class _Extractor(FeatureExtractorBase):
    """An extractor of one layer."""

    LAYER = "features"

    @staticmethod
    def get_provided_features_list() -> tuple[str]:
        return (_Extractor.LAYER,)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return _Extractor.LAYER

    @staticmethod
    def can_be_compiled() -> bool:
        return False


class _Domain(_Extractor):
    """torch-fidelity builds extractors from their name alone, so the network is handed over on the class."""

    features: Callable[[Tensor], Tensor]

    def __init__(self, name: str, features_list: Sequence[str], **_):
        super().__init__(name, features_list)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """uint8 [B, 3, S, S], three equal channels → float [B, D]."""
        return (self.features(x[:, :1].float() / 127.5 - 1),)


class _Folder(_Extractor):
    """A network of transformers, read from a Hugging Face folder."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __init__(self, name: str, features_list: Sequence[str], feature_extractor_weights_path: str, **_):
        super().__init__(name, features_list)
        folder = Path(feature_extractor_weights_path)
        self.network, self.edge_px = self.load(folder, _read_config(name, folder))

    def load(self, folder: Path, config: dict) -> tuple[torch.nn.Module, int]:
        """The network, and the edge in pixels of the images it takes."""
        raise NotImplementedError

    def normalised(self, x: Tensor) -> Tensor:
        """uint8 [B, 3, S, S] → float [B, 3, E, E], standardised per channel."""
        size = (self.edge_px, self.edge_px)
        x = functional.interpolate(x.float(), size, mode="bicubic", align_corners=False, antialias=True)
        mean, std = (torch.tensor(values, device=x.device)[:, None, None] for values in (self.mean, self.std))
        return (x.clamp(0, 255) / 255 - mean) / std


class _Dinov2(_Folder):
    """The class token of the last layer, normalised."""

    mean, std = IMAGENET_MEAN, IMAGENET_STD

    def load(self, folder: Path, config: dict) -> tuple[torch.nn.Module, int]:
        from transformers import Dinov2Model

        if config.get("model_type") != "dinov2":
            raise _refusal(DINOV2, f"{folder} holds a model of type {config.get('model_type')!r}")
        network = _load_pretrained(DINOV2, Dinov2Model, folder)
        return network, min(network.config.image_size, DINOV2_EDGE_PX)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """uint8 [B, 3, S, S] → float [B, D]."""
        return (self.network(self.normalised(x)).pooler_output,)


class _Clip(_Folder):
    """The image's embedding in the space that CLIP shares with text, not normalised."""

    mean, std = CLIP_MEAN, CLIP_STD

    def load(self, folder: Path, config: dict) -> tuple[torch.nn.Module, int]:
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        kind = config.get("model_type")
        if kind not in ("clip", "clip_vision_model"):
            raise _refusal(CLIP, f"{folder} holds a model of type {kind!r}")
        # A CLIPModel states the width of the shared space beside the vision tower's settings, not in them.
        vision = (config.get("vision_config") or {}) if kind == "clip" else config
        width = {"projection_dim": config["projection_dim"]} if "projection_dim" in config else {}
        network = _load_pretrained(
            CLIP, CLIPVisionModelWithProjection, folder, config=CLIPVisionConfig(**(vision | width))
        )
        return network, network.config.image_size

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """uint8 [B, 3, S, S] → float [B, D]."""
        return (self.network(pixel_values=self.normalised(x)).image_embeds,)


def _read_config(name: str, folder: Path) -> dict:
    if not folder.is_dir():
        raise _refusal(name, f"no folder {folder}")
    if not any(folder.glob("*.safetensors")):
        raise _refusal(name, f"{folder} holds no model.safetensors")
    path = folder / "config.json"
    if not path.is_file():
        raise _refusal(name, f"{folder} holds no config.json")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _refusal(name, f"{path} cannot be read ({_first_line(error)})") from None
    if not isinstance(config, dict):
        raise _refusal(name, f"{path} is not a configuration")
    return config


def _load_pretrained(name: str, network: type, folder: Path, **options) -> torch.nn.Module:
    """The network in float32 with every weight from the folder: transformers would fill gaps at random."""
    try:
        with _silent():
            model, report = network.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                **options,
            )
    except Exception as error:
        raise _refusal(name, f"{folder} cannot be loaded ({_first_line(error)})") from None
    if gaps := sorted(report["missing_keys"]):
        raise _refusal(name, f"{folder} lacks {len(gaps)} weights ({gaps[0]})")
    return model


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """transformers draws progress bars and reports the weights it leaves out, such as CLIP's text tower."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


for _name, _class in ((DOMAIN, _Domain), (DINOV2, _Dinov2), (CLIP, _Clip)):
    # A reloaded module brings new classes under the names that are taken.
    if _name in FEATURE_EXTRACTORS_REGISTRY:
        FEATURE_EXTRACTORS_REGISTRY[_name] = _class
    else:
        register_feature_extractor(_name, _class)
