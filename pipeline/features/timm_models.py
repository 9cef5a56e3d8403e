"""Features of image classifiers of timm: EfficientNet-Lite0 of the pinned package, and any with the user's weights.

The features are what stands before the classifier, as they come: nothing is standardised.
"""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from pipeline.features.extraction import Extractor, photograph_extractor, refusal
from pipeline.networks.given_weights import open_weights
from pipeline.networks.lite0 import lite0
from pipeline.networks.weights import differences
from pipeline.run.errors import InputError

LITE0_EDGE_PX = 224
_GREY = (0.5, 0.5, 0.5)
_REMEDY = "a name that timm lists and a file of its weights"


def open_lite0(device) -> Extractor:
    """1280 values of EfficientNet-Lite0, trained on ImageNet (:mod:`pipeline.networks.lite0`), at 224 px.

    Raises:
        InputError: the package of its weights is not installed.
    """
    network = lite0().to(device)
    return photograph_extractor(_pooled(network), (LITE0_EDGE_PX, LITE0_EDGE_PX), _GREY, _GREY, device)


def open_timm(model: str, weights: Path, device) -> Extractor:
    """A model of timm, at the size and with the normalisation of its own ``pretrained_cfg``.

    Args:
        model: timm's name. weights: a file of a state dict with timm's names; a classifier in it is left out.

    Raises:
        InputError: no such model, no such file, or the tensors of another architecture.
    """
    network = timm_network(model, weights).to(device)
    about = network.pretrained_cfg
    size = tuple(about["input_size"][1:])
    return photograph_extractor(_pooled(network), size, about["mean"], about["std"], device)


def timm_network(model: str, weights: Path, **key: str) -> nn.Module:
    """A model of timm without its classifier, in evaluation mode; it takes three channels.

    Args:
        model, weights: see :func:`open_timm`.
        key: ``section`` and ``otherwise`` of :func:`pipeline.features.extraction.refusal`, where the key ``timm`` of
            the parameters stands in another section than ``score.extractors``.

    Raises:
        InputError: as :func:`open_timm`.
    """
    refused = partial(refusal, **key)
    network = _built(model, refused)
    if (channels := network.pretrained_cfg["input_size"][0]) != 3:
        raise refused("timm.model", f"'{model}' takes {channels} channels, not 3", _REMEDY)
    _load(network, model, weights, refused)
    return network.eval()


def _pooled(network: nn.Module):
    def features(pixels: Tensor) -> Tensor:
        return network.forward_head(network.forward_features(pixels), pre_logits=True)

    return features


def _built(model: str, refused: Callable[..., InputError]) -> nn.Module:
    """The model without its classifier, with random weights."""
    import timm

    # timm would look up names with a colon on the Hub, or in a folder.
    if ":" in model or not timm.is_model(model):
        near = get_close_matches(model, timm.list_models(), n=3)
        raise refused("timm.model", f"timm has no model '{model}'", f"a name that it lists{_such_as(near)}")
    try:
        return timm.create_model(model, pretrained=False, num_classes=0)
    except Exception as error:  # a tag that does not exist, and whatever a model finds wrong
        tags = timm.list_pretrained(f"{model.split('.')[0]}.*")[:3]
        raise refused("timm.model", f"'{model}' cannot be built", f"another name{_such_as(tags)}", error) from None


def _such_as(names: Sequence[str]) -> str:
    return f", such as {', '.join(names)}" if names else ""


def _load(network: nn.Module, model: str, weights: Path, refused: Callable[..., InputError]) -> None:
    known = network.state_dict()
    needed = {name for name in known if not name.endswith("num_batches_tracked")}
    stems = {name.split(".")[0] for name in known}
    heads = network.pretrained_cfg.get("classifier") or ()
    heads = tuple(f"{head}." for head in ([heads] if isinstance(heads, str) else heads))

    def own(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """What is the network's by its name: a deeper one of the same family has more of them."""
        return {
            name: value
            for name, value in state.items()
            if name in known or (name.split(".")[0] in stems and not name.startswith(heads))
        }

    def faults(state: dict[str, Tensor]) -> list[str]:
        found = own(state)
        return differences(found, {name: value for name, value in known.items() if name in needed | found.keys()})

    remedy = str(refused("timm", "", f"the file of a '{model}' as weights"))
    state = open_weights(weights, needed, faults, remedy)
    network.load_state_dict(own(state), strict=False)
