"""Networks that estimate age from radiomics, from deep tokens, or from both.

After Wang et al., "Fusing Radiomic Features with Deep Representations for Gestational Age Estimation in Fetal
Ultrasound Images" (MICCAI 2025, arXiv 2506.20407): a trained encoder, frozen radiomics, cross-attention between them,
an MLP. Their released code holds no attention between the two, so the form here is this project's: radiomics ask, deep
features answer.

**One key.** An attention is a weighted mean of the values, with weights that a softmax makes of the scores of the keys.
Over one key, such as a pooled deep vector, the softmax is 1 whatever the query: the radiomics cannot matter, and their
gradient is exactly zero. So the keys here are a grid of tokens, and the queries are added to what they fetch
(``residual``). The variant ``single_key`` shows the argument: one key, no residual.
"""

from dataclasses import asdict, dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from pipeline.run.errors import InputError
from pipeline.tasks.gestational_age.standardisation import LIMIT, Standardisation
from pipeline.tasks.gestational_age.table import groups_of

Variant = Literal["fusion", "single_key", "concatenation", "deep", "radiomics"]
LOG_VARIANCE_LIMIT = 8.0
"""Of ages in standard deviations of the training ages: a spread between 1/50 of that and 50 times as much."""


@dataclass(frozen=True)
class Architecture:
    """How to build a network.

    variant: ``fusion``, radiomics as queries over deep tokens; ``single_key``, over their mean; ``concatenation``,
    radiomics beside the mean token; ``deep`` and ``radiomics``, one of them alone.
    names: of the radiomics columns, without it for ``deep``. tokens, channels: of the deep features, 0 for
    ``radiomics``. width, heads: of the attention. hidden: units of the MLP. heteroscedastic: a spread for every case.
    """

    variant: Variant
    names: tuple[str, ...] = ()
    tokens: int = 0
    channels: int = 0
    width: int = 32
    heads: int = 4
    hidden: int = 64
    dropout: float = 0.1
    heteroscedastic: bool = False

    def __post_init__(self):
        if self.variant not in get_args(Variant):
            raise InputError(f"no variant '{self.variant}'; choose one of {', '.join(get_args(Variant))}")
        if self.reads_radiomics != bool(self.names):
            raise InputError(f"variant '{self.variant}' and {len(self.names)} radiomics features do not fit together")
        if not self.reads_tokens == bool(self.tokens) == bool(self.channels):
            raise InputError(
                f"variant '{self.variant}' and {self.tokens} deep tokens of {self.channels} channels do not fit "
                "together; extract deep features, or choose 'radiomics'"
            )
        if self.width % self.heads:
            raise InputError(f"a width of {self.width} is no multiple of {self.heads} heads")

    @property
    def reads_radiomics(self) -> bool:
        return self.variant != "deep"

    @property
    def reads_tokens(self) -> bool:
        return self.variant != "radiomics"

    def to_json(self) -> dict:
        return asdict(self) | {"names": list(self.names)}


class Standardised(nn.Module):
    """:class:`Standardisation` in a network: float [..., F], nan where missing → features and indicators [..., 2, F].

    Its statistics are buffers, which travel with the weights.
    """

    def __init__(self, features: int):
        super().__init__()
        for name in ("median", "mean", "scale", "gaps"):
            self.register_buffer(name, torch.zeros(features))

    def take(self, statistics: Standardisation) -> None:
        sd = torch.from_numpy(statistics.sd)
        values = {name: torch.from_numpy(value) for name, value in statistics.arrays().items()}
        values["scale"] = torch.where(sd > 0, 1 / sd.clamp(min=1e-300), 0)
        for name in ("median", "mean", "scale", "gaps"):
            getattr(self, name).copy_(values[name])

    def forward(self, values: Tensor) -> Tensor:
        missing = ~values.isfinite()
        filled = torch.where(missing, self.median, values)
        return torch.stack([self.scaled(filled), missing * self.gaps], dim=-2)

    def scaled(self, values: Tensor) -> Tensor:
        """float [..., F] → [..., F] of features of which none is missing."""
        return ((values - self.mean) * self.scale).clamp(-LIMIT, LIMIT)


class CrossAttention(nn.Module):
    """One query for each feature class over deep tokens: float [B, 2, F] and [B, T, C] → [B, G, width].

    Args:
        residual: whether the queries are added to what they fetch.
    """

    def __init__(self, shape: Architecture, tokens: int, residual: bool):
        super().__init__()
        self.residual = residual
        groups = groups_of(shape.names)
        self.columns = tuple(groups.values())
        self.queries = nn.ModuleList(nn.Linear(2 * len(columns), shape.width) for columns in self.columns)
        self.keys = nn.Linear(shape.channels, shape.width)
        self.places = nn.Parameter(0.02 * torch.randn(tokens, shape.width))
        self.query_norm, self.key_norm, self.norm = (nn.LayerNorm(shape.width) for _ in range(3))
        self.attention = nn.MultiheadAttention(shape.width, shape.heads, dropout=shape.dropout, batch_first=True)
        self.mix = nn.Sequential(nn.Linear(shape.width, shape.hidden), nn.GELU(), nn.Linear(shape.hidden, shape.width))

    def forward(self, radiomics: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The fused queries, and the weights of the tokens, float [B, G, T], the mean over heads."""
        asked = torch.stack(
            [
                query(radiomics[..., columns].flatten(1))
                for query, columns in zip(self.queries, self.columns, strict=True)
            ],
            dim=1,
        )
        keys = self.key_norm(self.keys(tokens) + self.places)
        # With its weights the attention takes a plain softmax, whose gradient for one key is zero to the last bit.
        fetched, weights = self.attention(self.query_norm(asked), keys, keys, need_weights=True)
        fused = asked + fetched if self.residual else fetched
        return fused + self.mix(self.norm(fused)), weights


class AgeNetwork(nn.Module):
    """Radiomics and deep tokens → age, in standard deviations of the training ages.

    It standardises its inputs itself, with statistics of the training cases that it keeps. Random weights come from
    torch's global generator.
    """

    def __init__(self, shape: Architecture):
        super().__init__()
        self.shape = shape
        for name in ("age_mean", "age_sd"):
            self.register_buffer(name, torch.ones(()))
        inputs = 0
        if shape.reads_radiomics:
            self.radiomic = Standardised(len(shape.names))
        if shape.reads_tokens:
            self.deep = Standardised(shape.channels)
        if shape.variant in ("fusion", "single_key"):
            many = shape.variant == "fusion"
            self.cross = CrossAttention(shape, shape.tokens if many else 1, residual=many)
            inputs = shape.width
        if shape.variant in ("concatenation", "radiomics"):
            self.from_radiomics = nn.Linear(2 * len(shape.names), shape.width)
            inputs += shape.width
        if shape.variant in ("concatenation", "deep"):
            self.from_tokens = nn.Linear(shape.channels, shape.width)
            inputs += shape.width
        self.head = nn.Sequential(
            nn.LayerNorm(inputs),
            nn.Linear(inputs, shape.hidden),
            nn.GELU(),
            nn.Dropout(shape.dropout),
            nn.Linear(shape.hidden, 2 if shape.heteroscedastic else 1),
        )

    def forward(self, radiomics: Tensor | None, tokens: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Mean float [B] and log variance float [B], None of a network without a spread of its own.

        Args:
            radiomics: float [B, F], nan where missing; None for ``deep``. tokens: float [B, T, C]; None for
                ``radiomics``.
        """
        found = self.head(self._joined(radiomics, tokens))
        if not self.shape.heteroscedastic:
            return found[:, 0], None
        # Bounded smoothly: a clipped variance would have no gradient to come back by.
        return found[:, 0], LOG_VARIANCE_LIMIT * torch.tanh(found[:, 1] / LOG_VARIANCE_LIMIT)

    def attention(self, radiomics: Tensor, tokens: Tensor) -> Tensor:
        """Weights of the tokens for each feature class, float [B, G, T], of a network with an attention."""
        return self._crossed(radiomics, tokens)[1]

    def _joined(self, radiomics: Tensor | None, tokens: Tensor | None) -> Tensor:
        if hasattr(self, "cross"):
            return self._crossed(radiomics, tokens)[0].mean(dim=1)
        parts = []
        if self.shape.reads_radiomics:
            parts.append(self.from_radiomics(self.radiomic(radiomics).flatten(1)))
        if self.shape.reads_tokens:
            parts.append(self.from_tokens(self.deep.scaled(tokens).mean(dim=1)))
        return torch.cat(parts, dim=1)

    def _crossed(self, radiomics: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.deep.scaled(tokens)
        if self.shape.variant == "single_key":
            tokens = tokens.mean(dim=1, keepdim=True)
        return self.cross(self.radiomic(radiomics), tokens)
