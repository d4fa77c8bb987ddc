"""What is in an emulated cloud's store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import boto3
import yaml
from google.auth.transport.requests import AuthorizedSession
from google.oauth2 import service_account
from support.emulated import Project


def objects(project: Project) -> dict[str, bytes]:
    """Everything in the store."""
    config = yaml.safe_load(Path(project.environ["DSTACK_CLOUD_CONFIG"]).read_text())
    if "gcp" in config:
        return google_objects(project, config["gcp"]["store"])
    bucket, _, prefix = config["aws"]["store"].removeprefix("s3://").partition("/")
    s3 = boto3.client(
        "s3",
        endpoint_url=project.environ["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=project.environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=project.environ["AWS_SECRET_ACCESS_KEY"],
    )
    return {
        one["Key"]: s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for one in page.get("Contents", ())
    }


def google_objects(project: Project, store: str) -> dict[str, bytes]:
    credentials = service_account.Credentials.from_service_account_file(
        project.environ["GOOGLE_APPLICATION_CREDENTIALS"],
        scopes=["https://www.googleapis.com/auth/cloud-platform"],
    )
    session = AuthorizedSession(credentials)
    bucket, _, prefix = store.removeprefix("gs://").partition("/")
    home = f"{project.environ['STORAGE_EMULATOR_HOST']}/storage/v1/b/{bucket}/o"
    found, token = {}, ""
    while True:
        page = session.get(home, params={"prefix": prefix, "pageToken": token}).json()
        for one in page.get("items", ()):
            address = f"{home}/{quote(one['name'], safe='')}"
            found[one["name"]] = session.get(address, params={"alt": "media"}).content
        token = page.get("nextPageToken", "")
        if not token:
            return found
