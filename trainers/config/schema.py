"""Dataclass with all settings of a training run, such as the data set, the network and the learning rate."""

import dataclasses
from dataclasses import dataclass

from ..runs.argument_types import MOST
from ..runs.errors import UserError
from ..runs.path_arguments import ANY, FILE
from .composition import check_composition
from .dataset_names import canonical_dataset_name
from .setting import FEEDBACK_PLACEMENTS, Search, check, setting, values_from_json

AUGMENT_BASES = ("none", "affine", "+", "++")
AUGMENT_EXTRAS = ("randaugment", "erasing", "mixup", "cutmix")
NETWORKS = (
    "encapnet", "encapnet6", "encapnet18", "encapnet101", "capnet", "plaincnn", "resnet18", "resnet20",
    "sabourcapsnet", "efficientcapsnet", "invertedattentioncapsnet", "selfroutingcapsnet",
)  # fmt: skip
DECODERS = ("dense", "conv")

# Upper bounds. What they allow and this machine cannot hold is refused before it is allocated (fitting/memory.py).
_SIZE, _LAYERS, _EPOCHS, _WEIGHT = 65_536, 1_000, 1_000_000, 1e9

_RECIPE = Search(refusal="every trial starts from the same recipe")
_DATA = Search(refusal="every trial trains and validates on the same images")
_LENGTH = Search(refusal="the tuner decides how long a trial trains")
_DEVICES = Search(refusal="every trial runs on the same devices")
_SEED = Search(refusal="every trial starts from the same seed")
_WEIGHTS = Search(refusal="every trial starts from new weights")
_CHECKPOINTS = Search(refusal="trials save no checkpoints")
_AGREEMENT = Search(refusal="trials do not record how capsules agree")

_SINKHORN = {"divergence": ("sinkhorn",)}
_EXTRACTORS = ("conv", "wide")
_SEVERAL_DEVICES = {"strategy": ("auto", "mirrored", "multi_worker")}


@dataclass(frozen=True)
class Config:
    """All settings of a training run, such as the data set, the network, the loss and the learning rate.

    Each field is a setting, whose marks say which argument it becomes and how it may be searched: see `setting`. A
    network setting that is None keeps the default of the network's builder.
    """

    recipe: str = setting("Name of the recipe this configuration started from.", "digits", search=_RECIPE)
    dataset: str = setting(
        "Data set: digits; folder (with --data_dir, a folder of images for each class); npz (with --data_dir, a file "
        "of arrays); mnist, fashion_mnist, kmnist, cifar10, cifar100 or svhn_cropped (from the original files in "
        "--data_dir, or by TensorFlow Datasets); smallnorb, smallnorb_azimuth or smallnorb_elevation; any other name "
        "of TensorFlow Datasets, such as imagenet2012.",
        "digits",
        group="data",
        search=_DATA,
    )
    data_dir: str | None = setting(
        "Folder, archive or file of the data set. Default: where packages and TFDS put it.", path=ANY, search=_DATA
    )
    classes_file: str | None = setting(
        "File that names the class folders to train on, one per line. Default: all class folders.",
        path=FILE,
        used_with={"dataset": ("folder", "h_imagenet")},
        search=_DATA,
    )
    image_size: int | None = setting(
        "Height and width to resize images to, in pixels. Default: the data set's.", least=4, most=16_384, search=_DATA
    )
    color_mode: str = setting(
        "Colours of a folder's images: rgb, grayscale, or auto: those of the network of --init_weights, else rgb.",
        "auto",
        choices=("auto", "rgb", "grayscale"),
        used_with={"dataset": ("folder", "h_imagenet")},
        search=_DATA,
    )
    corrupt_images: str = setting(
        "What to do with images that cannot be decoded.", "error", choices=("error", "skip"), search=_DATA
    )
    cache_gib: float = setting(
        "Keeps decoded images in memory if they fit into this many GiB.", 2.0, least=0.0, most=1e6, search=_DATA
    )
    validation_fraction: float = setting(
        "Share of the training images held out for validation, which chooses the best model.",
        0.1,
        least=0.001,
        most=0.9,
        search=_DATA,
    )
    train_limit: int | None = setting(
        "Labelled images to train and validate on: a fixed subset with every class in proportion. Default: all.",
        least=1,
        most=MOST,
        search=_DATA,
    )
    augment: tuple[str, ...] = setting(
        "Augmentation of training images: a base (none, affine, + or ++), then extras. Extras alone are added to the "
        "recipe's base.",
        ("none",),
        choices=(*AUGMENT_BASES, *AUGMENT_EXTRAS),
    )
    flip: str = setting(
        "Whether augmentation mirrors images; auto: not digits and street numbers, which change their class.",
        "auto",
        choices=("auto", "yes", "no"),
        search=_DATA,
    )
    compose: str = setting(
        "Examples made of single images. overlap: two objects of different classes, both to be found, as in "
        "MultiMNIST; affine: upright objects on a larger canvas in training, and rotated, sheared and scaled ones in "
        "the test, as in affNIST.",
        "none",
        choices=("none", "overlap", "affine"),
        search=_DATA,
    )

    model: str = setting("Network.", "encapnet", group="network", choices=NETWORKS)
    num_capsules: int | None = setting("Capsules at every layer.", least=1, most=_SIZE, network=True)
    filters: int | None = setting(
        "Channels of the first convolution of sabourcapsnet, invertedattentioncapsnet and selfroutingcapsnet.",
        least=1,
        most=_SIZE,
        network=True,
    )
    form: str | None = setting(
        "Published form of efficientcapsnet.", choices=("mnist", "multimnist", "smallnorb"), network=True
    )
    width: str | None = setting("Width of a plain CNN.", choices=("same_shape", "similar_params"), network=True)
    depths: tuple[int, ...] | None = setting(
        "Number of type II layers in each module: 1,1.",
        least=0,
        most=_LAYERS,
        network=True,
        search=Search(usual=(0, 3), per_module="depth"),
    )
    capsule_dims: tuple[int, ...] | None = setting(
        "Capsule dimension of each module: 2,4.", least=1, most=_SIZE, network=True
    )
    strides: tuple[int, ...] | None = setting("Stride of each module: 1,2.", least=1, most=_SIZE, network=True)
    routing: tuple[str, ...] | None = setting(
        "Routing, one for all modules or one for each. CapNet alone takes dynamic and em.",
        choices=("master", "master_aide", "dynamic", "em"),
        network=True,
        search=Search(usual=["master", "master_aide"]),
    )
    coefficients: tuple[str, ...] | None = setting(
        "Source of the coefficients of master_aide routing, one for all modules or one for each.",
        choices=("own", "cross", "both"),
        network=True,
        used_with={"routing": (None, "master_aide")},
    )
    skip: str | None = setting(
        "Skip connections of each module.", choices=("both", "type1", "type2", "none"), network=True
    )
    bias_stddev: float = setting(
        "Standard deviation of the convolutions' initial biases; the paper's release has 1.",
        0.0,
        least=0.0,
        most=_WEIGHT,
    )

    init_weights: str | None = setting(
        "Weights to start from, for fine-tuning: a run's folder (its best.keras), a .keras file, or a preset: "
        "fashion_mnist, digits. The network's settings are then the run's; other classes get a new class layer. "
        "Default: random weights.",
        path=ANY,
        search=_WEIGHTS,
    )

    feedback: str = setting(
        "Placement of feedback agreement units, a regulariser, in every module; two is half and same.",
        "none",
        group="feedback agreement units",
        choices=("none", *FEEDBACK_PLACEMENTS),
        search=Search(usual=list(FEEDBACK_PLACEMENTS)),
    )
    feedback_modules: tuple[int, ...] | None = setting(
        "Numbers of the modules with units, from 1. Default: all.",
        least=1,
        most=_LAYERS,
        unit_argument="modules",
        search=Search(refusal="every trial places units in the same modules"),
    )
    feedback_weight: float = setting(
        "Weight of the units' divergences in the loss, the paper's lambda.",
        10.0,
        least=0.0,
        most=_WEIGHT,
        unit_argument="weight",
        search=Search(usual=(0.01, 10.0), alias="lambda"),
    )
    epsilon: float = setting(
        "Regularisation strength of the Sinkhorn divergence.",
        1.0,
        least=1e-6,
        most=_WEIGHT,
        unit_argument="epsilon",
        used_with=_SINKHORN,
        search=Search(usual=(0.01, 10.0)),
    )
    relative_epsilon: bool = setting(
        "Whether epsilon is a share of the mean cost between the features.",
        False,
        unit_argument="relative_epsilon",
        used_with=_SINKHORN,
    )
    iterations: int = setting(
        "Sinkhorn iterations.",
        10,
        least=1,
        most=1_000_000,
        unit_argument="iterations",
        used_with=_SINKHORN,
        search=Search(usual=(5, 50)),
    )
    cost: str = setting(
        "Ground cost between features.",
        "cosine",
        choices=("cosine", "euclidean", "sqeuclidean"),
        unit_argument="cost",
        used_with=_SINKHORN,
    )
    debias: bool = setting(
        "Whether the units subtract the self-terms of the Sinkhorn divergence.",
        True,
        unit_argument="debias",
        used_with=_SINKHORN,
    )
    differentiate_plan: bool = setting(
        "Whether gradients pass through the transport plan.",
        False,
        unit_argument="differentiate_plan",
        used_with=_SINKHORN,
    )
    generator: str | None = setting(
        "The units' generators. Default: the network's.",
        choices=("capsule", "conv", "resize"),
        unit_argument="generator",
    )
    extractor: str = setting(
        "The units' extractors: conv is the paper's, wide has at least 16 features, none compares raw features.",
        "conv",
        choices=(*_EXTRACTORS, "none"),
        unit_argument="extractor",
    )
    divergence: str = setting(
        "Divergence of the units; paired is the mean of 1 - cosine between the features of the same image.",
        "sinkhorn",
        choices=("sinkhorn", "paired", "kl"),
        unit_argument="divergence",
    )
    extractor_objective: str = setting(
        "Training objective of the units' extractors.",
        "minimize",
        choices=("minimize", "adversarial", "frozen"),
        unit_argument="extractor_objective",
        used_with={"extractor": _EXTRACTORS},
    )
    target_gradient: bool = setting(
        "Whether the divergence moves the lower layer, too.", True, unit_argument="target_gradient"
    )

    reconstruction: str = setting(
        "Decoder that reconstructs each image from the capsule of its label, a regulariser: two hidden layers, or "
        "convolutions.",
        "none",
        group="reconstruction of images",
        choices=("none", *DECODERS),
    )
    reconstruction_weight: float | None = setting(
        "Weight of the reconstruction's mean squared error in the loss. Default: 0.0005 times the numbers in an image.",
        least=0.0,
        most=_WEIGHT,
        used_with={"reconstruction": DECODERS},
    )

    loss: str = setting(
        "Loss; crossentropy for networks without capsules.",
        "margin",
        group="training",
        choices=("margin", "spread", "crossentropy"),
    )
    optimizer: str = setting("Optimizer.", "adamw", choices=("adam", "adamw", "sgd"))
    learning_rate: float = setting("Peak learning rate.", 1e-3, least=0.0, most=1e38, search=Search(usual=(1e-4, 1e-2)))
    schedule: str = setting(
        "Learning rate over the run. constant: the peak rate; cosine: a short warm-up, then a cosine decay to 0; step: "
        "divided by 10 after each of --milestones; exponential: multiplied by --epoch_decay after each epoch.",
        "cosine",
        choices=("constant", "cosine", "step", "exponential"),
    )
    milestones: tuple[int, ...] = setting(
        "Epochs after which the step schedule divides the learning rate by 10.",
        (200, 300, 400),
        least=1,
        most=_EPOCHS,
        used_with={"schedule": ("step",)},
    )
    epoch_decay: float = setting(
        "Factor of the learning rate after each epoch in the exponential schedule.",
        0.95,
        least=1e-3,
        most=1.0,
        used_with={"schedule": ("exponential",)},
    )
    l2: float = setting(
        "L2 penalty of adam and sgd: adds this multiple of every weight to its gradient.",
        0.0,
        least=0.0,
        most=_WEIGHT,
        used_with={"optimizer": ("adam", "sgd")},
    )
    weight_decay: float = setting(
        "Decoupled weight decay of adamw.", 0.01, least=0.0, most=_WEIGHT, used_with={"optimizer": ("adamw",)}
    )
    ema: float = setting(
        "Momentum of an exponential moving average of the weights, which is validated and saved; 0: no average.",
        0.0,
        least=0.0,
        most=0.99999,
    )
    epochs: int = setting("Passes over the training images.", 40, least=1, most=_EPOCHS, search=_LENGTH)
    early_stopping: int = setting(
        "Ends training after this many epochs without a better validation accuracy; 0: trains all epochs.",
        0,
        least=0,
        most=_EPOCHS,
        search=_LENGTH,
    )
    batch_size: int = setting("Images per training step.", 64, least=1, most=2**20)
    clip_norm: float = setting("Clips the global gradient norm to this; 0: no clipping.", 0.0, least=0.0, most=_WEIGHT)
    accumulate_steps: int = setting(
        "Steps whose mean gradient makes one update, for batches that do not fit into memory.", 1, least=1, most=_EPOCHS
    )
    seed: int = setting(
        "Seed of weights, order and augmentation; repeats a run on the same machine only.",
        0,
        least=0,
        most=2**31 - 1,
        search=_SEED,
    )
    precision: str = setting(
        "Arithmetic of a step; weights and class scores stay float32.",
        "float32",
        group="arithmetic and devices",
        choices=("float32", "bfloat16", "float16"),
    )
    jit_compile: str = setting(
        "Whether XLA compiles the whole step; auto leaves it to Keras.", "auto", choices=("auto", "true", "false")
    )
    strategy: str = setting(
        "Where to train. auto: several workers if TF_CONFIG names them, else all GPUs, else one device.",
        "auto",
        choices=("auto", "one_device", "mirrored", "multi_worker"),
        search=_DEVICES,
    )
    replicas: int | None = setting(
        "Devices of --strategy=mirrored. Default: all GPUs. Without a GPU: virtual CPU devices, for trying it out.",
        least=1,
        most=1024,
        search=_DEVICES,
    )
    synchronized: bool = setting(
        "Whether batch normalisation takes its statistics over all replicas.", False, used_with=_SEVERAL_DEVICES
    )
    sync_replicas: bool = setting(
        "Whether feedback units compare the whole batch rather than each replica's share.",
        False,
        unit_argument="sync_replicas",
        used_with=_SEVERAL_DEVICES,
    )
    deterministic: bool = setting(
        "Whether two runs with one seed on one kind of machine give identical weights; may be slower.",
        False,
        search=_DEVICES,
    )
    checkpoint_steps: int = setting(
        "Steps between checkpoints, besides those at the end of every epoch; 0: none.",
        0,
        group="run folder",
        least=0,
        most=MOST,
        search=_CHECKPOINTS,
    )
    keep_checkpoints: int = setting("Number of newest checkpoints to keep.", 3, least=1, most=MOST, search=_CHECKPOINTS)
    routing_epochs: tuple[int, ...] | None = setting(
        "Epochs at which to record how capsules agree; 0: never. Default: first, a tenth, two fifths, last.",
        least=0,
        most=_EPOCHS,
        search=_AGREEMENT,
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check(field, getattr(self, field.name))
        object.__setattr__(self, "dataset", canonical_dataset_name(self.dataset))
        _check_augment(self.augment)
        check_composition(self.compose, self.augment, self.loss)
        if late := [epoch for epoch in self.routing_epochs or () if epoch > self.epochs]:
            raise UserError(f"--routing_epochs={late[0]}: expected at most --epochs={self.epochs}.")

    def to_json(self) -> dict:
        """Return the training configuration as a JSON-compatible dictionary."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in self.__dict__.items()}

    @classmethod
    def from_json(cls, values: dict) -> "Config":
        """Build a training configuration from a dictionary of settings loaded from JSON.

        Raises:
            UserError: a setting is unknown or does not take its value.
        """
        return cls(**values_from_json(dataclasses.fields(cls), values))


def settings() -> tuple[dataclasses.Field, ...]:
    """Return the dataclass fields of the training configuration, one for each setting."""
    return dataclasses.fields(Config)


def network_settings() -> tuple[str, ...]:
    """Return the names of the training settings that define the network architecture.

    They are passed to the function that builds the network.
    """
    return tuple(field.name for field in settings() if field.metadata["network"])


def _check_augment(names):
    has_base = isinstance(names, tuple) and names and names[0] in AUGMENT_BASES and len(set(names)) == len(names)
    if not has_base or any(name in AUGMENT_BASES for name in names[1:]):
        raise UserError(
            f"--augment={','.join(names)}: expected one base ({', '.join(AUGMENT_BASES)}) and then any of "
            f"{', '.join(AUGMENT_EXTRAS)}, each once."
        )
