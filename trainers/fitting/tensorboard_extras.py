"""What TensorBoard gets beside Keras's curves (in which the units' divergences are): capsule lengths, sample images."""

import keras
import tensorflow as tf

_SAMPLES = 16


class TensorBoardExtras(keras.callbacks.Callback):
    """Writes histograms of capsule lengths on some validation images after each epoch, and training images once.

    Args:
        folder: where TensorBoard's files of the run are.
        images, labels: (n, height, width, channels) as the network takes them, and their classes (n,).
        samples: a batch of training images, augmented, (n, height, width, channels) from 0 to 255.
    """

    def __init__(self, folder, images, labels, samples):
        super().__init__()
        self.folder, self.images, self.labels, self.samples = folder, images, labels, samples

    def on_train_begin(self, logs=None):
        self._writer = tf.summary.create_file_writer(str(self.folder / "capsules"))
        if self.samples.shape[-1] in (1, 3):
            pixels = tf.clip_by_value(self.samples[:_SAMPLES] / 255, 0, 1)
            with self._writer.as_default():
                tf.summary.image("training images", pixels, step=0, max_outputs=_SAMPLES)

    def on_epoch_end(self, epoch, logs=None):
        lengths = tf.cast(self.model(self.images, training=False), "float32")
        own = tf.one_hot(self.labels, lengths.shape[-1], on_value=True, off_value=False, dtype=tf.bool)
        with self._writer.as_default():
            tf.summary.histogram("length, the true class", lengths[own], step=epoch)
            tf.summary.histogram("length, other classes", lengths[~own], step=epoch)
        self._writer.flush()

    def on_train_end(self, logs=None):
        self._writer.close()
