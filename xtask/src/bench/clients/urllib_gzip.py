import gzip, shutil, sys, urllib.request
request = urllib.request.Request(sys.argv[1])
request.add_header("Authorization", "Bearer " + sys.argv[2])
request.add_header("Accept-Encoding", "gzip")
with urllib.request.urlopen(request) as answer:
    assert answer.headers["Content-Encoding"] == "gzip"
    shutil.copyfileobj(gzip.GzipFile(fileobj=answer), sys.stdout.buffer)
