"""Small networks with a feedback agreement unit, one with a decoder, each built by a function of `sync_replicas`."""

import keras

import encapnet_tf as en

SHAPE, CLASSES = (8, 8, 2), 3


def encapnet(sync):
    options = {"weight": 0.5, "epsilon": 0.5, "sync_replicas": sync}
    model = en.models.EncapNet(
        SHAPE, CLASSES, depths=(1,), capsule_dims=(2,), strides=(2,), num_capsules=2, feedback="two",
        feedback_options=options, synchronized=sync,
    )  # fmt: skip
    return en.attach_reconstruction(model, decoder="conv")


class Subclassed(keras.Model):
    """Subclassed model with a unit called in its `call`, as a user would write it."""

    def __init__(self, sync):
        super().__init__()
        self.lower = keras.layers.Conv2D(4, 3, padding="same", activation="relu")
        self.norm = keras.layers.BatchNormalization(synchronized=sync)
        self.higher = keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")
        self.agreement = en.layers.FeedbackAgreement(0.5, generator="conv", synchronized=sync, sync_replicas=sync)
        self.head = keras.layers.Dense(CLASSES)

    def call(self, inputs, training=None):
        lower = self.norm(self.lower(inputs), training=training)
        higher = self.agreement([self.higher(lower), lower], training=training)
        return self.head(keras.ops.mean(higher, axis=(1, 2)))


def attached(sync, **options):
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="lower")(inputs)
    x = keras.layers.BatchNormalization(synchronized=sync)(x)
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="higher")(x)
    x = keras.layers.Dense(CLASSES)(keras.layers.GlobalAveragePooling2D()(x))
    options = {"weight": 0.5, "synchronized": sync, "sync_replicas": sync, **options}
    return en.attach_feedback(keras.Model(inputs, x), [("higher", "lower")], **options)


def adversarial(sync):
    return attached(sync, extractor_objective="adversarial")


NETWORKS = {"encapnet": encapnet, "subclassed": Subclassed, "attached": attached, "adversarial": adversarial}
