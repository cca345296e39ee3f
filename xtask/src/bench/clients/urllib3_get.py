import sys, urllib3
headers = {"Authorization": "Bearer " + sys.argv[2], "Accept-Encoding": "gzip"}
answer = urllib3.PoolManager().request("GET", sys.argv[1], headers=headers, preload_content=False)
assert answer.headers["Content-Encoding"] == "gzip"
for piece in answer.stream(65536, decode_content=True):
    sys.stdout.buffer.write(piece)
