"""flask_route.py <sample>: runs a sample that defines a route, with what it takes for granted."""

import os
import sys

from flask import Flask, request  # noqa: F401  the sample uses request
from werkzeug.serving import make_server

app = Flask(__name__)
WEBHOOK_SECRET = os.environ["WEBHOOK_SECRET"]
with open(sys.argv[1], encoding="utf-8") as sample:
    exec(sample.read(), globals())

server = make_server("127.0.0.1", 0, app, threaded=True)
print("listening", server.server_port, flush=True)
server.serve_forever()
