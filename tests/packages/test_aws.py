"""The documents for AWS: least privilege as the code has it, and templates that are correct."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packages.test_contents import script
from yas3fs.config.service import load_service
from yas3fs.config.substitution import Substitution
from yas3fs.objectstore.protocol import ObjectStore
from yas3fs.runtime.imds import InstanceMetadata

ROOT = Path(__file__).parents[2]
AWS = ROOT / "etc" / "aws"
iam = script("iam")


class Metadata(InstanceMetadata):
    def text(self, path: str) -> str:
        return {"meta-data/instance-id": "i-1", "meta-data/placement/region": "eu-west-1"}[path]


def test_the_policies_are_up_to_date() -> None:
    written = {path.name: json.loads(path.read_text()) for path in (AWS / "iam").iterdir()}
    assert written == iam.policies(), "python3 packaging/iam.py etc/aws/iam"


def test_every_method_of_the_store_has_its_actions() -> None:
    methods = {name for name in vars(ObjectStore) if not name.startswith("_")}
    assert methods == iam.STORE.keys()
    calling = {path.name for path in (ROOT / "yas3fs").rglob("*.py")
               if path.parent.name != "objectstore"
               and ".list_multipart(" in path.read_text()}  # fmt: skip
    assert calling == {"cleanup_command.py"}, "nodes are not allowed to"


def test_every_module_that_calls_is_asked() -> None:
    calling = {path.stem for path in (ROOT / "yas3fs").rglob("*.py")
               if "demo" not in path.parts and iam.calls(path)}  # fmt: skip
    assert calling == set(iam.ADMINISTRATOR)


def test_calls_are_found_where_they_are(tmp_path: Path) -> None:
    source = tmp_path / "source.py"
    source.write_text(
        "client().publish_batch(TopicArn=a)\nsqs.receive_message(**words)\n"
        "listener.subscribe(arn, heartbeat=b)\n"
    )
    assert iam.calls(source) == {"sns:PublishBatch", "sqs:ReceiveMessage"}
    assert "sqs:CreateQueue" in iam.actions(iam.NODE)
    assert "sqs:ListQueues" not in iam.actions(iam.NODE)


# -- templates ---------------------------------------------------------------------------------------


class Loader(yaml.SafeLoader):
    """CloudFormation's short forms become what they are short for."""


def short(loader: Loader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    assert isinstance(node, yaml.SequenceNode)
    return {suffix: loader.construct_sequence(node)}


Loader.add_multi_constructor("!", short)
TEMPLATE = yaml.load((AWS / "auto-scaling.yaml").read_text(), Loader)
RESOURCES = TEMPLATE["Resources"]


def test_the_role_of_the_template_is_the_policy_of_a_node() -> None:
    statements = RESOURCES["Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    role = {one["Sid"]: sorted(one["Action"]) for one in statements if one["Sid"] != "Package"}
    node = {one["Sid"]: one["Action"] for one in iam.policies()["node.json"]["Statement"]}
    assert role == node


def served(document: str, tmp_path: Path) -> Any:
    (content,) = [file["content"] for file in yaml.safe_load(document)["write_files"]]
    path = tmp_path / "yas3fs.yaml"
    path.write_text(content)
    return load_service(str(path), environment={}, substitution=Substitution({}, Metadata))


def test_the_user_data_of_the_template_is_a_correct_file(tmp_path: Path) -> None:
    data = RESOURCES["Template"]["Properties"]["LaunchTemplateData"]["UserData"]
    text = data["Fn::Base64"]["Sub"]
    values = {
        "Topic": "arn:aws:sns:eu-west-1:123456789012:t",
        "BucketName": "bucket",
        "Path": "path",
    }
    text = re.sub(r"\$\{(\w+)\}", lambda name: values.get(name[1], "x"), text).replace("${!", "${")
    service = served(text, tmp_path)
    assert [(one.url, one.id, one.new_queue) for one in service.mounts] == [
        ("s3://bucket/path", "i-1", True)
    ]
    assert service.process.drain_on_termination


def test_the_user_data_for_cloud_init_is_a_correct_file(tmp_path: Path) -> None:
    text = (AWS / "cloud-init.yaml").read_text()
    assert text.startswith("#cloud-config\n")
    text = text.replace("BUCKET", "bucket").replace("ACCOUNT:TOPIC", "123456789012:topic")
    (mount,) = served(text, tmp_path).mounts
    assert (mount.id, mount.topic) == ("i-1", "arn:aws:sns:eu-west-1:123456789012:topic")


def test_cloudformation_would_take_it() -> None:
    pytest.importorskip("cfnlint")
    done = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), AWS / "auto-scaling.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
