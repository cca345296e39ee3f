import sys, requests
answer = requests.get(sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]}, stream=True)
assert answer.headers["Content-Encoding"] == "gzip"
for piece in answer.iter_content(65536):
    sys.stdout.buffer.write(piece)
