"""What programs do with boto3, unmodified: put, ranged get, transfers in parts, copies, keys of all kinds, presigned
URLs and forms, pages, deletion."""

import hashlib
import io
import json
import os
import urllib.request
import uuid
from http.client import HTTPConnection
from urllib.parse import urlsplit

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

BUCKET = os.environ["BUCKET"]
s3 = boto3.client(
    "s3",
    endpoint_url=os.environ["ENDPOINT"],
    config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"),
)
print("boto3", boto3.__version__)
s3.create_bucket(Bucket=BUCKET)
s3.put_object(Bucket=BUCKET, Key="small", Body=b"hello minikv", Metadata={"color": "green"})
got = s3.get_object(Bucket=BUCKET, Key="small")
assert got["Body"].read() == b"hello minikv"
assert got["Metadata"] == {"color": "green"}
part = s3.get_object(Bucket=BUCKET, Key="small", Range="bytes=6-")
assert part["Body"].read() == b"minikv"

try:
    s3.put_object(Bucket=BUCKET, Key="small", Body=b"again", IfNoneMatch="*")
    raise AssertionError("a second If-None-Match: * went through")
except ClientError as error:
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 412, error
except Exception as error:  # Debian's version does not know the parameter yet
    assert "IfNoneMatch" in str(error), error

folder = os.environ["FOLDER"]
large = os.path.join(folder, "large.bin")
with open(large, "wb") as out:
    for i in range(18 * 1024):
        out.write(hashlib.sha256(str(i).encode()).digest() * 32)
transfer = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=5 << 20)
s3.upload_file(large, BUCKET, "large", Config=transfer)
s3.download_file(BUCKET, "large", large + ".back", Config=transfer)
with open(large, "rb") as a, open(large + ".back", "rb") as b:
    assert a.read() == b.read()
with open(large, "rb") as stream:
    s3.upload_fileobj(stream, BUCKET, "streamed", Config=transfer)
into = io.BytesIO()
s3.download_fileobj(BUCKET, "streamed", into)
with open(large, "rb") as a:
    assert a.read() == into.getvalue()

s3.copy({"Bucket": BUCKET, "Key": "large"}, BUCKET, "copied", Config=transfer)
assert s3.head_object(Bucket=BUCKET, Key="copied")["ContentLength"] == os.path.getsize(large)


def get_as_written(url):
    """The path as it stands in the URL: `..` is part of a key."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc)
    connection.request("GET", f"{parts.path}?{parts.query}")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


names = json.loads(os.environ["KEYS"])
for name in names:
    body = name.encode()
    s3.put_object(Bucket=BUCKET, Key=name, Body=body)
    assert s3.get_object(Bucket=BUCKET, Key=name)["Body"].read() == body, name
    url = s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": name}, 60)
    assert get_as_written(url) == (200, body), name
    s3.copy_object(Bucket=BUCKET, Key="copy of a name", CopySource={"Bucket": BUCKET, "Key": name})
    assert s3.get_object(Bucket=BUCKET, Key="copy of a name")["Body"].read() == body, name
listed = {o["Key"] for o in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
assert set(names) <= listed, set(names) - listed
gone = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": name} for name in names]})
assert sorted(o["Key"] for o in gone["Deleted"]) == sorted(names), gone

url = s3.generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": "by url + put"}, 60)
request = urllib.request.Request(url, data=b"from afar", method="PUT", headers={"content-type": ""})
assert urllib.request.urlopen(request).status == 200
assert s3.get_object(Bucket=BUCKET, Key="by url + put")["Body"].read() == b"from afar"
form = s3.generate_presigned_post(BUCKET, "forms/${filename}", ExpiresIn=60)
mark = uuid.uuid4().hex
lines = [
    f'--{mark}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    for name, value in form["fields"].items()
]
lines.append(f'--{mark}\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\n')
body = ("".join(lines) + f"in a form\r\n--{mark}--\r\n").encode()
headers = {"content-type": f"multipart/form-data; boundary={mark}"}
assert urllib.request.urlopen(urllib.request.Request(form["url"], body, headers)).status == 204
assert s3.get_object(Bucket=BUCKET, Key="forms/a.txt")["Body"].read() == b"in a form"

for i in range(25):
    s3.put_object(Bucket=BUCKET, Key=f"list/{i:03}", Body=b"x")
pages = s3.get_paginator("list_objects_v2").paginate(
    Bucket=BUCKET, Prefix="list/", PaginationConfig={"PageSize": 10}
)
assert [o["Key"] for p in pages for o in p["Contents"]] == [f"list/{i:03}" for i in range(25)]

keys = [o["Key"] for o in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
gone = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": k} for k in keys]})
assert len(gone["Deleted"]) == len(keys), gone
s3.delete_bucket(Bucket=BUCKET)
