import sys, urllib.request, zlib
request = urllib.request.Request(sys.argv[1])
request.add_header("Authorization", "Bearer " + sys.argv[2])
request.add_header("Accept-Encoding", "gzip")
with urllib.request.urlopen(request) as answer:
    assert answer.headers["Content-Encoding"] == "gzip"
    one_member = zlib.decompressobj(31)
    while piece := answer.read(65536):
        sys.stdout.buffer.write(one_member.decompress(piece))
    sys.stdout.buffer.write(one_member.flush())
    assert one_member.eof and not one_member.unused_data
