"""Answers by the PyPI package authweave-webhooks, which verifies v1a alone."""

import asyncio
import base64
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from authweave_core import ReplayOutcome
from authweave_webhooks import (
    Ed25519PublicKey,
    PublicKeyDocument,
    StandardWebhooksVerifier,
    StaticPublicKeyResolver,
    WebhookVerificationError,
)

WHO = {"environment": "test", "owner": "us", "endpoint": "here"}
key = Ed25519PublicKey(base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whpk_")))
document = PublicKeyDocument(version="1", not_before=0, retire_after=None, keys=(key,), **WHO)


class EveryTimeNew:
    """Retries and replays repeat an id, and are to be verified too."""

    async def check_and_store(self, key, *, ttl_seconds):
        return ReplayOutcome.STORED


verifier = StandardWebhooksVerifier(
    StaticPublicKeyResolver(document),
    replay_store=EveryTimeNew(),
    time_source=lambda: int(time.time()),
    **{f"expected_{name}": value for name, value in WHO.items()},
)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            asyncio.run(verifier.verify(headers=list(self.headers.items()), body=body))
            self.send_response(200)
        except WebhookVerificationError as error:
            print(error, flush=True)
            self.send_response(401)
        self.end_headers()


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print("listening", server.server_port, flush=True)
server.serve_forever()
