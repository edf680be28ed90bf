"""An expired login of huggingface_hub 2 is renewed by the command that the tool's hint names."""

import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest

from support import ROOT, TOOL

NEW = {"access_token": "hf_oauth_new", "token_type": "bearer", "expires_in": 3600, "refresh_token": "again"}


class Hub(http.server.BaseHTTPRequestHandler):
    """Renews logins, and rejects all tokens but the new one."""

    def log_message(self, *_):
        pass

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(200, NEW if self.path == "/oauth/token" else {})

    def do_GET(self):
        token = self.headers.get("authorization")
        self.server.seen.append((self.path.split("/")[2], token))
        if token != "Bearer hf_oauth_new":
            self.answer(401, {"error": "Invalid credentials"})
        elif self.path.startswith("/api/whoami"):
            self.answer(200, {"type": "user", "name": "someone", "orgs": [], "auth": {"type": "oauth"}})
        else:
            self.answer(404, {"error": "Repository not found"})


class LoginTest(unittest.TestCase):
    def test_the_hint_renews_a_login(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
        server.seen = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        with tempfile.TemporaryDirectory() as home:
            with open(os.path.join(home, "token"), "w") as file:
                file.write("hf_oauth_old")
            with open(os.path.join(home, "stored_tokens"), "w") as file:
                file.write("[login]\nhf_token = hf_oauth_old\nrefresh_token = once\nexpires_at = 1000000000\n")
            env = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": home}
            env.update(HF_HUB_OFFLINE="0", HF_TOKEN="", PYTHONPATH=os.path.join(ROOT, ".venv", "hub-v2"))

            def inspect():
                command = ["node", TOOL, "inspect", "owner/model"]
                return subprocess.run(command, env=env, capture_output=True, text=True).stderr

            before = inspect()
            self.assertIn("Your login on the Hub has expired.", before)
            self.assertIn("hf auth whoami", before)
            whoami = [sys.executable, "-m", "huggingface_hub.cli.hf", "auth", "whoami"]
            done = subprocess.run(whoami, env=env, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotIn("login", inspect())
            self.assertEqual(server.seen[0], ("models", "Bearer hf_oauth_old"))
            self.assertEqual(server.seen[-1], ("models", "Bearer hf_oauth_new"))
