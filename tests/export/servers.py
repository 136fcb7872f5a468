"""Small servers for tests, with TF Serving's two protocols, that run a SavedModel."""

import base64
import http.server
import json
import threading
from concurrent import futures
from contextlib import contextmanager

import tensorflow as tf


@contextmanager
def rest_server(saved_model, name):
    """Yield the model's URL."""
    signatures = tf.saved_model.load(str(saved_model)).signatures

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != f"/v1/models/{name}:predict":
                return self.answer(404, {"error": f"Servable not found for request: Latest({self.path})"})
            try:
                files = [base64.b64decode(row["b64"]) for row in body["instances"]]
                outputs = signatures[body["signature_name"]](images=tf.constant(files, tf.string))
            except tf.errors.OpError as error:
                return self.answer(400, {"error": error.message})
            rows = zip(*(value.numpy().tolist() for value in outputs.values()), strict=True)
            return self.answer(200, {"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]})

        def answer(self, status, value):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/models/{name}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def grpc_server(saved_model, name):
    """Yield the model's address."""
    import grpc
    from encapnet_tf.export.serving.messages import PredictRequest, PredictResponse

    signatures = tf.saved_model.load(str(saved_model)).signatures

    def predict(request, context):
        if request.model_spec.name != name:
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request")
        images = tf.make_ndarray(request.inputs["images"])
        try:
            outputs = signatures[request.model_spec.signature_name](images=tf.constant(images))
        except tf.errors.OpError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        response = PredictResponse()
        for key, value in outputs.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value.numpy()))
        return response

    handler = grpc.unary_unary_rpc_method_handler(
        predict, PredictRequest.FromString, lambda message: message.SerializeToString()
    )
    server = grpc.server(futures.ThreadPoolExecutor(2))
    service = grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", {"Predict": handler})
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}/v1/models/{name}"
    finally:
        server.stop(0)
