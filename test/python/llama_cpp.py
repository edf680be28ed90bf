"""llama.cpp itself, prebuilt in xllamacpp: what it makes of a GGUF."""

import json
import urllib.request

import xllamacpp


class LlamaCpp:
    """A GGUF, loaded by llama.cpp's server on loopback. Raises where llama.cpp doesn't take the file."""

    def __init__(self, path):
        params = xllamacpp.CommonParams()
        params.model.path = path
        params.n_ctx = 256
        params.n_parallel = 1
        params.cpuparams.n_threads = 1
        params.warmup = False
        params.use_jinja = True
        params.port = 0
        params.verbosity = -1
        self.server = xllamacpp.Server(params)

    def ask(self, path, **document):
        body = json.dumps(document).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.server.listening_address + path, body, headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def tokenize(self, text):
        return self.ask("/tokenize", content=text, add_special=True)["tokens"]

    def next_token(self, tokens):
        """The most probable one behind these."""
        answer = self.ask("/completion", prompt=tokens, n_predict=1, temperature=0, return_tokens=True, cache_prompt=False)
        return answer["tokens"][0]
