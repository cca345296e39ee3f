import sys, httpx
headers = {"Authorization": "Bearer " + sys.argv[2]}
with httpx.stream("GET", sys.argv[1], headers=headers, timeout=60) as answer:
    assert answer.headers["Content-Encoding"] == "gzip"
    for piece in answer.iter_bytes():
        sys.stdout.buffer.write(piece)
