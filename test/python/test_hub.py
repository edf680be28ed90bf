"""One cache for this tool and for huggingface_hub itself, filled by either from the same Hub on loopback."""

import glob
import json
import os
import subprocess
import sys
import tempfile
import unittest

import torch

from support import ROOT, TOOL, llama, save, tuned

SERVER = os.path.join(ROOT, "dist", "test", "support", "serve-hub.js")
BASE, DELTA = "huggyllama/llama-7b", "lmsys/vicuna-7b-delta-v1.1"


class HubTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = lambda name: os.path.join(scratch.name, name)
        base = llama(torch.float16, seed=1)
        target = tuned(base)
        old, new = base.state_dict(), target.state_dict()
        target.load_state_dict({name: new[name] - old[name] for name in new})
        save(base, self.folder("base"), True)
        save(target, self.folder("delta"), False)
        models = [f"{BASE}={self.folder('base')}", f"{DELTA}={self.folder('delta')}"]
        self.server = subprocess.Popen(
            ["node", SERVER, self.folder("log"), *models], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(self.server.communicate)
        # huggingface_hub reads the environment when it is imported, so it runs in a process of its own.
        self.env = {
            **os.environ,
            "HF_ENDPOINT": self.server.stdout.readline().strip(),
            "HF_HOME": self.folder("home"),
            "HF_HUB_OFFLINE": "0",
        }

    def python(self, code):
        """Runs code that has `hub`, and gives what it leaves in `result`."""
        program = f"import json, huggingface_hub as hub\n{code}\nprint(json.dumps(result))"
        done = subprocess.run([sys.executable, "-c", program], env=self.env, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def tool(self, target, *options):
        models = ["--base", BASE, "--delta", DELTA, "--target", self.folder(target)]
        command = ["node", TOOL, *models, "--json", *options]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def content_requests(self):
        """The requests for content since the last call."""
        with open(self.folder("log")) as file:
            lines = [line for line in file if " content " in line]
        open(self.folder("log"), "w").close()
        return lines

    def assert_same_as_source(self, snapshot, source):
        for path in glob.glob(os.path.join(snapshot, "*")):
            with open(path, "rb") as ours, open(os.path.join(self.folder(source), os.path.basename(path)), "rb") as theirs:
                self.assertEqual(ours.read(), theirs.read(), path)

    def test_python_takes_what_the_tool_downloaded(self):
        self.tool("out")
        self.assertTrue(self.content_requests())
        cache = self.python(
            "cache = hub.scan_cache_dir()\n"
            "result = {'warnings': [str(w) for w in cache.warnings],"
            " 'repos': {r.repo_id: [[sorted(v.refs), v.commit_hash, len(v.files)] for v in r.revisions] for r in cache.repos}}"
        )
        # Newer versions put the tag there themselves; this one takes it for a repository.
        warnings = [text for text in cache["warnings"] if not text.endswith("CACHEDIR.TAG")]
        self.assertEqual(warnings, [])
        self.assertEqual(set(cache["repos"]), {BASE, DELTA})
        for name, source in ((BASE, "base"), (DELTA, "delta")):
            ((refs, commit, count),) = cache["repos"][name]
            self.assertEqual(refs, ["main"])
            path = self.python(f"result = hub.snapshot_download({name!r}, local_files_only=True)")
            self.assertEqual(os.path.basename(path), commit)
            self.assertEqual(len(os.listdir(path)), count)
            self.assert_same_as_source(path, source)
        # Online, Python asks for what is missing and finds that nothing is.
        self.python(f"result = [hub.snapshot_download(name) for name in ({BASE!r}, {DELTA!r})]")
        self.assertEqual(self.content_requests(), [])

    def test_the_tool_takes_what_python_downloaded(self):
        self.python(f"result = [hub.snapshot_download(name) for name in ({BASE!r}, {DELTA!r})]")
        self.assertTrue(self.content_requests())
        self.tool("online")
        self.assertEqual(self.content_requests(), [])
        self.tool("offline", "--offline")
        for name in ("online", "offline"):
            self.assertTrue(os.path.exists(os.path.join(self.folder(name), "model.safetensors")))

    def test_an_unfinished_download_of_the_tool_doesnt_confuse_python(self):
        path = self.python(f"result = hub.snapshot_download({BASE!r})")
        (weights, *_) = glob.glob(os.path.join(path, "*.safetensors"))
        blob = os.path.realpath(weights)
        os.remove(blob)
        os.remove(weights)
        with open(f"{blob}.ranges.incomplete", "wb") as file:
            file.write(bytes(100_000))
        with open(f"{blob}.ranges.json", "w") as file:
            json.dump({"byteLength": 1, "ranges": [[0, 1]]}, file)
        self.python(f"result = hub.snapshot_download({BASE!r})")
        self.assert_same_as_source(path, "base")
        self.assertEqual(self.python("result = [str(w) for w in hub.scan_cache_dir().warnings]"), [])

    def test_python_downloads_what_the_tool_sent(self):
        self.env["HF_TOKEN"] = "hf_test_token_with_access"
        uploaded = self.tool("out", "--checksums", "--max-shard-size", "1MB", "--upload", "owner/merged", "--private")
        path = self.python("result = hub.snapshot_download('owner/merged')")
        self.assertEqual(os.path.basename(path), uploaded["upload"]["commit"])
        names = [name for name in sorted(os.listdir(path)) if name != ".gitattributes"]
        self.assertEqual(names, sorted(os.listdir(self.folder("out"))))
        self.assert_same_as_source(path, "out")


if __name__ == "__main__":
    unittest.main()
