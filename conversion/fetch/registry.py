"""Where on Google Drive the files of the release lie: for `fetch`, and for the links that `check` shows."""

from typing import NamedTuple

from ..release.official import CHECKSUMS, MAPPING_ID

# The folders of the release on Drive. A file without a known id is looked up in the folder that holds it.
HQ_FOLDER = "1YRRaC3LWLHorVhFNJPzVqLrUlA10eLEJ"
HQ_LABEL_FOLDER = "1aEBwVe4syZjCayambAnonfAI2m3JsMcP"
HQ_TEXT_FOLDER = "1CzTZm8suzDWdoN6DQmv11tsZotYo1Yfu"
HQ_MASK_FOLDER = "1bRZmrUBz8y0ObTr8AlkbVfyUco5R2I0z"
STANDARD_FOLDER = "18nejI_hrwNzWyoF6SW8bL27EYnM4STAs"
STANDARD_IMAGE_FOLDER = "0B7EVK8r0v71pTUZsaXdaSnZBZzg"
STANDARD_CAPTION_FOLDER = "1HmY0Qvq66B0SNvDLTt2kHem8vVuV3FQx"
STANDARD_REQUEST_FOLDER = "1Ajt1xEwMQ0bkrHc-F1tSgeShnpmnLZ_N"


class Remote(NamedTuple):
    """Where a file of the release lies on Drive."""

    folder: str  # id of the folder that holds it
    about: int  # bytes, for the plan and the disk space: an estimate where none were published
    id: str = ""  # empty: known through its folder only


# Role -> where it comes from. The whole HQ folder is about 4.4 GB.
REMOTES = {
    "hq_images": Remote(HQ_FOLDER, 3_000_000_000, "1A2dNWabg6_um-V3lhw1tyead5hCpjaW8"),
    "hq_masks": Remote(HQ_MASK_FOLDER, 300_000_000, "1q2DWtGA1h4NcS1Az4OX-5sbLXsGWJZWq"),
    "hq_parts": Remote(HQ_MASK_FOLDER, 1_000_000_000, "1MUYHw-IGP5FHy0yJzgvXNZojlcnCq7IE"),
    "hq_labels": Remote(HQ_LABEL_FOLDER, 600_000, "1oscEGdTfvBqohlagtp9dfgduGOfgXZxx"),
    "hq_attributes": Remote(HQ_LABEL_FOLDER, CHECKSUMS["hq_attributes"].size, "1QvfDVRW7W3-MOCro1EPdnhuXnQ1STOGG"),
    "hq_captions": Remote(HQ_TEXT_FOLDER, 25_000_000, "1tKgZfjpr9BZWpIS6ikGbSSACdt9NTlkg"),
    "hq_requests": Remote(HQ_TEXT_FOLDER, 3_000_000),
    "hq_requests_txt": Remote(HQ_TEXT_FOLDER, 3_000_000),
    "hq_request_labels": Remote(HQ_TEXT_FOLDER, 8_000_000),
    "hq_identity": Remote(HQ_FOLDER, 500_000, "1yd0bfYkcQ9_BqIxhjyjZ6UHgNVg7n63V"),
    "mapping": Remote(HQ_FOLDER, 1_000_000, MAPPING_ID),
    "standard_images": Remote(STANDARD_IMAGE_FOLDER, CHECKSUMS["standard_images"].size, "0B7EVK8r0v71pZjFTYXZWM3FlRnM"),
    "standard_labels": Remote(STANDARD_FOLDER, 5_000_000, "1wZcVEjJ5LwP1Ciuc3j_RFw9Vcusj4UEU"),
    "labels_train": Remote(STANDARD_FOLDER, 4_000_000),
    "labels_validation": Remote(STANDARD_FOLDER, 500_000),
    "labels_test": Remote(STANDARD_FOLDER, 500_000),
    "standard_attributes": Remote(
        STANDARD_FOLDER, CHECKSUMS["standard_attributes"].size, "0B7EVK8r0v71pblRyaVFSWGxPY0U"
    ),
    "standard_identity": Remote(
        STANDARD_FOLDER, CHECKSUMS["standard_identity"].size, "1_ee_0u7vcNLOfNLegJRHmolfH5ICW-XS"
    ),
    "partition": Remote(STANDARD_FOLDER, 3_000_000, "0B7EVK8r0v71pY0NSMzRuSXJEVkk"),
    "standard_captions": Remote(STANDARD_CAPTION_FOLDER, 170_000_000, "1ndtYb3tlopQhpBYUHpBpVPYBFbz9-kb_"),
    "standard_requests": Remote(STANDARD_REQUEST_FOLDER, 20_000_000),
    "standard_requests_txt": Remote(STANDARD_REQUEST_FOLDER, 20_000_000),
    "standard_request_labels": Remote(STANDARD_REQUEST_FOLDER, 50_000_000),
}

# Files and folders shared before 2021 are not found without these.
RESOURCE_KEYS = {
    "0B7EVK8r0v71pblRyaVFSWGxPY0U": "0-YW2qIuRcWHy_1C2VaRGL3Q",
    STANDARD_IMAGE_FOLDER: "0-rJlzl934LzC-Xp28GeIBzQ",
}


def file_link(id: str) -> str:
    """The address of a file for a browser."""
    return f"https://drive.google.com/file/d/{id}/view{_key(id)}"


def folder_link(id: str) -> str:
    """The address of a folder for a browser."""
    return f"https://drive.google.com/drive/folders/{id}{_key(id)}"


def link(role: str) -> str:
    """The address for a browser of the file that serves a role, or of its folder where the file's is not known."""
    remote = REMOTES[role]
    return file_link(remote.id) if remote.id else folder_link(remote.folder)


def _key(id: str) -> str:
    return f"?resourcekey={RESOURCE_KEYS[id]}" if id in RESOURCE_KEYS else ""
