"""What boto3 does with an unmodified client: put, ranged get, multipart by the transfer manager, copy, deletion."""

import hashlib
import os

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client(
    "s3",
    endpoint_url=os.environ["ENDPOINT"],
    config=Config(s3={"addressing_style": "path"}),
)
s3.create_bucket(Bucket="boto3")
s3.put_object(Bucket="boto3", Key="small", Body=b"hello minikv", Metadata={"color": "green"})
got = s3.get_object(Bucket="boto3", Key="small")
assert got["Body"].read() == b"hello minikv"
assert got["Metadata"] == {"color": "green"}
part = s3.get_object(Bucket="boto3", Key="small", Range="bytes=6-")
assert part["Body"].read() == b"minikv"

try:
    s3.put_object(Bucket="boto3", Key="small", Body=b"again", IfNoneMatch="*")
    raise AssertionError("a second If-None-Match: * went through")
except ClientError as error:
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 412, error

folder = os.environ["FOLDER"]
large = os.path.join(folder, "large.bin")
with open(large, "wb") as out:
    for i in range(18 * 1024):
        out.write(hashlib.sha256(str(i).encode()).digest() * 32)
transfer = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=5 << 20)
s3.upload_file(large, "boto3", "large", Config=transfer)
s3.download_file("boto3", "large", large + ".back", Config=transfer)
with open(large, "rb") as a, open(large + ".back", "rb") as b:
    assert a.read() == b.read()

s3.copy({"Bucket": "boto3", "Key": "large"}, "boto3", "copied", Config=transfer)
assert s3.head_object(Bucket="boto3", Key="copied")["ContentLength"] == os.path.getsize(large)

for i in range(25):
    s3.put_object(Bucket="boto3", Key=f"list/{i:03}", Body=b"x")
pages = s3.get_paginator("list_objects_v2").paginate(
    Bucket="boto3", Prefix="list/", PaginationConfig={"PageSize": 10}
)
assert [o["Key"] for p in pages for o in p["Contents"]] == [f"list/{i:03}" for i in range(25)]

keys = [o["Key"] for o in s3.list_objects_v2(Bucket="boto3")["Contents"]]
gone = s3.delete_objects(Bucket="boto3", Delete={"Objects": [{"Key": k} for k in keys]})
assert len(gone["Deleted"]) == len(keys), gone
s3.delete_bucket(Bucket="boto3")
