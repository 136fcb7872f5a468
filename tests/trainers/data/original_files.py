"""Writers of small files in the formats in which CIFAR and SVHN are distributed."""

import io
import pickle
import struct
import tarfile

import numpy as np

TRAIN_10 = tuple(f"data_batch_{i}" for i in range(1, 6))


def _short(text: bytes) -> bytes:
    return b"U" + bytes([len(text)]) + text


def _number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def python_2_pickle(label_key: str, data, labels) -> bytes:
    """Return what Python 2's cPickle and NumPy 1 write for a batch of CIFAR: texts are bytes strings."""
    rows, columns = data.shape
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + _short(b"b") + b"\x87R(K\x01"
        + _number(rows) + _number(columns) + b"\x86cnumpy\ndtype\n" + _short(b"u1") + b"K\x00K\x01\x87R(K\x03"
        + _short(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<i", data.size)
        + data.tobytes() + b"tb"
    )  # fmt: skip
    label_list = b"](" + b"".join(map(_number, labels)) + b"e"
    names = b"](" + b"".join(_short(b"leaf_s_%06d.png" % i) for i in range(rows)) + b"e"
    items = (_short(b"data") + array, _short(label_key.encode()) + label_list, _short(b"filenames") + names)
    return b"\x80\x02}q\x01(" + b"".join(items) + b"u."


def images_and_labels(n: int, classes: int, seed: int):
    """Return images (n, 32, 32, 3) whose pixel (3, 7) has a colour that tells the label, and the labels."""
    labels = np.arange(n) % classes
    images = np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3)).astype(np.uint8)
    images[:, 3, 7] = np.stack([labels, 2 * labels, 255 - labels], axis=1)
    return images, labels


def cifar_files(classes: int, write=python_2_pickle) -> dict[str, bytes]:
    """Return the files of a small CIFAR-10 or CIFAR-100 by name: 20 or 200 training and 20 or 100 test images."""
    names = (*TRAIN_10, "test_batch") if classes == 10 else ("train", "test")
    key = "labels" if classes == 10 else "fine_labels"
    files = {}
    for seed, name in enumerate(names):
        images, labels = images_and_labels(2 * classes, classes, seed)
        rows = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)
        files[name] = write(key, rows, labels.tolist())
    return files


def write_folder(folder, files: dict[str, bytes]):
    """Write files into a folder."""
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def write_archive(path, files: dict[str, bytes], inside: str = "cifar-10-batches-py", mode: str = "w:gz"):
    """Write files into a tar archive, in a folder inside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"{inside}/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def python_3_pickle(protocol: int):
    """Return a writer of a batch of CIFAR with the installed NumPy, in a protocol of pickle."""

    def write(label_key: str, data, labels) -> bytes:
        return pickle.dumps({"data": data, label_key: labels}, protocol)

    return write


def write_svhn(folder, train: int = 40, test: int = 20):
    """Write SVHN's two MATLAB files, in which the digit 0 has the label 10."""
    from scipy.io import savemat

    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, n) in enumerate({"train_32x32.mat": train, "test_32x32.mat": test}.items()):
        images, labels = images_and_labels(n, 10, seed)
        labels = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        savemat(folder / name, {"X": images.transpose(1, 2, 3, 0), "y": labels}, do_compression=True)
