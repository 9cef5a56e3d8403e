"""The section ``task``: what is segmented, and the metric that decides."""

from typing import Literal

from pydantic import model_validator

from pipeline.config.section import Name, Section

Primary = Literal[
    "dice", "iou", "hd95_px", "assd_px", "hd_px", "asd_official_px", "hd95_mm", "assd_mm",
    "hc_error_mm", "hc_error_percent", "hc_published_error_mm",
    "aop_error_deg", "aop_official_error_deg", "hsd_error_px", "hsd_error_mm", "challenge_score",
]  # fmt: skip
"""The metrics that measure how good a segmentation is; ``pipeline.tasks.metrics`` says what they are."""
PAIRED = (
    "hd_px", "asd_official_px",
    "aop_error_deg", "aop_official_error_deg", "hsd_error_px", "hsd_error_mm", "challenge_score",
)  # fmt: skip
"""Of these the ones that take a symphysis and a head."""


class Task(Section):
    """structures: name → role or null, in class-index order. unions: name → structures that are scored as one.

    hausdorff: score the full Hausdorff distance of every region too; a task of symphysis and head always does.
    """

    structures: dict[Name, Literal["head", "symphysis"] | None]
    unions: dict[Name, tuple[str, ...]]
    hausdorff: bool = False
    primary: Primary

    @model_validator(mode="after")
    def _names_are_known(self):
        if not self.structures:
            raise ValueError("structures needs at least one name")
        for union, members in self.unions.items():
            if union in self.structures:
                raise ValueError(f"unions.{union} is the name of a structure too; choose another")
            if unknown := [name for name in members if name not in self.structures]:
                raise ValueError(f"unions.{union} names '{unknown[0]}', which is not among structures")
            if len(members) < 2 or len(set(members)) != len(members):
                raise ValueError(f"unions.{union} needs two or more different structures")
        roles = [role for role in self.structures.values() if role is not None]
        if twice := sorted({role for role in roles if roles.count(role) > 1}):
            raise ValueError(f"two structures have the role '{twice[0]}'; give it to one")
        if self.primary == "hd_px" and self.hausdorff:
            return self
        if self.primary in PAIRED and not {"symphysis", "head"} <= set(roles):
            other = ", or say hausdorff: true" if self.primary == "hd_px" else ""
            raise ValueError(
                f"primary '{self.primary}' takes structures with the roles symphysis and head; name both{other}"
            )
        return self
