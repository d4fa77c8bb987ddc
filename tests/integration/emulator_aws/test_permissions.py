"""Who may do what: the shipped policies, denials in the services' own shapes, bad keys."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from support.emulated_aws import MARK, STORE, Aws, code_of, fleet


def user(aws: Aws, name: str, *statements: dict[str, Any]) -> dict[str, str]:
    """A user's key, allowed what the statements say."""
    full = [{"Effect": "Allow", "Resource": "*", **s} for s in statements]
    document = {"Version": "2012-10-17", "Statement": full}
    key: dict[str, str] = aws.control("POST", "users", {"name": name, "policy": document})
    return key


def test_denials_have_each_services_shape(aws: Aws) -> None:
    key = user(aws, "nobody")
    calls = {
        "ec2": ("describe_instances", {}, ("UnauthorizedOperation", 403)),
        "s3": ("list_objects_v2", {"Bucket": STORE}, ("AccessDenied", 403)),
        "iam": ("list_roles", {}, ("AccessDenied", 403)),
        "ssm": ("get_parameters", {"Names": ["/a"]}, ("AccessDeniedException", 400)),
        "pricing": ("get_products", {"ServiceCode": "AmazonEC2"}, ("AccessDeniedException", 400)),
    }
    for service, (method, asked, wanted) in calls.items():
        client = aws.client(service, key=key)
        assert code_of(getattr(client, method), **asked) == wanted
    assert code_of(aws.client("s3", key=key).head_bucket, Bucket=STORE)[1] == 403
    # Needs no permission.
    arn = aws.client("sts", key=key).get_caller_identity()["Arn"]
    assert arn == "arn:aws:iam::123456789012:user/nobody"


def test_a_denial_of_ec2_names_action_and_resource(aws: Aws) -> None:
    client = aws.client("ec2", key=user(aws, "nobody"))
    with pytest.raises(Exception, match="ec2:DescribeVpcs") as caught:
        client.describe_vpcs()
    assert "Encoded authorization failure message" in str(caught.value)
    (call,) = aws.calls("DescribeVpcs")
    assert call["outcome"] == "UnauthorizedOperation"
    assert call["principal"] == "user/nobody"
    assert call["permissions"] == ["ec2:DescribeVpcs"]


def test_wrong_keys(aws: Aws) -> None:
    nobody = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "x"}
    assert code_of(aws.client("ec2", key=nobody).describe_vpcs) == ("AuthFailure", 401)
    assert code_of(aws.client("s3", key=nobody).list_buckets) == ("InvalidAccessKeyId", 403)
    assert code_of(aws.client("sts", key=nobody).get_caller_identity) == (
        "InvalidClientTokenId",
        403,
    )
    wrong = {**aws.keys("dstack-daily"), "secret_access_key": "wrong"}
    assert code_of(aws.client("ec2", key=wrong).describe_vpcs) == ("AuthFailure", 401)
    assert code_of(aws.client("s3", key=wrong).list_objects_v2, Bucket=STORE) == (
        "SignatureDoesNotMatch",
        403,
    )
    assert code_of(aws.client("sts", key=wrong).get_caller_identity)[0] == "SignatureDoesNotMatch"


def test_a_session_expires(aws: Aws) -> None:
    iam = aws.client("iam")
    trust = {
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
            }
        ]
    }
    role = iam.create_role(RoleName="short", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    allow = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "ec2:DescribeVpcs", "Resource": "*"}],
    }
    iam.put_role_policy(RoleName="short", PolicyName="p", PolicyDocument=json.dumps(allow))
    made = aws.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="me")["Credentials"]
    key = {
        "access_key_id": made["AccessKeyId"],
        "secret_access_key": made["SecretAccessKey"],
    }
    token = made["SessionToken"]
    ec2 = aws.client("ec2", key=key, token=token)
    assert ec2.describe_vpcs()["Vpcs"]
    assert code_of(ec2.describe_subnets)[0] == "UnauthorizedOperation"
    assert aws.calls("DescribeVpcs")[0]["principal"] == "role/short/me"
    assert code_of(aws.client("ec2", key=key, token="x").describe_vpcs)[0] == "AuthFailure"
    aws.control("POST", "clock", {"advance_s": 3700})
    expired = {
        "ec2": ("describe_vpcs", {}, "RequestExpired"),
        "s3": ("list_buckets", {}, "ExpiredToken"),
        "sts": ("get_caller_identity", {}, "ExpiredToken"),
        "ssm": ("get_parameters", {"Names": ["/a"]}, "ExpiredTokenException"),
    }
    for service, (method, asked, code) in expired.items():
        client = aws.client(service, key=key, token=token)
        assert code_of(getattr(client, method), **asked)[0] == code


def test_a_role_that_does_not_trust_the_caller(aws: Aws, profile: str) -> None:
    key = user(aws, "hopeful", {"Action": "sts:AssumeRole"})
    sts = aws.client("sts", key=key)
    arn = f"arn:aws:iam::123456789012:role/{profile}"
    assert code_of(sts.assume_role, RoleArn=arn, RoleSessionName="me")[0] == "AccessDenied"


def test_dry_run_tells_allowed_from_denied(aws: Aws, image: str) -> None:
    asked = {
        "ImageId": image,
        "InstanceType": "m5.large",
        "MinCount": 1,
        "MaxCount": 1,
        "DryRun": True,
    }
    before = len(aws.control("GET", "machines"))
    assert code_of(aws.client("ec2").run_instances, **asked) == ("DryRunOperation", 412)
    denied = aws.client("ec2", key=user(aws, "nobody"))
    assert code_of(denied.run_instances, **asked) == ("UnauthorizedOperation", 403)
    assert code_of(aws.client("ec2").describe_vpcs, DryRun=True)[0] == "DryRunOperation"
    assert len(aws.control("GET", "machines")) == before


def _template(client: Any, image: str, profile: str, name: str) -> str:
    made = client.create_launch_template(
        LaunchTemplateName=name,
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": MARK}],
        LaunchTemplateData={
            "ImageId": image,
            "IamInstanceProfile": {"Name": profile},
            "UserData": base64.b64encode(b"#cloud-config").decode(),
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 100, "Encrypted": True}}
            ],
        },
    )
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


def test_the_daily_user_launches_and_ends_its_own_and_nothing_else(
    aws: Aws, ec2: Any, image: str, profile: str, subnets: dict[str, str]
) -> None:
    daily = aws.client("ec2", user="dstack-daily")
    made = _template(daily, image, profile, "daily")
    override = {"InstanceType": "m5.large", "SubnetId": subnets["us-east-1a"]}
    answer = daily.create_fleet(**fleet(made, [override]))
    assert answer["Errors"] == []
    instance_id = answer["Instances"][0]["InstanceIds"][0]
    daily.terminate_instances(InstanceIds=[instance_id])
    daily.delete_launch_template(LaunchTemplateId=made)

    # Somebody else's machine carries no tag of ours.
    other = ec2.run_instances(ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=1)
    other_id = other["Instances"][0]["InstanceId"]
    refused = code_of(daily.terminate_instances, InstanceIds=[other_id])
    assert refused == ("UnauthorizedOperation", 403)
    # Nor may it put one on.
    tags = {"Resources": [other_id], "Tags": MARK}
    assert code_of(daily.create_tags, **tags)[0] == "UnauthorizedOperation"
    assert code_of(daily.create_vpc, CidrBlock="10.0.0.0/16")[0] == "UnauthorizedOperation"
    assert code_of(aws.client("iam", user="dstack-daily").list_users)[0] == "AccessDenied"


def test_a_fleet_without_the_tags_is_refused_pool_by_pool(
    aws: Aws, image: str, profile: str, subnets: dict[str, str]
) -> None:
    daily = aws.client("ec2", user="dstack-daily")
    made = _template(daily, image, profile, "untagged")
    override = {"InstanceType": "m5.large", "SubnetId": subnets["us-east-1a"]}
    answer = daily.create_fleet(**fleet(made, [override], TagSpecifications=[]))
    assert answer["Instances"] == []
    assert [e["ErrorCode"] for e in answer["Errors"]] == ["UnauthorizedOperation"]
    daily.delete_launch_template(LaunchTemplateId=made)


def test_spot_without_its_role_needs_the_right_to_make_it(
    aws: Aws, ec2: Any, image: str, profile: str, subnets: dict[str, str]
) -> None:
    role = "AWSServiceRoleForEC2Spot"
    iam = aws.client("iam")
    iam.delete_role(RoleName=role)
    daily = aws.client("ec2", user="dstack-daily")
    made = _template(daily, image, profile, "no-role")
    override = {"InstanceType": "m5.large", "SubnetId": subnets["us-east-1a"]}
    answer = daily.create_fleet(**fleet(made, [override]))
    daily.delete_launch_template(LaunchTemplateId=made)
    codes = [e["ErrorCode"] for e in answer["Errors"]]
    assert codes == ["AuthFailure.ServiceLinkedRoleCreationNotPermitted"]

    admin = aws.client("iam", user="dstack-admin")
    admin.create_service_linked_role(AWSServiceName="spot.amazonaws.com")
    assert iam.get_role(RoleName=role)["Role"]["Path"] == "/aws-service-role/spot.amazonaws.com/"
    again = {"AWSServiceName": "spot.amazonaws.com"}
    assert code_of(admin.create_service_linked_role, **again)[0] == "InvalidInput"


def test_objects_below_a_prefix(aws: Aws) -> None:
    key = user(
        aws,
        "reader",
        {
            "Action": "s3:ListBucket",
            "Resource": f"arn:aws:s3:::{STORE}",
            "Condition": {"StringLike": {"s3:prefix": "mine/*"}},
        },
        {
            "Action": ["s3:PutObject", "s3:DeleteObject"],
            "Resource": f"arn:aws:s3:::{STORE}/mine/*",
        },
        {
            "Effect": "Deny",
            "Action": "s3:*",
            "Resource": f"arn:aws:s3:::{STORE}/mine/locked",
        },
    )
    s3 = aws.client("s3", key=key)
    etag = s3.put_object(Bucket=STORE, Key="mine/a", Body=b"a")["ETag"]
    assert s3.list_objects_v2(Bucket=STORE, Prefix="mine/")["KeyCount"] == 1
    assert code_of(s3.list_objects_v2, Bucket=STORE)[0] == "AccessDenied"
    refused = {"Bucket": STORE, "Key": "mine/locked", "Body": b""}
    assert code_of(s3.put_object, **refused)[0] == "AccessDenied"
    # To compare is to read.
    compared = {"Bucket": STORE, "Key": "mine/a", "Body": b"b", "IfMatch": etag}
    assert code_of(s3.put_object, **compared)[0] == "AccessDenied"
    both = {"Bucket": STORE, "Delete": {"Objects": [{"Key": "mine/a"}, {"Key": "other"}]}}
    assert code_of(s3.delete_objects, **both)[0] == "AccessDenied"
    s3.delete_object(Bucket=STORE, Key="mine/a")


def test_who_may_not_list_does_not_learn_which_keys_are_missing(aws: Aws) -> None:
    rule = {"Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{STORE}/*"}
    s3 = aws.client("s3", key=user(aws, "blind", rule))
    assert code_of(s3.get_object, Bucket=STORE, Key="missing") == ("AccessDenied", 403)
    root = aws.client("s3")
    assert code_of(root.get_object, Bucket=STORE, Key="missing") == ("NoSuchKey", 404)


def test_a_bucket_of_somebody_else(aws: Aws) -> None:
    aws.control("POST", "foreign-buckets", {"name": "taken"})
    s3 = aws.client("s3")
    assert code_of(s3.create_bucket, Bucket="taken") == ("BucketAlreadyExists", 409)
    assert code_of(s3.head_bucket, Bucket="taken")[1] == 403
    assert code_of(s3.put_object, Bucket="taken", Key="a", Body=b"")[0] == "AccessDenied"


def test_the_table_names_a_source_for_every_row(aws: Aws) -> None:
    rows = aws.control("GET", "permissions")
    assert len(rows) > 60
    assert all(row["source"].startswith("https://docs.aws.amazon.com/") for row in rows)
