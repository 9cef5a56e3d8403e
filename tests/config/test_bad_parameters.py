"""Parameters that are refused, and what is said about them."""

import pytest

from pipeline.run.errors import InputError
from tests.config.changes import NETWORK, angled, asked, coded, generous, pasted, simulated, stable, two_sided


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p["sample"].update(stepz=3), ["unknown key 'sample.stepz'", "remove it"]),
        (lambda p: p["sample"].pop("steps"), ["'sample.steps' is missing", "add it"]),
        (lambda p: p["sample"].update(count=0), ["'sample.count' is 0", "greater than or equal to 1"]),
        (lambda p: p["sample"].update(sigma_min=50), ["'sample'", "sigma_min must be below sigma_max"]),
        (lambda p: p["compute"].update(device="tpu"), ["'compute.device' is 'tpu'", "'cuda'"]),
        (lambda p: p["grid"].update(train="nowhere"), ["grid.train names 'nowhere'"]),
        (lambda p: p["grid"]["arms"].append("ghost"), ["grid.arms names 'ghost'", "not among real"]),
        (
            lambda p: p["grid"].update(arms=["synthetic"]),
            ["compare.baseline names 'real', which is not among synthetic"],
        ),
        (lambda p: p["grid"].update(labels=[10, 10]), ["grid.labels holds 10 twice"]),
        (lambda p: p["grid"].update(segmenters=["nnunet"]), ["grid.segmenters names 'nnunet'", "sam, unet"]),
        (lambda p: p["segmenters"]["unet"].update(kind="swin"), ["'segmenters.unet'", "'swin'", "'sam', 'unet'"]),
        (lambda p: p["segmenters"]["unet"].update(train="lora"), ["'segmenters.unet.train' is 'lora'", "last_blocks"]),
        (lambda p: p["segmenters"]["sam"].pop("prompt"), ["'segmenters.sam.prompt' is missing"]),
        (
            lambda p: p["oracle"].update(arms=["real"], segmenters=["unet"]),
            ["oracle.segmenters names 'unet', which is no SAM"],
        ),
        (
            lambda p: p["arms"]["real"].update(ratio=1),
            ["'arms.real'", "ratio does not apply to extra 'none'", "warped"],
        ),
        (lambda p: p["arms"]["warped"].update(curated=True), ["'arms.warped'", "curated does not apply", "synthetic"]),
        (lambda p: p["arms"]["warped"].pop("ratio"), ["'arms.warped'", "ratio above 0"]),
        (lambda p: p["arms"]["synthetic"].update(curated=False, generous=True), ["set curated: true"]),
        (lambda p: p["arms"]["synthetic"].update(real=0.0, pretrain=0.5), ["with real 0 there are none"]),
        (lambda p: p["kinds"].update(labels=["real"]), ["kinds.labels must be [real, warped]", "tools.preset"]),
        (lambda p: generous(p, 80), ["assemble.generous_labels is 80", "not in grid.labels"]),
        (lambda p: p["unlabelled"].update(cohort="phantom_b"), ["unlabelled.cohort names 'phantom_b'", "role 'train'"]),
        (lambda p: p["segmenters"]["sam"].update(views=2), ["'segmenters.sam.views' of 'sam' 'full'"]),
        (lambda p: p["segmenters"]["sam"].update(train="lora"), ["'segmenters.sam.lora_rank' is missing"]),
        (
            lambda p: p["segmenters"]["sam"].update(train="decoder"),
            ["'segmenters.sam.checkpointing' of 'sam' 'decoder'"],
        ),
        (
            lambda p: p["segmenters"]["sam"]["base"].update(window=7),
            ["'segmenters.sam.base.window' of", "weights null"],
        ),
        (
            lambda p: p["segmenters"]["sam"]["base"].update(weights="x.pth"),
            ["base.compact' of", "base.detail' is missing"],
        ),
        (
            lambda p: p["segmenters"]["sam"]["base"].update(weights="lite0"),
            ["base.compact' of", "base.decoder_size' is missing"],
        ),
        (
            lambda p: p["segmenters"]["unet"]["base"].update(backbone="mobilenet_v2"),
            ["'segmenters.unet", "weights 'lite0' are of the backbone tu-tf_efficientnet_lite0, not mobilenet_v2"],
        ),
        (lambda p: p["segmenters"]["unet"].update(prompt="none"), ["'segmenters.unet.prompt' of 'unet'"]),
        (
            lambda p: p["segmenters"]["unet"].update(outputs="softmax"),
            ["'segmenters.unet.outputs' is 'softmax'", "'independent' or 'exclusive'"],
        ),
        (
            lambda p: p["segmenters"]["unet"].update(outputs="exclusive"),
            ["segmenters.unet.outputs is 'exclusive', and task.structures names one"],
        ),
        (
            lambda p: two_sided(p) or p["segmenters"]["sam"].update(outputs="exclusive", prompt="whole_box"),
            ["'segmenters.sam", "each has a pass of its own", "prompt: none"],
        ),
        (lambda p: p["cohorts"]["phantom_b"].update(role="train"), ["'cohorts.phantom_b'", "splits"]),
        (lambda p: p["cohorts"]["phantom_a"]["splits"].update(test=0.5), ["add up to 1"]),
        (
            lambda p: p["cohorts"]["phantom_b"].update(mirrored=False),
            ["cohorts.phantom_b.mirrored is of a task with a symphysis and a head", "leave it out"],
        ),
        (
            lambda p: two_sided(p) or p["cohorts"]["phantom_b"].update(mirrored="left"),
            ["'cohorts.phantom_b.mirrored' is 'left'", "valid boolean"],
        ),
        (
            lambda p: p["phantom"].update(view="brain"),
            ["'phantom.view' is 'brain'", "'head', 'intrapartum' or 'cervix'"],
        ),
        (lambda p: p["phantom"].pop("view"), ["'phantom.view' is missing"]),
        (
            lambda p: p["phantom"].update(view="intrapartum"),
            ["a symphysis (1) and a head (2)", "task.structures names 1"],
        ),
        (lambda p: p["cohorts"]["phantom_b"].update(labelled=False), ["'cohorts.phantom_b'", "may be unlabelled"]),
        (lambda p: p["cohorts"]["phantom_d"].update(role="unlabelled", labelled=True), ["no mask is read"]),
        (lambda p: p["cohorts"]["phantom_d"].update(reader="psfhs", classes=["background", "head"]), ["map them"]),
        (lambda p: p["cohorts"]["phantom_d"].update(classes=["head"]), ["the background first"]),
        (lambda p: p["cohorts"]["phantom_d"].update(classes=["background", "head", "head"]), ["two or more different"]),
        (
            lambda p: p["cohorts"]["phantom_a"].update(reader="psfhs"),
            ["'cohorts.phantom_a'", "reader 'psfhs' knows no patients", "say near_doubles: merge"],
        ),
        (
            lambda p: p["cohorts"]["phantom_a"].update(reader="fh_ps_aop"),
            ["'fh_ps_aop' knows no", "near_doubles: merge"],
        ),
        (
            lambda p: p["cohorts"]["phantom_a"].update(near_correlation=1),
            ["phantom_a.near_correlation' is 1", "less than"],
        ),
        (
            lambda p: p["cohorts"]["phantom_a"].update(near_correlation=0.2),
            ["near_correlation' is 0.2", "greater than"],
        ),
        (lambda p: p["cohorts"]["phantom_a"]["splits"].update(by="block"), ["splits.by' is 'block'", "'blocks'"]),
        (lambda p: p["cohorts"]["phantom_d"].update(values=[0, 7]), ["'cohorts.phantom_d'", "name the classes"]),
        (
            lambda p: p["cohorts"]["phantom_d"].update(classes=["background", "head"], values=[0, 7, 8]),
            ["values needs 2 different ones"],
        ),
        (
            lambda p: p["cohorts"]["phantom_d"].update(classes=["background", "head"], values=[7, 7]),
            ["values needs 2 different ones"],
        ),
        (
            lambda p: p["cohorts"]["phantom_d"].update(classes=["background", "head"], values=[0, 300]),
            ["values.1' is 300"],
        ),
        (lambda p: two_sided(p, augment=True), ["augment.flip is true", "symphysis and a head", "set it to false"]),
        (
            lambda p: two_sided(p) or pasted(p),
            ["arm 'warped' has extra 'copy_paste'", "a symphysis and a head do not fit as one", "use warped"],
        ),
        (lambda p: two_sided(p, strong_augment=True), ["strong_augment.flip is true", "set it to false"]),
        (lambda p: two_sided(p, views=True), ["views.augment.flip is true", "set it to false"]),
        (lambda p: angled(p), ["sample.masks.angles", "roles symphysis and head", "remove it"]),
        (lambda p: two_sided(p) or angled(p, below_90=0.7), ["sample.masks.angles", "add up to 1 at the most"]),
        (lambda p: two_sided(p) or angled(p, below_100=0.1), ["unknown key 'sample.masks.angles.below_100'"]),
        (
            lambda p: two_sided(p) or angled(p, parent=0, shape_model=0, user=1),
            ["sample.masks", "user is 1; remove it"],
        ),
        (
            lambda p: stable(p, {"unlabelled": "none"}, variant="reference") or two_sided(p) or angled(p),
            ["sample.masks.angles", "'reference'", "remove it"],
        ),
        (lambda p: stable(p) or two_sided(p, diffusion=True), ["diffusion.flip is true", "set it to false"]),
        (lambda p: p["task"].update(structures={}), ["'task'", "at least one name"]),
        (lambda p: p["task"].update(structures={"head": "hand"}), ["'task.structures.head' is 'hand'", "'symphysis'"]),
        (lambda p: p["task"].update(structures={"a": "head", "b": "head"}), ["two structures have the role 'head'"]),
        (lambda p: p["task"].update(unions={"all": ["head", "neck"]}), ["unions.all names 'neck'"]),
        (lambda p: p["task"].update(unions={"head": ["head", "head"]}), ["the name of a structure too"]),
        (lambda p: p["task"].update(unions={"all": ["head", "head"]}), ["two or more different structures"]),
        (lambda p: p["task"].update(primary="reference_share"), ["'task.primary' is 'reference_share'", "'dice'"]),
        (lambda p: p["sample"].update(count="240"), ["'sample.count' is '240'", "valid integer"]),
        (
            lambda p: p["evaluation_network"].update(channels=[10] * 5),
            ["'evaluation_network.channels", "multiple of 4"],
        ),
        (
            lambda p: p["views"].update(image_size=112),
            ["views.image_size 112 makes a code of 14 cells", "4 levels of diffusion.channels need a multiple of 8"],
        ),
        (lambda p: coded(p, kind="pixel", patch=3), ["'views.code.patch' is 3", "1, 2, 4 or 8"]),
        (
            lambda p: coded(p, kind="pixel", patch=2, lapped=True),
            ["unknown key 'views.code.lapped' of 'encoded' 'pixel'"],
        ),
        (lambda p: coded(p, kind="wavelet"), ["'views.code'", "'wavelet'", "'taef2'"]),
        (lambda p: coded(p, kind="taef2", encoder="e.pth", whitening=0), ["'views.code.decoder' is missing"]),
        (lambda p: coded(p, kind="taef2", encoder="e", decoder="d", whitening=0, factor=4), ["views.code.factor"]),
        (lambda p: p["views"]["code"].update(block=4), ["'views.code'", "blocks of 4 px have 16"]),
        (lambda p: p["views"]["code"].update(whitening=1.5), ["'views.code.whitening' is 1.5"]),
        (lambda p: p["views"].update(count=0), ["'views.count' is 0"]),
        (lambda p: p["views"]["augment"].update(probability=1), ["with conditioned, probability must be below 1"]),
        (lambda p: p["diffusion"].update(prediction="x0"), ["'diffusion.prediction' is 'x0'", "'velocity'"]),
        (
            lambda p: p["cohorts"].update(training=p["cohorts"].pop("phantom_b")),
            ["cohort 'training'", "choose another"],
        ),
        (lambda p: p["cohorts"]["phantom_a"]["splits"].update(evaluation=0, train=0.65), ["share above 0"]),
        (lambda p: p["diffusion"].update(backend="stable_diffusion"), ["'diffusion.weights' is missing"]),
        (lambda p: p["diffusion"].update(lora_rank=4), ["unknown key 'diffusion.lora_rank' of 'denoiser'; remove it"]),
        (lambda p: p["diffusion"].update(backend="gan"), ["'diffusion'", "'gan'", "'denoiser', 'stable_diffusion'"]),
        (lambda p: stable(p, {"image_size": 96}), ["views.image_size is 96 and must be a multiple of 64"]),
        (lambda p: stable(p, {"count": 4}), ["unknown key 'views.count' of 'plain'"]),
        (
            lambda p: p["views"].update(kind="plain") or [p["views"].pop(key) for key in ("count", "code", "augment")],
            ["views.kind is 'plain' and must be 'encoded' with diffusion.backend 'denoiser'"],
        ),
        (lambda p: stable(p, variant="lora"), ["'diffusion.variant' is 'lora'", "'reference'"]),
        (lambda p: stable(p, weights=None), ["'diffusion.weights'", "valid string"]),
        (lambda p: stable(p, channels=[8, 8]), ["unknown key 'diffusion.channels' of 'stable_diffusion'"]),
        (
            lambda p: stable(p, {"unlabelled": "null_mask"}, variant="reference"),
            ["views.unlabelled must be none or pseudo_mask"],
        ),
        (lambda p: stable(p) or p["sample"].update(sigma_min=0.01), ["sample.sigma_min does not apply", "be null"]),
        (lambda p: p["sample"].update(sigma_max=None), ["sample.sigma_max needs a value"]),
        (lambda p: p["views"].update(image_size=50), ["'views.image_size' is 50", "multiple of 16"]),
        (
            lambda p: p["diffusion"].update(batch=8, accumulate=3),
            ["'diffusion'", "batch must be a multiple of accumulate"],
        ),
        (lambda p: p["sample"].update(count=7), ["sample.count is 7", "need 8 (score.neighbours is 3)", "raise it"]),
        (
            lambda p: p["task"].update(primary="hc_error_mm", structures={"skull": None}),
            ["task.primary is 'hc_error_mm'", "role head"],
        ),
        (lambda p: p["grid"].update(labels=40), ["'grid.labels' is 40: a list is wanted"]),
        (lambda p: p["grid"].update(labels=[]), ["'grid.labels' is []: a list of 1 or more is wanted"]),
        (lambda p: p["arms"].update(real=None), ["'arms.real' is empty: a mapping of keys to values is wanted"]),
        (lambda p: p["segmenters"]["sam"].update(base=[1]), ["'segmenters.sam.base' is [1]: a mapping"]),
        (lambda p: p["segmenters"]["sam"].pop("kind"), ["key 'segmenters.sam.kind' is missing; add it"]),
        (lambda p: p.clear(), ["key 'seed' is missing"]),
        (lambda p: p["score"].update(neighbours=200), ["sample.count is 240", "need 402 (score.neighbours is 200)"]),
        (lambda p: p["filter"].update(folds=41), ["filter.folds is 41", "grid.labels holds 10"]),
        (
            lambda p: simulated(p, "data/raw/phantom/phantom_a"),
            ["arm 'simulated' has extra 'simulated', and the cohort it is trained on, 'phantom_a', is sim"],
        ),
        (
            lambda p: simulated(p, "data/raw/mine") or p["phantom"].update(view="cervix"),
            ["and phantom.view 'cervix' has other structures than task.structures; set phantom.view to the view of"],
        ),
        (
            lambda p: asked(p, models=["deeep"]),
            ["age.models names 'deeep', which is not among age_models, wh"],
        ),
        (lambda p: asked(p, arms=["warped"]), ["age.arms lacks 'real', the arm that compare.baseline names; add it"]),
        (
            lambda p: asked(p, arms=["real", "shuffled"]),
            ["age.arms names 'shuffled', and of an arm only the extra"],
        ),
        (lambda p: asked(p, arms=["real", "no"]), ["age.arms names 'no', which is not among grid.arms: real,"]),
        (lambda p: asked(p, segmenter="unett"), ["age.segmenter is 'unett', which is not among sam, unet"]),
        (lambda p: asked(p, zooms=[1.0, 1.1]), ["zooms holds 1, which changes nothing"]),
        (lambda p: asked(p, zooms=[1.1]), ["zooms holds one scale, and a slope takes two"]),
        (lambda p: asked(p), ["kinds.age_segmenters must be [unet] for this grid"]),
        (
            lambda p: asked(p) or p["kinds"].update(age_segmenters=["unet"]),
            ["kinds.age_cohorts must be {phantom_a: {role: train}, phantom_b: {role: held_out}, phantom_c: {"],
        ),
        (
            lambda p: asked(p) or p["task"].update(structures={"head": None}),
            ["task.structures has none with role head, whose circumference tells the age"],
        ),
        (
            lambda p: asked(p, one={"kind": "ridge", "reads": ["shape", "shape"]}),
            ["key 'age_models.one'", "reads names shape twice"],
        ),
        (
            lambda p: asked(p, one={"kind": "ridge", "reads": []}),
            ["key 'age_models.one.reads' is []: a list of"],
        ),
        (
            lambda p: asked(p, one={"kind": "constant", "reads": ["shape"]}),
            ["unknown key 'age_models.one.reads' of"],
        ),
        (
            lambda p: asked(p, one=NETWORK | {"variant": "deep", "reads": ["shape"]}),
            ["variant 'deep' reads no radiomics; leave reads out"],
        ),
        (
            lambda p: asked(p, one=NETWORK | {"variant": "fusion"}),
            ["variant 'fusion' reads radiomics; say which"],
        ),
        (lambda p: asked(p, one=NETWORK | {"width": 9}), ["width must be a multiple of heads"]),
        (lambda p: p["arms"]["warped"].update(ratio=0.01), ["arm 'warped': ratio 0.01 of 10 labels is not one case"]),
        (lambda p: p["arms"]["warped"].update(real=0.01), ["arm 'warped': real 0.01 of 10 labels is not one case"]),
        (
            lambda p: p["arms"]["synthetic"].update(curated=False, ratio=25),
            ["arm 'synthetic': ratio 25 of 10 labels asks for 250 synthetic cases, sample.count is 240; raise it"],
        ),
        (
            lambda p: (
                p["cohorts"]["phantom_a"]["splits"].update(val=0, test=0.35) or p["arms"]["real"].update(validated=True)
            ),
            ["arm 'real' is validated, and cohorts.phantom_a.splits.val is 0; give it a share"],
        ),
        (lambda p: p["grid"].update(train="nowhere") or p["arms"]["real"].update(validated=True), ["names 'nowhere'"]),
        (
            lambda p: p["task"].update(structures=dict.fromkeys("abcde")),
            ["task.structures names 5, segmenter 'sam' tells 4 apart"],
        ),
        (
            lambda p: stable(p, variant="reference") or p["task"].update(structures=dict.fromkeys("abc")),
            ["task.structures names 3, and diffusion.variant 'reference' draws at most 2; use 'controlnet'"],
        ),
    ],
)
def test_bad_parameters_name_the_key_and_what_is_allowed(edited, change, words):
    with pytest.raises(InputError) as error:
        edited(change)
    assert "params.yaml" in str(error.value)
    for word in words:
        assert word in str(error.value)
