"""Training of an age network on the one training loop, and what it then says of cases."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.learning import loop
from pipeline.learning.objective import Batch
from pipeline.learning.recipe import Recipe
from pipeline.networks.weights import load_weights, read_config, save_tensors
from pipeline.run import seeds
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch
from pipeline.tasks.gestational_age.fusion import AgeNetwork, Architecture
from pipeline.tasks.gestational_age.standardisation import Standardisation
from pipeline.tasks.gestational_age.table import Inputs

NAME = "age_network"
BETA = 0.5


@dataclass(frozen=True)
class Estimates:
    """days: float (N,). sd: predicted standard deviations in days, float (N,); None of an estimator without."""

    days: np.ndarray
    sd: np.ndarray | None


def huber_loss(mean: Tensor, target: Tensor) -> Tensor:
    """Squared up to one standard deviation of the training ages, linear beyond (Huber 1964)."""
    return functional.huber_loss(mean, target)


def gaussian_loss(mean: Tensor, log_variance: Tensor, target: Tensor, beta: float = BETA) -> Tensor:
    """Negative log-likelihood of a normal distribution (Nix & Weigend 1994), each case weighted with its variance to
    the power of ``beta``, without a gradient of the weight (Seitzer et al., ICLR 2022, arXiv 2203.09168).

    With a ``beta`` of 0, the plain likelihood, cases with a large predicted variance hardly teach the mean any more;
    with 1 the mean is taught as by a squared error.
    """
    likelihood = 0.5 * ((target - mean) ** 2 / log_variance.exp() + log_variance)
    return (likelihood * (beta * log_variance).exp().detach()).mean()


class AgeRegression:
    """The objective: cases drawn at random, the same in every run of a seed and step.

    Args:
        network: with the statistics of these cases, see :func:`take_statistics`.
        days: float (N,), known ages.
    """

    def __init__(self, network: AgeNetwork, inputs: Inputs, days: np.ndarray, beta: float = BETA):
        self.network, self.beta = network, beta
        self.radiomics, self.tokens = tensors(network.shape, inputs)
        self.days = torch.from_numpy(np.asarray(days, np.float32))

    def batch(self, step: int, count: int, generator: torch.Generator, share: slice) -> Batch:
        chosen = torch.randint(len(self.days), (count,), generator=generator)[share]
        tokens = None if self.tokens is None else self.tokens[chosen].float()
        return None if self.radiomics is None else self.radiomics[chosen], tokens, self.days[chosen]

    def loss(self, model: nn.Module, *batch: Tensor | None) -> Tensor:
        *inputs, days = batch
        target = (days - self.network.age_mean) / self.network.age_sd
        mean, log_variance = model(*inputs)
        if log_variance is None:
            return huber_loss(mean, target)
        return gaussian_loss(mean, log_variance, target, self.beta)


def fit_age_network(
    shape: Architecture,
    inputs: Inputs,
    days: np.ndarray,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    beta: float = BETA,
    scratch: Scratch | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> AgeNetwork:
    """A network trained on cases with known ages; its last weights, or their average, whatever ``recipe`` says.

    Nothing is chosen on other cases while it trains, so that validation cases are still unseen when intervals are
    calibrated on them.

    Raises:
        InputError: no case, an age that is not known, cases without what the variant reads, or as :func:`loop.train`.
    """
    if not len(inputs) or not np.isfinite(days).all():
        raise InputError("an age network is trained on cases whose age is known, and on at least one")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive(seed, "age network"))
        network = AgeNetwork(shape)
    take_statistics(network, inputs, days)
    objective = AgeRegression(network, inputs, days, beta)
    return loop.train(objective, recipe, seed=seed, device=device, scratch=scratch, on_step=on_step)


def take_statistics(network: AgeNetwork, inputs: Inputs, days: np.ndarray) -> None:
    """Fill the buffers of a network with the statistics of its training cases."""
    radiomics, tokens = tensors(network.shape, inputs)
    if radiomics is not None:
        network.radiomic.take(Standardisation.fit(radiomics.double().numpy()))
    if tokens is not None:
        network.deep.take(Standardisation.of_tokens(tokens.numpy()))
    network.age_mean.fill_(float(np.mean(days)))
    # Of cases of one age there is nothing to learn, but the mean is right.
    network.age_sd.fill_(float(np.std(days)) or 1.0)


def tensors(shape: Architecture, inputs: Inputs) -> tuple[Tensor | None, Tensor | None]:
    """What a network reads of cases: radiomics float32 [N, F] and tokens float16 [N, T, C], None where it goes without.

    Raises:
        InputError: features that the cases do not have.
    """
    radiomics, tokens = None, None
    if shape.reads_radiomics:
        radiomics = torch.from_numpy(inputs.features(shape.names).astype(np.float32))
    if shape.reads_tokens:
        found = None if inputs.tokens is None else inputs.tokens.shape[1:]
        if found != (shape.tokens, shape.channels):
            raise InputError(
                f"deep features of shape {found}; the network reads {shape.tokens} tokens of {shape.channels} "
                "channels: extract them with the encoder it was trained with"
            )
        tokens = torch.from_numpy(inputs.tokens)
    return radiomics, tokens


@torch.inference_mode()
def estimate(network: AgeNetwork, inputs: Inputs) -> Estimates:
    """Ages of cases, each by itself: beside others its last bits would depend on which they are."""
    device, found = network.age_mean.device, []
    network.eval()
    radiomics, tokens = tensors(network.shape, inputs)
    for number in range(len(inputs)):
        row = slice(number, number + 1)
        given = (None if values is None else values[row].to(device).float() for values in (radiomics, tokens))
        found.append([None if value is None else float(value) for value in network(*given)])
    mean, sd = float(network.age_mean), float(network.age_sd)
    days = np.array([mean + sd * one for one, _ in found])
    if not network.shape.heteroscedastic:
        return Estimates(days, None)
    return Estimates(days, np.array([sd * np.exp(0.5 * log_variance) for _, log_variance in found]))


def save_age_network(folder: Path, network: AgeNetwork, trained_on: dict) -> None:
    """Weights with the statistics of the training cases, and how to build the network.

    Args:
        trained_on: the cases, their digest, and the parameters, as JSON.
    """
    licence = "Apache-2.0; see the licence of the training data and of the encoder"
    about = {"architecture": network.shape.to_json(), "trained_on": trained_on, "licence": licence}
    save_tensors(folder, NAME, network.state_dict(), about)


def load_age_network(folder: Path, device: torch.device | str = "cpu") -> tuple[AgeNetwork, dict]:
    """The network in evaluation mode, and what its file says.

    Raises:
        InputError: no network there, one of another version, or weights of another architecture.
    """
    about = read_config(folder, NAME, "architecture", "trained_on")
    try:
        fields: dict[str, object] = about["architecture"]
        names: Sequence[str] = fields["names"]
        shape = Architecture(**fields | {"names": tuple(names)})
    except (KeyError, TypeError):
        raise InputError(f"{folder / NAME}.json: is of another version; fit again") from None
    with torch.random.fork_rng(devices=[]):
        network = AgeNetwork(shape)
    load_weights(folder, NAME, network)
    return network.requires_grad_(False).to(device).eval(), about
