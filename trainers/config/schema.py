"""The configuration of a run: one frozen dataclass; flags, `--help` and config.json are generated from it."""

import dataclasses
import difflib
import math
import numbers
from dataclasses import dataclass, field

from ..runs.errors import UserError


def _setting(help, default=None, parse=str, choices=None, least=None, most=None):
    """A field with what a flag needs: how to parse it, which values it takes, what to say of it."""
    metadata = {"help": help, "parse": parse, "choices": choices, "least": least, "most": most}
    return field(default=default, metadata=metadata)


AUGMENT_BASES = ("none", "affine", "+", "++")
AUGMENT_EXTRAS = ("randaugment", "erasing", "mixup", "cutmix")


def _integers(text):
    return tuple(int(part) for part in text.split(","))


def _switch(text):
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"


def _words(text):
    return tuple(text.split(","))


NETWORKS = (
    "encapnet", "encapnet6", "encapnet18", "encapnet101", "capnet", "plaincnn", "resnet18", "resnet20",
)  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes. None leaves a network's setting as the network has it."""

    recipe: str = _setting("Name of the recipe this configuration started from.", "digits")
    dataset: str = _setting(
        "Data set: digits, folder (with --data_dir, a folder of images for each class), or any name of TensorFlow "
        "Datasets, such as cifar10, svhn_cropped or imagenet2012.",
        "digits",
    )
    data_dir: str | None = _setting("Folder of the data set's files. Default: where packages and TFDS put them.")
    classes_file: str | None = _setting("File of the class folders to train on, one a line. Default: all of them.")
    image_size: int | None = _setting("Height and width of images, in pixels. Default: their own.", parse=int, least=4)
    corrupt_images: str = _setting(
        "What to do about images that cannot be decoded.", "error", choices=("error", "skip")
    )
    cache_gib: float = _setting("Images are decoded into memory once if they fit this many GiB.", 2.0, float, least=0.0)
    validation_fraction: float = _setting(
        "Share of the training images set aside to choose the best model on.", 0.1, float, least=0.001, most=0.9
    )
    train_limit: int | None = _setting(
        "Labelled images to train and choose on, a fixed subset with every class in proportion. Default: all.",
        parse=int,
        least=1,
    )
    augment: tuple[str, ...] = _setting(
        "Augmentation of training images: a base (none, affine, + or ++), then extras. Extras alone are added to the "
        "recipe's base.",
        ("none",),
        _words,
        choices=(*AUGMENT_BASES, *AUGMENT_EXTRAS),
    )
    flip: str = _setting(
        "Whether mirrored images keep their class; auto: not so for digits and street numbers.",
        "auto",
        choices=("auto", "yes", "no"),
    )

    model: str = _setting("Network.", "encapnet", choices=NETWORKS)
    num_capsules: int | None = _setting("Capsules at every layer.", parse=int, least=1)
    width: str | None = _setting("Width of a plain CNN.", choices=("same_shape", "similar_params"))
    depths: tuple[int, ...] | None = _setting("Type II layers of each module: 1,1.", parse=_integers, least=0)
    capsule_dims: tuple[int, ...] | None = _setting("Capsule dimension of each module: 2,4.", parse=_integers, least=1)
    strides: tuple[int, ...] | None = _setting("Stride of each module: 1,2.", parse=_integers, least=1)
    routing: tuple[str, ...] | None = _setting(
        "Routing, for all modules or one each; dynamic and em are a CapNet's.",
        parse=_words,
        choices=("master", "master_aide", "dynamic", "em"),
    )
    coefficients: tuple[str, ...] | None = _setting(
        "Source of the coefficients, for all modules or one each.", parse=_words, choices=("own", "cross", "both")
    )
    skip: str | None = _setting("Skip connections.", choices=("both", "type1", "type2", "none"))
    bias_stddev: float = _setting(
        "Standard deviation of the convolutions' initial biases; the paper's release has 1.", 0.0, float, least=0.0
    )

    feedback: str = _setting(
        "Feedback agreement units in every module, a regulariser.", "none", choices=("none", "half", "same", "two")
    )
    feedback_weight: float = _setting("Lambda: weight of the units' divergences in the loss.", 10.0, float, least=0.0)
    epsilon: float = _setting("Regularisation strength of the Sinkhorn divergence.", 1.0, float, least=1e-6)
    iterations: int = _setting("Sinkhorn iterations.", 10, int, least=1)
    cost: str = _setting("Ground cost between features.", "cosine", choices=("cosine", "euclidean", "sqeuclidean"))
    debias: bool = _setting("Whether the units subtract the divergences of each side from itself.", True, _switch)
    differentiate_plan: bool = _setting("Whether gradients pass through the transport plan.", False, _switch)
    generator: str | None = _setting("The units' generators. Default: the network's.", choices=("capsule", "conv"))
    extractor: str = _setting("The units' extractors; none compares raw features.", "conv", choices=("conv", "none"))
    divergence: str = _setting("Divergence of the units.", "sinkhorn", choices=("sinkhorn", "kl"))
    extractor_objective: str = _setting(
        "What the units' extractors are trained for.", "minimize", choices=("minimize", "adversarial", "frozen")
    )

    loss: str = _setting(
        "Loss; crossentropy for networks without capsules.", "margin", choices=("margin", "spread", "crossentropy")
    )
    optimizer: str = _setting("Optimizer.", "adamw", choices=("adam", "adamw"))
    learning_rate: float = _setting("Peak learning rate.", 1e-3, float, least=0.0)
    schedule: str = _setting(
        "Learning rate over the run: constant, a short warm-up and a cosine down to 0, or a tenth after each of "
        "--milestones.",
        "cosine",
        choices=("constant", "cosine", "step"),
    )
    milestones: tuple[int, ...] = _setting(
        "Epochs after which the step schedule divides the rate by 10.", (200, 300, 400), _integers, least=1
    )
    l2: float = _setting("L2 penalty: so much of every weight is added to its gradient (adam).", 0.0, float, least=0.0)
    weight_decay: float = _setting("Decoupled weight decay of adamw.", 0.01, float, least=0.0)
    ema: float = _setting(
        "Momentum of an exponential moving average of the weights, to validate and to keep; 0: none.",
        0.0,
        float,
        least=0.0,
        most=0.99999,
    )
    routing_epochs: tuple[int, ...] | None = _setting(
        "Epochs at which to record how capsules agree, 0 for none. Default: first, a tenth, two fifths, last.",
        parse=_integers,
        least=0,
    )
    epochs: int = _setting("Passes over the training images.", 40, int, least=1)
    batch_size: int = _setting("Images a training step.", 64, int, least=1)
    clip_norm: float = _setting(
        "Largest norm of the gradient of all weights together; what is longer is shortened to it. 0: none.",
        0.0,
        float,
        least=0.0,
    )
    accumulate_steps: int = _setting(
        "Steps whose mean gradient makes one update, for batches that do not fit a memory.", 1, int, least=1
    )
    precision: str = _setting(
        "Arithmetic of a step; weights and class scores stay float32.",
        "float32",
        choices=("float32", "bfloat16", "float16"),
    )
    jit_compile: str = _setting(
        "Whether XLA compiles the whole step; auto leaves it to Keras.", "auto", choices=("auto", "true", "false")
    )
    strategy: str = _setting(
        "Where to train. auto: several workers where TF_CONFIG names them, else all GPUs, else one device.",
        "auto",
        choices=("auto", "one_device", "mirrored", "multi_worker"),
    )
    replicas: int | None = _setting(
        "Devices of --strategy=mirrored. Default: all GPUs; without a GPU, so many parts of the CPU, for trial.",
        parse=int,
        least=1,
    )
    synchronized: bool = _setting("Whether batch statistics are taken over all replicas.", False, _switch)
    sync_replicas: bool = _setting(
        "Whether feedback units compare the whole batch rather than each replica's share.", False, _switch
    )
    deterministic: bool = _setting(
        "Whether two runs of one seed on one kind of machine give identical weights; may be slower.", False, _switch
    )
    checkpoint_steps: int = _setting(
        "Steps between checkpoints, beside those at every epoch's end; 0: none.", 0, int, least=0
    )
    keep_checkpoints: int = _setting("Checkpoints to keep.", 3, int, least=1)
    seed: int = _setting("Seed of weights, order and augmentation.", 0, int, least=0, most=2**31 - 1)

    def __post_init__(self):
        for setting in settings():
            value = getattr(self, setting.name)
            for item in value if isinstance(value, tuple) else (value,):
                _check(setting, item)
        _check_augment(self.augment)
        if late := [epoch for epoch in self.routing_epochs or () if epoch > self.epochs]:
            raise UserError(f"--routing_epochs={late[0]}: expected at most --epochs={self.epochs}.")

    def to_json(self) -> dict:
        """The configuration as JSON types."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in self.__dict__.items()}

    @classmethod
    def from_json(cls, values: dict) -> "Config":
        """Undoes `to_json`.

        Raises:
            UserError: a key is unknown or a value is not one of the setting's.
        """
        return cls(**settings_from_json(values))


# Settings that are the network's own: choosing another network drops a recipe's.
NETWORK_SETTINGS = ("num_capsules", "width", "depths", "capsule_dims", "strides", "routing", "coefficients", "skip")


def settings() -> tuple[dataclasses.Field, ...]:
    """The configuration's fields, each with its help, parser, choices and bounds as metadata."""
    return dataclasses.fields(Config)


def settings_from_json(values: dict) -> dict:
    """Some or all settings as JSON has them: names and kinds are checked, lists become tuples.

    Raises:
        UserError: a key is unknown (the nearest known one is named) or a value is of the wrong kind.
    """
    known = {setting.name: setting for setting in settings()}
    if unknown := sorted(set(values) - set(known)):
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UserError(f"Unknown settings in the configuration: {', '.join(unknown)}{hint}.")
    return {name: _from_json(known[name], value) for name, value in values.items()}


def _from_json(setting, value):
    parse = setting.metadata["parse"]
    if value is None and setting.default is None:
        return None
    expected = {str: (str, "text"), _switch: (bool, "true or false")}.get(parse)
    expected = (list, "a list") if parse in (_integers, _words) else expected
    if expected and not isinstance(value, expected[0]):
        raise UserError(f"--{setting.name}={value}: expected {expected[1]}.")
    return tuple(value) if isinstance(value, list) else value


def _check(setting, value):
    choices, least, most = (setting.metadata[key] for key in ("choices", "least", "most"))
    if value is None and setting.default is None:
        return
    if setting.metadata["parse"] is _switch and not isinstance(value, bool):
        raise UserError(f"--{setting.name}={value}: expected true or false.")
    if choices and value not in choices:
        raise UserError(f"--{setting.name}={value}: expected one of {', '.join(choices)}.")
    if least is None:
        return
    kind = numbers.Real if setting.metadata["parse"] is float else numbers.Integral
    if isinstance(value, bool) or not isinstance(value, kind) or not math.isfinite(value):
        raise UserError(f"--{setting.name}={value}: expected a {'finite' if kind is numbers.Real else 'whole'} number.")
    if value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"between {least} and {most}"
        raise UserError(f"--{setting.name}={value}: expected {bounds}.")


def _check_augment(names):
    shape = isinstance(names, tuple) and names and names[0] in AUGMENT_BASES and len(set(names)) == len(names)
    if not shape or any(name in AUGMENT_BASES for name in names[1:]):
        raise UserError(
            f"--augment={','.join(names)}: expected one base ({', '.join(AUGMENT_BASES)}) and then any of "
            f"{', '.join(AUGMENT_EXTRAS)}, each once."
        )
