"""The hand-kept table: call → permissions that it needs, each row with where that is written.

A call that is not listed needs the action of its own name on every resource (``*``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moto_fixtures.aws.iam import targets
from moto_fixtures.aws.iam.policy import Needed

if TYPE_CHECKING:
    from moto_fixtures.aws.request import Request

_REFERENCE = "https://docs.aws.amazon.com/service-authorization/latest/reference/"
EC2 = _REFERENCE + "list_amazonec2.html"
IAM = _REFERENCE + "list_awsidentityandaccessmanagementiam.html"
S3 = _REFERENCE + "list_amazons3.html"
S3_CALLS = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html"
S3_IF_MATCH = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html"
S3_COPY = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"
S3_PARTS = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html"
SSM = _REFERENCE + "list_awssystemsmanager.html"
SECRETS = _REFERENCE + "list_awssecretsmanager.html"
QUOTAS = _REFERENCE + "list_servicequotas.html"
PRICING = _REFERENCE + "list_awspricelist.html"
SCHEDULER = _REFERENCE + "list_amazoneventbridgescheduler.html"
STS = "https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"

Targets = Callable[["Request", str], list[Needed]]


@dataclass(frozen=True)
class Row:
    """``actions`` on what ``where`` finds in the call; ``source`` is the vendor's page."""

    actions: tuple[str, ...]
    where: Targets
    source: str


def _row(source: str, where: Targets, *actions: str) -> Row:
    return Row(actions, where, source)


_INSTANCE = targets.existing("instance", "InstanceIds")
_GROUP = targets.existing("security-group", "GroupId")

TABLE: dict[tuple[str, str], Row] = {
    # EC2. RunInstances and CreateFleet: see launches.py, which knows what is launched.
    ("ec2", "TerminateInstances"): _row(EC2, _INSTANCE, "ec2:TerminateInstances"),
    ("ec2", "StopInstances"): _row(EC2, _INSTANCE, "ec2:StopInstances"),
    ("ec2", "ModifyInstanceAttribute"): _row(
        EC2, targets.existing("instance", "InstanceId"), "ec2:ModifyInstanceAttribute"
    ),
    ("ec2", "ModifyInstanceMetadataOptions"): _row(
        EC2, targets.existing("instance", "InstanceId"), "ec2:ModifyInstanceMetadataOptions"
    ),
    ("ec2", "DescribeInstanceAttribute"): _row(
        EC2, targets.existing("instance", "InstanceId"), "ec2:DescribeInstanceAttribute"
    ),
    ("ec2", "GetConsoleOutput"): _row(
        EC2, targets.existing("instance", "InstanceId"), "ec2:GetConsoleOutput"
    ),
    ("ec2", "CreateTags"): _row(EC2, targets.tagged, "ec2:CreateTags"),
    ("ec2", "DeleteTags"): _row(EC2, targets.tagged, "ec2:DeleteTags"),
    ("ec2", "CreateLaunchTemplate"): _row(
        EC2, targets.created("launch-template"), "ec2:CreateLaunchTemplate"
    ),
    ("ec2", "CreateLaunchTemplateVersion"): _row(
        EC2, targets.template, "ec2:CreateLaunchTemplateVersion"
    ),
    ("ec2", "DeleteLaunchTemplate"): _row(EC2, targets.template, "ec2:DeleteLaunchTemplate"),
    ("ec2", "CreatePlacementGroup"): _row(
        EC2, targets.created("placement-group"), "ec2:CreatePlacementGroup"
    ),
    ("ec2", "DeletePlacementGroup"): _row(EC2, targets.placement_group, "ec2:DeletePlacementGroup"),
    ("ec2", "CreateSecurityGroup"): _row(
        EC2, targets.created("security-group", "vpc", "VpcId"), "ec2:CreateSecurityGroup"
    ),
    ("ec2", "DeleteSecurityGroup"): _row(EC2, _GROUP, "ec2:DeleteSecurityGroup"),
    ("ec2", "AuthorizeSecurityGroupIngress"): _row(
        EC2, _GROUP, "ec2:AuthorizeSecurityGroupIngress"
    ),
    ("ec2", "RevokeSecurityGroupIngress"): _row(EC2, _GROUP, "ec2:RevokeSecurityGroupIngress"),
    ("ec2", "AuthorizeSecurityGroupEgress"): _row(EC2, _GROUP, "ec2:AuthorizeSecurityGroupEgress"),
    ("ec2", "RevokeSecurityGroupEgress"): _row(EC2, _GROUP, "ec2:RevokeSecurityGroupEgress"),
    ("ec2", "DeleteVolume"): _row(EC2, targets.existing("volume", "VolumeId"), "ec2:DeleteVolume"),
    ("ec2", "CancelSpotInstanceRequests"): _row(
        EC2,
        targets.existing("spot-instances-request", "SpotInstanceRequestIds"),
        "ec2:CancelSpotInstanceRequests",
    ),
    ("ec2", "CreateImage"): _row(EC2, targets.imaged, "ec2:CreateImage"),
    ("ec2", "DeregisterImage"): _row(
        EC2, targets.existing("image", "ImageId"), "ec2:DeregisterImage"
    ),
    ("ec2", "DeleteSnapshot"): _row(
        EC2, targets.existing("snapshot", "SnapshotId"), "ec2:DeleteSnapshot"
    ),
    # IAM
    ("iam", "CreateRole"): _row(IAM, targets.iam("role", "RoleName"), "iam:CreateRole"),
    ("iam", "GetRole"): _row(IAM, targets.iam("role", "RoleName"), "iam:GetRole"),
    ("iam", "DeleteRole"): _row(IAM, targets.iam("role", "RoleName"), "iam:DeleteRole"),
    ("iam", "TagRole"): _row(IAM, targets.iam("role", "RoleName"), "iam:TagRole"),
    ("iam", "UpdateAssumeRolePolicy"): _row(
        IAM, targets.iam("role", "RoleName"), "iam:UpdateAssumeRolePolicy"
    ),
    ("iam", "PutRolePolicy"): _row(IAM, targets.iam("role", "RoleName"), "iam:PutRolePolicy"),
    ("iam", "GetRolePolicy"): _row(IAM, targets.iam("role", "RoleName"), "iam:GetRolePolicy"),
    ("iam", "DeleteRolePolicy"): _row(IAM, targets.iam("role", "RoleName"), "iam:DeleteRolePolicy"),
    ("iam", "ListRolePolicies"): _row(IAM, targets.iam("role", "RoleName"), "iam:ListRolePolicies"),
    ("iam", "AttachRolePolicy"): _row(IAM, targets.iam("role", "RoleName"), "iam:AttachRolePolicy"),
    ("iam", "CreateInstanceProfile"): _row(
        IAM, targets.iam("instance-profile", "InstanceProfileName"), "iam:CreateInstanceProfile"
    ),
    ("iam", "GetInstanceProfile"): _row(
        IAM, targets.iam("instance-profile", "InstanceProfileName"), "iam:GetInstanceProfile"
    ),
    ("iam", "DeleteInstanceProfile"): _row(
        IAM, targets.iam("instance-profile", "InstanceProfileName"), "iam:DeleteInstanceProfile"
    ),
    ("iam", "TagInstanceProfile"): _row(
        IAM, targets.iam("instance-profile", "InstanceProfileName"), "iam:TagInstanceProfile"
    ),
    ("iam", "AddRoleToInstanceProfile"): Row(
        ("iam:AddRoleToInstanceProfile", "iam:PassRole"), targets.role_into_profile, IAM
    ),
    ("iam", "RemoveRoleFromInstanceProfile"): _row(
        IAM,
        targets.iam("instance-profile", "InstanceProfileName"),
        "iam:RemoveRoleFromInstanceProfile",
    ),
    ("iam", "CreateServiceLinkedRole"): _row(
        IAM, targets.service_linked_role, "iam:CreateServiceLinkedRole"
    ),
    # STS
    ("sts", "GetCallerIdentity"): Row((), targets.anywhere, STS),
    ("sts", "AssumeRole"): _row(
        _REFERENCE + "list_awssecuritytokenservice.html", targets.assumed, "sts:AssumeRole"
    ),
    # S3
    ("s3", "ListBuckets"): _row(S3_CALLS, targets.anywhere, "s3:ListAllMyBuckets"),
    ("s3", "CreateBucket"): _row(S3_CALLS, targets.bucket, "s3:CreateBucket"),
    ("s3", "DeleteBucket"): _row(S3_CALLS, targets.bucket, "s3:DeleteBucket"),
    ("s3", "HeadBucket"): _row(S3_CALLS, targets.bucket, "s3:ListBucket"),
    ("s3", "ListObjects"): _row(S3_CALLS, targets.bucket, "s3:ListBucket"),
    ("s3", "ListObjectsV2"): _row(S3_CALLS, targets.bucket, "s3:ListBucket"),
    ("s3", "ListObjectVersions"): _row(S3_CALLS, targets.bucket, "s3:ListBucketVersions"),
    ("s3", "ListMultipartUploads"): _row(S3_PARTS, targets.bucket, "s3:ListBucketMultipartUploads"),
    ("s3", "GetBucketLocation"): _row(S3_CALLS, targets.bucket, "s3:GetBucketLocation"),
    ("s3", "GetBucketEncryption"): _row(S3_CALLS, targets.bucket, "s3:GetEncryptionConfiguration"),
    ("s3", "PutBucketEncryption"): _row(S3_CALLS, targets.bucket, "s3:PutEncryptionConfiguration"),
    ("s3", "GetPublicAccessBlock"): _row(S3_CALLS, targets.bucket, "s3:GetBucketPublicAccessBlock"),
    ("s3", "PutPublicAccessBlock"): _row(S3_CALLS, targets.bucket, "s3:PutBucketPublicAccessBlock"),
    ("s3", "GetBucketLifecycleConfiguration"): _row(
        S3_CALLS, targets.bucket, "s3:GetLifecycleConfiguration"
    ),
    ("s3", "PutBucketLifecycleConfiguration"): _row(
        S3_CALLS, targets.bucket, "s3:PutLifecycleConfiguration"
    ),
    ("s3", "GetBucketTagging"): _row(S3_CALLS, targets.bucket, "s3:GetBucketTagging"),
    ("s3", "PutBucketTagging"): _row(S3_CALLS, targets.bucket, "s3:PutBucketTagging"),
    ("s3", "GetBucketVersioning"): _row(S3_CALLS, targets.bucket, "s3:GetBucketVersioning"),
    ("s3", "PutBucketVersioning"): _row(S3_CALLS, targets.bucket, "s3:PutBucketVersioning"),
    ("s3", "GetBucketPolicy"): _row(S3_CALLS, targets.bucket, "s3:GetBucketPolicy"),
    ("s3", "PutBucketPolicy"): _row(S3_CALLS, targets.bucket, "s3:PutBucketPolicy"),
    ("s3", "PutBucketOwnershipControls"): _row(
        S3_CALLS, targets.bucket, "s3:PutBucketOwnershipControls"
    ),
    ("s3", "GetObject"): _row(S3_CALLS, targets.one_object, "s3:GetObject"),
    ("s3", "HeadObject"): _row(S3_CALLS, targets.one_object, "s3:GetObject"),
    ("s3", "PutObject"): Row(("s3:PutObject", "s3:GetObject"), targets.put, S3_IF_MATCH),
    ("s3", "CopyObject"): Row(("s3:PutObject", "s3:GetObject"), targets.copy, S3_COPY),
    ("s3", "UploadPartCopy"): Row(("s3:PutObject", "s3:GetObject"), targets.copy, S3_COPY),
    ("s3", "DeleteObject"): _row(S3_CALLS, targets.one_object, "s3:DeleteObject"),
    ("s3", "DeleteObjects"): _row(S3_CALLS, targets.objects, "s3:DeleteObject"),
    ("s3", "CreateMultipartUpload"): _row(S3_PARTS, targets.one_object, "s3:PutObject"),
    ("s3", "UploadPart"): _row(S3_PARTS, targets.one_object, "s3:PutObject"),
    ("s3", "CompleteMultipartUpload"): _row(S3_PARTS, targets.one_object, "s3:PutObject"),
    ("s3", "AbortMultipartUpload"): _row(S3_PARTS, targets.one_object, "s3:AbortMultipartUpload"),
    ("s3", "ListParts"): _row(S3_PARTS, targets.one_object, "s3:ListMultipartUploadParts"),
    # ECR: what a pull needs is asked where images are pulled (aws/ecr.py).
    ("ecr", "GetAuthorizationToken"): _row(
        _REFERENCE + "list_amazonelasticcontainerregistry.html",
        targets.anywhere,
        "ecr:GetAuthorizationToken",
    ),
    # The rest
    ("ssm", "GetParameter"): _row(SSM, targets.parameters, "ssm:GetParameter"),
    ("ssm", "GetParameters"): _row(SSM, targets.parameters, "ssm:GetParameters"),
    ("ssm", "GetParametersByPath"): _row(SSM, targets.parameters, "ssm:GetParametersByPath"),
    ("secretsmanager", "CreateSecret"): _row(
        SECRETS, targets.new_secret, "secretsmanager:CreateSecret"
    ),
    ("secretsmanager", "GetSecretValue"): _row(
        SECRETS, targets.secret, "secretsmanager:GetSecretValue"
    ),
    ("secretsmanager", "PutSecretValue"): _row(
        SECRETS, targets.secret, "secretsmanager:PutSecretValue"
    ),
    ("secretsmanager", "ListSecrets"): _row(
        SECRETS, targets.anywhere, "secretsmanager:ListSecrets"
    ),
    ("secretsmanager", "DescribeSecret"): _row(
        SECRETS, targets.secret, "secretsmanager:DescribeSecret"
    ),
    ("secretsmanager", "DeleteSecret"): _row(
        SECRETS, targets.secret, "secretsmanager:DeleteSecret"
    ),
    ("servicequotas", "GetServiceQuota"): _row(
        QUOTAS, targets.anywhere, "servicequotas:GetServiceQuota"
    ),
    ("servicequotas", "ListServiceQuotas"): _row(
        QUOTAS, targets.anywhere, "servicequotas:ListServiceQuotas"
    ),
    ("pricing", "GetProducts"): _row(PRICING, targets.anywhere, "pricing:GetProducts"),
    ("scheduler", "CreateSchedule"): _row(SCHEDULER, targets.schedule, "scheduler:CreateSchedule"),
    ("scheduler", "GetSchedule"): _row(SCHEDULER, targets.schedule, "scheduler:GetSchedule"),
    ("scheduler", "UpdateSchedule"): _row(SCHEDULER, targets.schedule, "scheduler:UpdateSchedule"),
    ("scheduler", "DeleteSchedule"): _row(SCHEDULER, targets.schedule, "scheduler:DeleteSchedule"),
}


def needs(request: Request) -> list[Needed]:
    """Every permission that a call needs, on the resources that it names."""
    call = request.call
    row = TABLE.get((call.service, call.action))
    if row is None:
        return [Needed(f"{call.service}:{call.action}", "*")]
    if not row.actions:
        return []
    return row.where(request, row.actions[0])
