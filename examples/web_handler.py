"""A fine-tuned model behind a web address, with Python's own server: POST a JSON list of texts, get a list of answers.

python examples/web_handler.py outputs/quickstart
curl http://127.0.0.1:8000 -d '["시간 가는 줄 모르고 봤어요", "돈이 아까워요"]'

The same few lines go into a handler of any other framework: load the classifier once, when the process starts, and
call it with a list. Threads may share it.
"""

import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import hfcls

MOST_BYTES = 1_000_000
MOST_TEXTS = 256


class Handler(BaseHTTPRequestHandler):
    classifier: hfcls.Classifier

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            self.answer(413, {"error": f"Content-Length {length or 'missing'}, at most {MOST_BYTES} bytes are taken"})
            return
        try:
            texts = json.loads(self.rfile.read(int(length)))
        except ValueError:  # neither JSON nor UTF-8
            texts = None
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            self.answer(400, {"error": 'send a JSON list of texts, such as ["좋아요"]'})
        elif len(texts) > MOST_TEXTS:
            self.answer(413, {"error": f"{len(texts)} texts, at most {MOST_TEXTS} are taken"})
        else:
            try:
                self.answer(200, self.classifier(texts))
            except hfcls.HfclsError as error:  # such as half a character, which JSON can hold
                self.answer(400, {"error": str(error)})

    def answer(self, status: int, content: object) -> None:
        body = json.dumps(content, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder that hfcls train wrote, or a Hub id")
    parser.add_argument("--port", type=int, default=8000, help="0: any free one (default 8000)")
    args = parser.parse_args()

    Handler.classifier = hfcls.Classifier.from_pretrained(args.model)
    with ThreadingHTTPServer(("127.0.0.1", args.port), Handler) as server:  # this machine only
        print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
