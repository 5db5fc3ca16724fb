"""What to do about what a bucket's server, or the library that speaks to it, says."""

from __future__ import annotations

import re

_VARIABLES = {
    "keys": {
        "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        "gs": "GOOGLE_APPLICATION_CREDENTIALS",
        "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    },
    "rights": {"s3": "s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject"},
    "server": {"s3": "AWS_ENDPOINT_URL"},
    "region": {"s3": "AWS_DEFAULT_REGION"},
}
"""By what is to be set, and by the scheme of the URL, what a user sets for it."""
_CLOCK = re.compile("RequestTimeTooSkewed|request time and the current time")
_SAME = {"s3a": "s3", "gcs": "gs", "abfs": "az"}

_CAUSES = (
    (_CLOCK.pattern, "set this machine's clock, and start NTP (chrony)", ""),
    (
        "EndpointConnection|(could not|cannot) connect|ConnectTimeout|connection refused|name or service not known",
        "check the network and the address of the server",
        "server",
    ),
    ("bucket does not exist|NoSuchBucket|container does not exist", "make the bucket, or correct its name", ""),
    ("region|PermanentRedirect|addressed using the specified endpoint", "name the bucket's region", "region"),
    (
        "credential|access key|signature|token|401|unauthori[sz]ed",
        "set the bucket's credentials in the environment",
        "keys",
    ),
    ("access ?denied|forbidden|403", "give these credentials the right to that", "rights"),
)
"""What an error's text has, the remedy, and what is to be set for it; the first that fits counts."""


def remedy_for(scheme: str, why: str) -> str:
    """The remedy for an error's text, which may be of any server; of an unknown one the two usual causes are named.

    Args:
        scheme: of the bucket's URL, such as ``s3``.
    """
    if scheme == "hf" and not _CLOCK.search(why):
        return "check the address; a private repository needs the token of somebody who may read it in HF_TOKEN"
    for pattern, remedy, to_set in _CAUSES:
        if re.search(pattern, why, re.IGNORECASE):
            variables = _VARIABLES.get(to_set, {}).get(_SAME.get(scheme, scheme))
            return f"{remedy} ({variables})" if variables else remedy
    return "check the address and the credentials in the environment"
