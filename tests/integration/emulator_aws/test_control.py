"""The control interface: the log, faults, holds, and who may use it."""

from __future__ import annotations

import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.emulated_aws import STORE, Aws, code_of


def test_the_log_tells_what_was_asked_and_hides_secrets(aws: Aws, ec2: Any, template: Any) -> None:
    template()
    aws.client("s3").put_object(Bucket=STORE, Key="a b", Body=b"secret body")
    aws.client("secretsmanager").create_secret(Name="s", SecretString="hunter2hunter2")
    (made,) = aws.calls("CreateLaunchTemplate")
    assert made["service"] == "ec2"
    assert made["outcome"] == "ok"
    assert made["principal"] == "root"
    assert made["access_key"] == "admin"
    assert made["parameters"]["LaunchTemplateData"]["UserData"] == "<20 bytes>"
    (put,) = aws.calls("PutObject")
    assert put["parameters"]["Bucket"] == STORE
    assert put["parameters"]["Key"] == "a b"
    text = json.dumps(aws.calls())
    for secret in ("hunter2", "secret body", "Signature="):
        assert secret not in text
    sequences = [c["sequence"] for c in aws.calls()]
    assert sequences == sorted(sequences)
    later = aws.control("GET", f"calls?since={made['sequence']}")
    assert later[0]["sequence"] == made["sequence"] + 1


def test_calls_of_s3_have_their_names(aws: Aws) -> None:
    s3 = aws.client("s3")
    s3.put_object(Bucket=STORE, Key="k", Body=b"x" * 10)
    s3.get_object(Bucket=STORE, Key="k")["Body"].read()
    s3.head_object(Bucket=STORE, Key="k")
    s3.list_objects_v2(Bucket=STORE, Prefix="k")
    upload = s3.create_multipart_upload(Bucket=STORE, Key="m")["UploadId"]
    part = {"Bucket": STORE, "Key": "m", "UploadId": upload}
    etag = s3.upload_part(**part, PartNumber=1, Body=b"part")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(**part, MultipartUpload=parts)
    s3.copy_object(Bucket=STORE, Key="c", CopySource=f"{STORE}/k")
    s3.delete_object(Bucket=STORE, Key="k")
    s3.delete_objects(Bucket=STORE, Delete={"Objects": [{"Key": "m"}, {"Key": "c"}]})
    assert [c["action"] for c in aws.calls()] == [
        "PutObject",
        "GetObject",
        "HeadObject",
        "ListObjectsV2",
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "CopyObject",
        "DeleteObject",
        "DeleteObjects",
    ]
    assert {c["outcome"] for c in aws.calls()} == {"ok"}


def test_conditional_writes(aws: Aws) -> None:
    s3 = aws.client("s3")
    etag = s3.put_object(Bucket=STORE, Key="cas", Body=b"1", IfNoneMatch="*")["ETag"]
    again = {"Bucket": STORE, "Key": "cas", "Body": b"2"}
    assert code_of(s3.put_object, **again, IfNoneMatch="*") == ("PreconditionFailed", 412)
    s3.put_object(**again, IfMatch=etag)
    assert code_of(s3.put_object, **again, IfMatch=etag) == ("PreconditionFailed", 412)
    s3.delete_object(Bucket=STORE, Key="cas")


def test_a_large_object_comes_back_whole(aws: Aws) -> None:
    s3 = aws.client("s3")
    body = bytes(range(256)) * 32768
    s3.put_object(Bucket=STORE, Key="large", Body=body)
    assert s3.get_object(Bucket=STORE, Key="large")["Body"].read() == body
    s3.delete_object(Bucket=STORE, Key="large")


def test_faults_strike_as_often_as_asked_and_only_where_they_match(aws: Aws, ec2: Any) -> None:
    fault = {
        "action": "Describe*",
        "match": {"region": "us-east-1"},
        "error": "RequestLimitExceeded",
        "times": 2,
    }
    aws.control("POST", "faults", fault)
    far = aws.client("ec2", region="us-west-2")
    assert far.describe_vpcs()["Vpcs"]
    for _ in range(2):
        assert code_of(ec2.describe_vpcs) == ("RequestLimitExceeded", 503)
    assert ec2.describe_vpcs()["Vpcs"]
    assert [c["outcome"] for c in aws.calls("DescribeVpcs")] == [
        "ok",
        "RequestLimitExceeded",
        "RequestLimitExceeded",
        "ok",
    ]


def test_faults_of_s3(aws: Aws) -> None:
    s3 = aws.client("s3")
    slow = {"action": "PutObject", "match": {"key": "logs/*"}, "error": "SlowDown"}
    aws.control("POST", "faults", slow)
    s3.put_object(Bucket=STORE, Key="other", Body=b"")
    assert code_of(s3.put_object, Bucket=STORE, Key="logs/1", Body=b"") == ("SlowDown", 503)
    aws.control("POST", "faults", {"action": "GetObject", "error": "ExpiredToken"})
    assert code_of(s3.get_object, Bucket=STORE, Key="other") == ("ExpiredToken", 400)


def test_an_answer_that_is_lost_was_executed_all_the_same(aws: Aws, ec2: Any) -> None:
    from botocore.exceptions import BotoCoreError

    aws.control("POST", "faults", {"action": "CreateVpc", "drop": True, "when": "after"})
    before = len(ec2.describe_vpcs()["Vpcs"])
    with pytest.raises(BotoCoreError):
        ec2.create_vpc(CidrBlock="10.9.0.0/16")
    assert len(ec2.describe_vpcs()["Vpcs"]) == before + 1
    assert aws.calls("CreateVpc")[0]["outcome"] == "dropped"


def test_a_delay(aws: Aws, ec2: Any) -> None:
    aws.control("POST", "faults", {"action": "DescribeVpcs", "delay_s": 0.3})
    started = time.monotonic()
    assert ec2.describe_vpcs()["Vpcs"]
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize("bad", [{"action": "x"}, {"error": "x", "colour": 1}])
def test_a_fault_that_makes_no_sense_is_refused(aws: Aws, bad: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="ValueError"):
        aws.control("POST", "faults", bad)


def _waiting(aws: Aws) -> dict[str, Any]:
    held = aws.control("GET", "holds?wait=10")
    return next(dict(h) for h in held if h["state"] == "waiting")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("drop", [False, True])
def test_the_nth_call_is_held(aws: Aws, ec2: Any, when: str, drop: bool) -> None:
    from botocore.exceptions import BotoCoreError

    def names() -> set[str]:
        return {g["GroupName"] for g in ec2.describe_security_groups()["SecurityGroups"]}

    prefix = f"{when}-{drop}"
    hold = {"action": "CreateSecurityGroup", "nth": 2, "when": when, "principal": "root"}
    aws.control("POST", "holds", hold)
    ec2.create_security_group(GroupName=f"{prefix}-1", Description="first")
    with ThreadPoolExecutor() as pool:
        second = pool.submit(
            ec2.create_security_group, GroupName=f"{prefix}-2", Description="second"
        )
        held = _waiting(aws)
        assert not second.done()
        (entry,) = [c for c in aws.calls() if c["sequence"] == held["sequence"]]
        assert (entry["action"], entry["outcome"]) == ("CreateSecurityGroup", "held")
        # Executed already, or not yet: that is the difference.
        assert (f"{prefix}-2" in names()) is (when == "after")
        aws.control("POST", f"holds/{held['id']}/release", {"drop": drop})
        if drop:
            with pytest.raises(BotoCoreError):
                second.result(10)
        else:
            assert second.result(10)["GroupId"]
    assert (f"{prefix}-2" in names()) is (when == "after" or not drop)


def test_a_hold_counts_only_the_principals_calls(aws: Aws, ec2: Any) -> None:
    hold = {"action": "DescribeVpcs", "principal": "user/dstack-daily"}
    aws.control("POST", "holds", hold)
    assert ec2.describe_vpcs()["Vpcs"]
    with ThreadPoolExecutor() as pool:
        theirs = pool.submit(aws.client("ec2", user="dstack-daily").describe_vpcs)
        held = _waiting(aws)
        aws.control("POST", f"holds/{held['id']}/release", {"drop": False})
        assert theirs.result(10)["Vpcs"]


def test_what_is_my_address(aws: Aws) -> None:
    request = urllib.request.Request(aws.url, headers={"Host": "checkip.amazonaws.com"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.read() == b"127.0.0.1\n"


def test_a_machine_cannot_reach_the_control_interface(aws: Aws) -> None:
    import http.client

    host = aws.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10, source_address=("127.213.1.1", 0))
    connection.request("GET", "/_emulator/keys")
    answer = connection.getresponse()
    assert answer.status == 403
    assert b"secret" not in answer.read()
    connection.close()


def test_connections_stay_open(aws: Aws) -> None:
    import http.client

    connection = http.client.HTTPConnection(aws.url.removeprefix("http://"), timeout=10)
    for _ in range(3):
        connection.request("GET", "/_emulator/ready")
        answer = connection.getresponse()
        assert json.load(answer)["ready"] is True
        assert not answer.will_close
    connection.close()


def test_unknown_controls_are_404(aws: Aws) -> None:
    with pytest.raises(AssertionError, match="no such control"):
        aws.control("GET", "nothing")
