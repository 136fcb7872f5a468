"""Verification of exports without the two processes in which SavedModels are loaded otherwise."""


def verify_in_this_process(monkeypatch):
    """Load SavedModels in this process when an export is verified, until the patch is undone."""
    import tensorflow as tf
    from encapnet_tf.export.verification import runtimes

    def run(path, requests):
        signatures = tf.saved_model.load(str(path)).signatures
        answers = [signatures[signature](images=tf.constant(images)) for signature, images in requests]
        return [{name: value.numpy() for name, value in outputs.items()} for outputs in answers]

    monkeypatch.setattr(runtimes, "in_fresh_process", run)
    monkeypatch.setattr(runtimes, "through_c_api", run)
