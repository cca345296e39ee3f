"""What many would write: reports as XML text in SQLite, streamed by Flask. A token is checked."""

import hashlib
import sqlite3
import sys

END = b"</session>\n"
PIECE_CHARS = 1 << 18


def load(document, path):
    store = sqlite3.connect(path)
    store.execute("PRAGMA journal_mode=WAL")
    store.execute("CREATE TABLE token (hash BLOB PRIMARY KEY)")
    store.execute("CREATE TABLE session (start INTEGER, lsid TEXT, xml TEXT)")
    store.execute("CREATE INDEX by_start ON session (start)")
    store.execute("INSERT INTO token VALUES (?)", (hashlib.sha256(b"TOKEN").digest(),))
    with open(document, "rb") as file:
        rest = b""
        while piece := file.read(1 << 22):
            *sessions, rest = (rest + piece).split(END)
            for session in sessions:
                xml = session[session.index(b"<session ") :] + END
                lsid = xml.split(b'"', 2)[1].decode()
                start = int(xml.split(b'<start_time timestamp="', 1)[1].split(b'"', 1)[0])
                store.execute("INSERT INTO session VALUES (?, ?, ?)", (start, lsid, xml.decode()))
    store.commit()


def create(path):
    from flask import Flask, Response, abort, request

    app = Flask(__name__)

    @app.get("/api/reporting")
    def report():
        store = sqlite3.connect(path)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        digest = hashlib.sha256(token.encode()).digest()
        if not store.execute("SELECT 1 FROM token WHERE hash = ?", (digest,)).fetchone():
            abort(401)
        since = int(request.args["start_time"])

        def pieces():
            yield '<?xml version="1.0" encoding="UTF-8"?>\n<session_list>\n'
            found = store.execute("SELECT xml FROM session WHERE ? <= start ORDER BY start", (since,))
            held, n_chars = [], 0
            for (xml,) in found:
                held.append(xml)
                n_chars += len(xml)
                if PIECE_CHARS <= n_chars:
                    yield "".join(held)
                    held, n_chars = [], 0
            yield "".join(held) + "</session_list>\n"

        return Response(pieces(), mimetype="text/xml")

    return app


if __name__ == "__main__":
    load(sys.argv[1], sys.argv[2])
