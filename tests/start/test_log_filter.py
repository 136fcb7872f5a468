"""Which lines of a process's standard error are TensorFlow's log, and which are shown."""

import doctest

import pytest

from encapnet_start import log_filter
from encapnet_start.log_filter import LogFilter

HIDDEN = [
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795698171.933532   17885 port.cc:153] oneDNN custom operations are on. You may see slightly",
    "W0000 00:00:1795698171.933998   17885 cudart_stub.cc:31] Could not find cuda drivers on your machine",
    "I1126 13:03:05.239161 139788132604800 mirrored_strategy.py:423] Using MirroredStrategy with devices",
    "2026-11-26 13:02:51.123456: I tensorflow/core/platform/cpu_feature_guard.cc:182] This TensorFlow binary",
    "2026-11-26 13:02:51.123456: W external/local_tsl/tsl/framework/cpu_allocator_impl.cc:83] Allocation of 9",
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
    "E0000 00:00:1795740842.141570   16322 util.cc:131] oneDNN supports DT_UINT8 only on platforms with AVX-512. "
    "Falling back to the default Eigen-based implementation if present.",
    "E0000 00:00:1795698994.536902   32268 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: "
    "Failed call to cuInit: UNKNOWN ERROR (303)",
    "E0000 00:00:1795698994.536902 32268 cuda_dnn.cc:8310] Unable to register cuDNN factory: Attempting to register "
    "factory for plugin cuDNN when one has already been registered",
]
SHOWN = [
    "E0000 00:00:1795698171.933532   17885 cuda_platform.cc:52] failed call to cuInit: CUDA_ERROR_UNKNOWN (999)",
    "F0000 00:00:1795698171.933532   17885 tensor.cc:10] Check failed: 1 == 2",
    "2026-11-26 13:02:51.123456: E tensorflow/core/x.cc:1] out of memory",
    "2026-11-26 13:02:51.123456: F tensorflow/core/x.cc:1] Check failed",
    "WARNING: the disk is nearly full",
    "To enable the following instructions: read the manual",
    "Interrupted.",
    "I like port.cc:153] oneDNN",
    "Segmentation fault",
    "",
]


@pytest.mark.parametrize("line", HIDDEN)
def test_log_lines_are_hidden(line):
    assert LogFilter().feed(f"{line}\n".encode()) == b""


@pytest.mark.parametrize("line", SHOWN)
def test_errors_and_other_lines_are_shown(line):
    text = f"{line}\n".encode()
    assert LogFilter().feed(text) == text
    assert LogFilter().feed(f"{HIDDEN[1]}\nx\n".encode() + text) == b"x\n" + text


def test_only_known_lines_continue_a_message():
    log = LogFilter()
    assert log.feed(f"{HIDDEN[4]}\nTo enable the following instructions: AVX2\n\t [[{{{{node x}}}}]]\n".encode()) == b""
    assert log.feed(b"Killed\n\t [[{{node x}}]]\n") == b"Killed\n\t [[{{node x}}]]\n", "the error's own lines"


def test_lines_in_pieces():
    log = LogFilter()
    shown = b"".join(log.feed(bytes([byte])) for byte in f"{HIDDEN[1]}\nerror \xff\n".encode("latin-1"))
    assert shown == b"error \xff\n"


def test_a_line_without_an_end():
    log = LogFilter()
    assert not log.holds_text
    assert log.feed(b"50 %") == b""
    assert log.holds_text
    assert log.flush() == b"50 %"
    assert log.flush() == b""
    rest = b"\rI0000 00:00:1.5 17 x.cc:1] part of that line\n"
    assert log.feed(rest) == rest
    log.feed(HIDDEN[1].encode())
    assert log.flush() == b""
    assert log.feed(b" and its end\nshown\n") == b"shown\n"


def test_the_example():
    assert doctest.testmod(log_filter).failed == 0
