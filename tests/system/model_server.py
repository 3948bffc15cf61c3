"""model_server.py PORT: a model that says "ready.", and keeps in /run/model-asked with which key it was asked."""

import http.server
import sys

ANSWER = (
    b'data: {"choices": [{"index": 0, "delta": {"content": "ready."}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
)


class Model(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with open("/run/model-asked", "a", encoding="ascii") as file:
            file.write(f"{self.headers['Authorization']}\n")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(ANSWER)


if __name__ == "__main__":
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Model).serve_forever()
