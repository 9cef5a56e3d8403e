"""What has to agree between the sections of ``params.yaml``."""

from collections import Counter
from collections.abc import Iterator

from pipeline.config.canvas import spelt
from pipeline.config.diffusion import MAX_CONTOURS
from pipeline.config.grid import kinds_of
from pipeline.config.sample import DENOISER_ONLY
from pipeline.config.segmenters import MASK_TOKENS
from pipeline.config.set_sizes import too_few

RESERVED = {"synthetic", "training", "oracle_box", "age"}
"""Keys that stand beside the cohorts in ``results/metrics.json``."""

TRAINED_ALIKE = ("steps", "batch", "learning_rate", "weight_decay", "warmup_steps", "mixed_precision")
"""Of two networks that teach each other: what one training has once."""
PHANTOMS = "data/raw/phantom/"
"""Where the stage `phantom` writes, by ``dvc.yaml``."""
SIMULATED_ROLES = {"head": ["head"], "intrapartum": ["symphysis", "head"], "cervix": [None, None]}
"""View → the roles of the structures of its masks, in their order."""
TWO_STRUCTURES = {
    "intrapartum": "a symphysis (1) and a head (2)",
    "cervix": "an anterior lip (1) and a posterior lip (2)",
}
"""Views of the simulator whose masks hold two structures, and what these are."""


def complaints(config) -> Iterator[str]:
    """A sentence for every name that stands for nothing, and for every pair of sections that contradict each other."""
    names = list(_unknown_names(config))
    yield from names
    yield from _cohorts(config)
    for key in ("labels", "replicates", "arms", "segmenters"):
        if twice := [value for value, count in Counter(getattr(config.grid, key)).items() if count > 1]:
            yield f"grid.{key} holds {twice[0]} twice; remove one"
    yield from _networks(config)
    yield from _generator(config.diffusion, config.views, config.sample)
    yield from _handedness(config)
    about_age = list(_age(config))
    yield from about_age
    if not names and not about_age:
        yield from _kinds(config)
        yield from _simulated(config)
        yield from too_few(config)
        yield from _structures(config)


def _unknown_names(config) -> Iterator[str]:
    grid, oracle = config.grid, config.oracle
    for key, names, known in (
        ("grid.arms", grid.arms, config.arms),
        ("grid.segmenters", grid.segmenters, config.segmenters),
        ("compare.baseline", [config.compare.baseline], grid.arms),
        ("oracle.arms", oracle.arms, grid.arms),
        ("oracle.segmenters", oracle.segmenters if oracle.arms else (), grid.segmenters),
    ):
        for name in names:
            if name not in known:
                yield f"{key} names '{name}', which is not among {', '.join(known)}"


def _networks(config) -> Iterator[str]:
    """Arms with unlabelled images train every segmenter of the grid on new views of them, dual ones two of one size."""
    used = {name: config.arms[name] for name in config.grid.arms if name in config.arms}
    known = config.segmenters
    for arm, spec in used.items():
        if spec.unlabelled is None:
            continue
        key, networks = f"arms.{arm}.unlabelled", spec.networks
        for name in networks:
            if name not in known:
                yield f"{key}.networks names '{name}', which is not among {', '.join(known)}"
        for name in config.grid.segmenters if networks else ():
            if name not in networks:
                yield f"{key}.networks is [{', '.join(networks)}], and grid.segmenters has '{name}' too; name it there"
        every = [name for name in dict.fromkeys([*config.grid.segmenters, *networks]) if name in known]
        for name in every:
            if known[name].kind == "sam" and known[name].train == "decoder":
                yield (
                    f"segmenters.{name}.train is 'decoder', which learns from stored embeddings of few views, and arm "
                    f"'{arm}' makes new views of unlabelled images in every step; set it to 'full' or 'lora'"
                )
        sizes = {known[name].base.image_size for name in networks if name in known}
        if len(sizes) > 1:
            told = map(spelt, sorted(sizes, key=lambda one: one if isinstance(one, int) else max(one)))
            yield (
                f"{key}.networks are of {' and '.join(told)} px "
                "(segmenters.*.base.image_size); two networks that teach each other see images of one size"
            )
        yield from _one_recipe(key, {name: known[name] for name in networks if name in known})


def _one_recipe(key: str, networks: dict[str, object]) -> Iterator[str]:
    """Two networks that teach each other are trained in one loop, by the recipe of the cell's own."""
    if len(networks) < 2:
        return
    (first, own), (second, other) = networks.items()
    for option in TRAINED_ALIKE:
        if (one := getattr(own, option)) != (another := getattr(other, option)):
            yield (
                f"{key}.networks are trained together, and segmenters.{first}.{option} is {one}, "
                f"segmenters.{second}.{option} {another}; set both to one value"
            )


def _cohorts(config) -> Iterator[str]:
    cohorts = config.cohorts
    unlabelled = config.unlabelled
    for key, name, role in (
        ("grid.train", config.grid.train, "train"),
        ("grid.foreign", config.grid.foreign, "foreign"),
        ("unlabelled.cohort", unlabelled.cohort, unlabelled.role),
    ):
        if name not in cohorts or cohorts[name].role != role:
            yield f"{key} names '{name}', which is no cohort with role '{role}' under cohorts"
    if len(trained := [name for name, cohort in cohorts.items() if cohort.role == "train"]) != 1:
        yield f"exactly one cohort may have role 'train', found {', '.join(trained) or 'none'}"
    for name in sorted(set(cohorts) & RESERVED):
        yield f"cohort '{name}': results/metrics.json needs this name for itself; choose another"


def _generator(diffusion, views, sample) -> Iterator[str]:
    own, backend = diffusion.backend == "denoiser", f"with diffusion.backend '{diffusion.backend}'"
    wanted = "encoded" if own else "plain"
    if views.kind != wanted:
        yield f"views.kind is '{views.kind}' and must be '{wanted}' {backend}"
    elif own and views.grid % (cells := 2 ** (len(diffusion.channels) - 1)):
        yield (
            f"views.image_size {views.image_size} makes a code of {views.grid} cells along an edge, and "
            f"{len(diffusion.channels)} levels of diffusion.channels need a multiple of {cells}"
        )
    elif not own and views.image_size % 64:
        yield f"views.image_size is {views.image_size} and must be a multiple of 64 {backend}"
    if own and sample.guidance != 1 and diffusion.mask_dropout == 0:
        yield "guidance needs diffusion.mask_dropout above 0, or sample.guidance 1"
    if diffusion.needs_masks and views.unlabelled == "null_mask":
        yield "variant 'reference' needs masks: views.unlabelled must be none or pseudo_mask"
    for key in DENOISER_ONLY:
        if (getattr(sample, key) is not None) != own:
            needed = "needs a value" if own else "does not apply and must be null"
            yield f"sample.{key} {needed} {backend}"


def _handedness(config) -> Iterator[str]:
    """Symphysis and head have sides: the angle between them is told from its mirror image."""
    if not {"symphysis", "head"} <= set(config.task.structures.values()):
        for name in (name for name, cohort in config.cohorts.items() if cohort.mirrored is not None):
            yield (
                f"cohorts.{name}.mirrored is of a task with a symphysis and a head, and task.structures has not both; "
                "leave it out"
            )
        if config.sample.masks.angles:
            yield (
                "sample.masks.angles is of an angle between structures with the roles symphysis and head, and "
                "task.structures has not both; remove it"
            )
        return
    for name in (name for name in config.grid.arms if config.arms[name].extra == "copy_paste"):
        yield (
            f"arm '{name}' has extra 'copy_paste', which puts the structures of one case onto those of another, and a "
            "symphysis and a head do not fit as one: parts of the other's would stay beside them; use warped"
        )
    if config.sample.masks.angles and config.diffusion.needs_masks:
        yield "sample.masks.angles chooses masks, and diffusion.variant 'reference' draws its own; remove it"
    for key, section in (
        ("augment", config.augment),
        ("strong_augment", config.strong_augment),
        ("views.augment", getattr(config.views, "augment", None)),
        ("diffusion", config.diffusion),
    ):
        if getattr(section, "flip", False):
            yield (
                f"{key}.flip is true, and task.structures has a symphysis and a head: which end of the symphysis is "
                "the lower one is told by the side that the head is on; set it to false"
            )


def _simulated(config) -> Iterator[str]:
    """A simulator is a prior for real images; of simulated ones it would be the answer."""
    used = [name for name in config.grid.arms if name in config.arms and config.arms[name].extra == "simulated"]
    if not used:
        return
    if config.cohorts[config.grid.train].raw.startswith(PHANTOMS):
        yield (
            f"arm '{used[0]}' has extra 'simulated', and the cohort it is trained on, '{config.grid.train}', is "
            "simulated itself: its test cases would be drawn from the same simulator; leave the arm out"
        )
    roles = list(config.task.structures.values())
    if roles != SIMULATED_ROLES[(view := config.phantom.view)]:
        yield (
            f"arm '{used[0]}' has extra 'simulated', and phantom.view '{view}' has other structures than "
            "task.structures; set phantom.view to the view of the task, and name its structures in their order"
        )


def _kinds(config) -> Iterator[str]:
    grid, arms, segmenters = config.grid, config.arms, config.segmenters
    wanted = kinds_of(grid, arms, segmenters, config.cohorts, config.age)
    for key, names in wanted:
        found, remedy = getattr(config.kinds, key), "for this grid; `python -m pipeline.tools.preset` writes it"
        if isinstance(names, dict):
            if found != names:
                roles = ", ".join(f"{name}: {{role: {one.role}}}" for name, one in names.items())
                yield f"kinds.{key} must be {{{roles}}} {remedy}"
        elif sorted(found) != sorted(names):
            yield f"kinds.{key} must be [{', '.join(map(str, names))}] {remedy}"
    if wanted.generous and config.assemble.generous_labels not in grid.labels:
        yield f"assemble.generous_labels is {config.assemble.generous_labels}, which is not in grid.labels"
    for name in wanted.sam:
        if getattr(segmenters[name], "views", 2) == 1 and (
            strong := [a for a in grid.arms if arms[a].augment == "strong"]
        ):
            yield f"segmenters.{name}.views is 1, the image as it is, so arm '{strong[0]}' cannot augment; raise it"
    for name in (name for name in config.oracle.segmenters if config.oracle.arms and name not in wanted.sam):
        yield f"oracle.segmenters names '{name}', which is no SAM"


def _more_than_cases(arm) -> bool:
    """Whether an arm is more than its extra cases beside all of the labels."""
    return bool(arm.shuffled or arm.real != 1 or arm.pretrain or arm.unlabelled or arm.validated)


def _age(config) -> Iterator[str]:
    """Gestational age is read of heads, by models that are there, beside labels that an arm trains on."""
    age, arms = config.age, config.arms
    for name in (name for name in age.models if name not in config.age_models):
        known = ", ".join(config.age_models) or "age_models, which is empty"
        yield f"age.models names '{name}', which is not among {known}"
    if not age.models:
        return
    if twice := [name for name, count in Counter((*age.models, *age.arms)).items() if count > 1]:
        yield f"age names '{twice[0]}' twice; remove one"
    if config.compare.baseline not in age.arms:
        yield f"age.arms lacks '{config.compare.baseline}', the arm that compare.baseline names; add it"
    if age.segmenter not in config.segmenters:
        yield f"age.segmenter is '{age.segmenter}', which is not among {', '.join(config.segmenters)}"
    if "head" not in config.task.structures.values():
        yield "age.models names some, and task.structures has none with role head, whose circumference tells the age"
    for name in age.arms:
        if name not in config.grid.arms:
            yield f"age.arms names '{name}', which is not among grid.arms: {', '.join(config.grid.arms)}"
        elif _more_than_cases(arms[name]):
            yield (
                f"age.arms names '{name}', and of an arm only the extra cases are taken here; name one without "
                "shuffled, real, pretrain, validated and unlabelled"
            )


def _structures(config) -> Iterator[str]:
    count, primary = len(config.task.structures), config.task.primary
    simulated = [name for name, one in config.cohorts.items() if one.raw.startswith(PHANTOMS) and one.classes is None]
    if (view := config.phantom.view) in TWO_STRUCTURES and simulated and count != 2:
        yield (
            f"phantom.view is '{view}', whose masks hold {TWO_STRUCTURES[view]}, and task.structures names {count}; "
            f"name both, or cohorts.{simulated[0]}.classes"
        )
    if primary.startswith("hc_") and "head" not in config.task.structures.values():
        yield f"task.primary is '{primary}', which is of a structure with role head, and task.structures has none"
    for name in (name for name, one in config.segmenters.items() if one.outputs == "exclusive" and count == 1):
        yield (
            f"segmenters.{name}.outputs is 'exclusive', and task.structures names one, which nothing excludes; say "
            "independent"
        )
    if config.kinds.sam and count > MASK_TOKENS:
        yield f"task.structures names {count}, segmenter '{config.kinds.sam[0]}' tells {MASK_TOKENS} apart; merge some"
    if config.diffusion.needs_masks and count > MAX_CONTOURS:
        yield (
            f"task.structures names {count}, and diffusion.variant 'reference' draws at most {MAX_CONTOURS}; use "
            "'controlnet'"
        )
