"""Answers with what the PyPI package cloudevents reads from a request: all attributes, and the data."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cloudevents.core.bindings.http import HTTPMessage, from_http_event


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            event = from_http_event(HTTPMessage(headers, body))
            seen = {"attributes": event.get_attributes(), "data": event.get_data()}
            status, answer = 200, json.dumps(seen, default=lambda time: time.isoformat(), sort_keys=True)
        except Exception as error:  # noqa: BLE001  whatever it is, the test shall read it
            status, answer = 400, repr(error)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer.encode())


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print("listening", server.server_port, flush=True)
server.serve_forever()
