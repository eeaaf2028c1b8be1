from __future__ import annotations

import pytest

from pipeline.redaction import HIDDEN, redact

SECRET = "s3cr3tValue99"


@pytest.mark.parametrize(
    "text",
    [
        f"https://host.org/a.tif?se=2026&sig={SECRET} failed",
        f"GET /a.tif?X-Amz-Signature={SECRET}&x=1",
        f"https://host.org/a.tif?{SECRET}",
        f"s3://host/a.tif#{SECRET}",
        f"https://user:{SECRET}@host.org/wfs",
        f"https://{SECRET}@host.org/wfs",
        f"Authorization: Bearer {SECRET}",
        f"{{'Authorization': 'Basic {SECRET}'}}",
        f'"authorization": "{SECRET}"',
        f"bearer {SECRET}",
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f"aws_session_token = '{SECRET}'",
        f'{{"access_token": "{SECRET}"}}',
        f"password={SECRET}",
        f"PC_SDK_SUBSCRIPTION_KEY: {SECRET}",
        f"Ocp-Apim-Subscription-Key: {SECRET}",
        f"api-key={SECRET}",
        f"AccountKey={SECRET};",
    ],
)
def test_what_opens_doors_is_taken_out(text: str) -> None:
    assert SECRET not in redact(text)
    assert HIDDEN in redact(text)
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "composite  12 blocks: 12 made, 0 reused; 100.0% of their pixels observed",
        "https://planetarycomputer.microsoft.com/api/stac/v1 does not answer",
        "block N02.0E005.9; scene S2A_31NHA, band B04",
        "[Errno 2] No such file or directory: '/data/a b/visits.csv'",
        "mail someone@example.org",
    ],
)
def test_other_words_stay(text: str) -> None:
    assert redact(text) == text
