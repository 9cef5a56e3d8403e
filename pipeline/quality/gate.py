"""Stop a synthetic set that is not fit to be trained on, with a reason a person can act on."""

from collections.abc import Sequence

from pipeline.config.quality import Gate
from pipeline.quality.measures import Measure, find

KEY_MEASURES = {"fidelity": ("kid", "radiomics"), "coverage": ("recall", "coverage"), "obedience": ("dice",)}
"""Those whose position between the best and the far end answers a question, in domain features where they have a view
of an extractor."""
OTHER_EXTRACTORS = ("inception", "dinov2", "clip")

REMEDIES = {
    "fidelity": "train the diffusion model longer, or raise gate.fidelity",
    "coverage": "sample masks from more sources or lower sample.guidance, or raise gate.coverage",
    "imprint": "look at preview.png; train longer or lower sample.guidance, or raise gate.imprint",
    "obedience": "the generator does not follow its masks: train it longer or raise sample.guidance, or raise "
    "gate.obedience",
    "copies": "data/scores names them and what they copy: train for fewer steps or with more images, or raise "
    "gate.copies",
    "membership": "train for fewer steps or with more images, or raise gate.membership",
}


def key_measures(measures: Sequence[Measure], question: str) -> list[Measure]:
    """The measures that a question's answer rests on, those of them that have a position."""
    chosen = [one for name in KEY_MEASURES[question] for one in find(measures, name)]
    return [one for one in chosen if one.view not in OTHER_EXTRACTORS and one.position is not None]


def broken_limits(measures: Sequence[Measure], limits: Gate) -> list[str]:
    """One sentence for every limit that is broken, with the number, the limit and a remedy."""
    reasons = []
    for question in KEY_MEASURES:
        limit = getattr(limits, question)
        for one in key_measures(measures, question) if limit is not None else ():
            if one.position > limit:
                view = f" of '{one.view}'" if question == "obedience" else ""
                reasons.append(
                    f"{one.title}{view} is {one.value:.3g}, {one.position:.2f} of the way from {one.best_is} "
                    f"({one.best:.3g}) to {one.worst_is} ({one.worst:.3g}); gate.{question} allows {limit:g}: "
                    f"{REMEDIES[question]}"
                )
    for name in ("imprint", "copies", "membership"):
        limit = getattr(limits, name)
        for one in find(measures, name) if limit is not None else ():
            value = one.value - one.best if name == "imprint" else one.value
            if value > limit:
                reasons.append(f"{_in_words(one)}; gate.{name} allows {limit:g}: {REMEDIES[name]}")
    return reasons


def _in_words(one: Measure) -> str:
    if one.name == "membership":
        return f"a membership-inference attack reaches an AUC of {one.value:.3f}"
    count = round(one.value * one.n)
    what = {"copies": "copies of training images", "imprint": "imprinted with a rim along their mask"}[one.name]
    beside = f" ({one.best:.1%} of real images are taken for such)" if one.best else ""
    return f"{count} of {one.n} images are {what}{beside}"
