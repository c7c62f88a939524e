"""From package to boot: an administrator's day in a Debian that is booted for it, in this order."""

import hashlib
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.doubles import servers
from tests.doubles.container import Container, cannot_boot, container, lacking, until
from yas3fs import __version__

pytestmark = [
    pytest.mark.mount,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(lacking()), reason=lacking()),
]

ROOT = Path(__file__).parents[2]
FILE = """\
defaults:
  s3-endpoint: {endpoint}
  retry-budget: 5
  mkdir: yes
mounts:
  media:
    url: s3://good/media
    mountpoint: /srv/media
  home:
    url: s3://good/home
    mountpoint: /srv/home
"""
EARLIER = "2.99.1"
THIRD = "  third:\n    url: s3://good/third\n    mountpoint: /srv/third\n"
CREDENTIALS = (
    f"[default]\naws_access_key_id={servers.KEY_ID}\naws_secret_access_key={servers.SECRET}\n"
)


@dataclass
class Machine:
    """The container, the S3 beside it, and the packages."""

    container: Container
    endpoint: str
    packages: Path

    def install(self) -> None:
        self.container.run("sh", "-c", "dpkg -i /root/*.deb")

    def configure(self, more: str = "") -> None:
        self.container.write("/etc/yas3fs.yaml", FILE.format(endpoint=self.endpoint) + more)

    def mounted(self) -> dict[str, str]:
        """What findmnt sees: the URL by mount point."""
        done = self.container.run("findmnt", "-J", "-t", "fuse.yas3fs", check=False)
        if not done.stdout:
            return {}
        found: dict[str, str] = {}
        pending: list[dict[str, Any]] = json.loads(done.stdout)["filesystems"]
        while pending:
            one = pending.pop()
            found[one["target"]] = one["source"]
            pending += one.get("children", [])
        return found

    def object(self, key: str) -> bytes:
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=servers.KEY_ID,
            aws_secret_access_key=servers.SECRET,
        )
        body: bytes = client.get_object(Bucket="good", Key=key)["Body"].read()
        return body

    def processes(self) -> str:
        """The command lines of all processes that run inside."""
        lines = self.container.run("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
        assert "systemd" in lines
        return lines

    def main_pid(self, unit: str) -> str:
        return self.container.run("systemctl", "show", "-P", "MainPID", unit).stdout.strip()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, packages: Path) -> Iterator[Machine]:
    if reason := cannot_boot():
        pytest.skip(reason)
    with (
        servers.moto() as server,
        container(tmp_path_factory.mktemp("container")) as booted,
    ):
        request = urllib.request.Request(f"{server.endpoint}/good", method="PUT")
        urllib.request.urlopen(request).close()
        for package in [*packages.glob("*.deb"), *packages.glob("*.rpm")]:
            booted.write(f"/root/{package.name}", "")
            (booted.root / "root" / package.name).write_bytes(package.read_bytes())
        booted.write("/root/.aws/credentials", CREDENTIALS)
        booted.boot()
        yield Machine(booted, server.endpoint, packages)


@pytest.fixture
def machine(bare: Machine) -> Machine:
    """With the package: the tests are a story, and each can also be run by itself."""
    if bare.container.run("dpkg", "-s", "yas3fs", check=False).returncode:
        bare.install()
        bare.configure()
    return bare


def test_the_package_is_installed_and_starts_nothing(bare: Machine) -> None:
    machine, run = bare, bare.container.run
    machine.install()
    assert run("systemctl", "is-enabled", "yas3fs", check=False).stdout == "disabled\n"
    assert machine.mounted() == {}
    assert (
        run("dpkg-query", "-W", "-f", "${Conffiles}", "yas3fs").stdout.split()[0]
        == "/etc/yas3fs.yaml"
    )
    for program in ("yas3fs", "yas3fsctl"):
        assert run(program, "--version").stdout.startswith("yas3fs 3")
    assert "no mount is named" in run("yas3fsctl", "check-config", check=False).stderr


def test_without_a_mount_it_fails_once_and_says_why(machine: Machine) -> None:
    run = machine.container.run
    assert run("systemctl", "start", "yas3fs", check=False).returncode != 0
    state = run("systemctl", "show", "-P", "NRestarts,ExecMainStatus,ActiveState", "yas3fs").stdout
    assert "2" in state.split()
    assert "/etc/yas3fs.yaml: no mount is named" in machine.container.journal()


def test_started_means_that_everybody_sees_the_mounts(machine: Machine) -> None:
    run = machine.container.run
    machine.configure()
    assert run("yas3fsctl", "check-config", "--live").stdout.endswith("is correct\n")
    run("systemctl", "start", "yas3fs")
    assert machine.mounted() == {"/srv/media": "s3://good/media", "/srv/home": "s3://good/home"}
    status = run("systemctl", "show", "-P", "StatusText", "yas3fs").stdout
    assert status.startswith("2 of 2 mounted; ")
    run("sh", "-c", "echo said > /srv/media/file")
    assert machine.object("media/file") == b"said\n"
    assert run("yas3fsctl", "status").stdout.count(" mounted ") == 2
    assert (
        "media: INFO yas3fs.daemon.supervisor: mounted s3://good/media"
        in machine.container.journal()
    )
    arguments = run("cat", f"/proc/{machine.main_pid('yas3fs')}/cmdline").stdout
    for text in (
        machine.container.journal(),
        run("yas3fsctl", "status", "--json").stdout,
        arguments,
    ):
        assert text
        assert servers.SECRET not in text


def test_a_reload_touches_only_what_changed(machine: Machine) -> None:
    run = machine.container.run
    reader = machine.container.begin("sh", "-c", "exec 3</srv/media/file; echo; read x; cat <&3")
    assert reader.stdout is not None
    reader.stdout.readline()
    machine.configure(THIRD)
    run("systemctl", "reload", "yas3fs")
    assert machine.mounted().keys() == {"/srv/media", "/srv/home", "/srv/third"}
    machine.configure("  third: {urk: x}\n")
    assert run("systemctl", "reload", "yas3fs", check=False).returncode != 0
    assert "urk: there is no such option; did you mean url?" in machine.container.journal()
    machine.configure()
    run("systemctl", "reload", "yas3fs")
    assert machine.mounted().keys() == {"/srv/media", "/srv/home"}
    assert reader.communicate("\n", timeout=60)[0] == "said\n"


def test_a_stop_uploads_what_is_written_first(machine: Machine) -> None:
    run = machine.container.run
    script = (
        "import os, hashlib\n"
        "file = open('/srv/media/large', 'wb')\n"
        "for number in range(40): file.write(number.to_bytes(1) * (1 << 20))\n"
        "print(flush=True)\n"
        "file.close()\n"
        "print('closed', flush=True)\n"
    )
    writer = machine.container.begin("python3", "-c", script)
    assert writer.stdout is not None
    writer.stdout.readline()
    run("systemctl", "stop", "yas3fs")
    assert writer.communicate(timeout=60)[0] == "closed\n"
    wanted = hashlib.sha256(b"".join(bytes([number]) * (1 << 20) for number in range(40)))
    assert hashlib.sha256(machine.object("media/large")).digest() == wanted.digest()
    assert machine.mounted() == {}
    assert run("systemctl", "is-failed", "yas3fs", check=False).stdout == "inactive\n"


def test_one_mount_alone_comes_back_after_it_was_killed(machine: Machine) -> None:
    run = machine.container.run
    run("systemctl", "start", "yas3fs@media")
    assert machine.mounted() == {"/srv/media": "s3://good/media"}
    before = machine.main_pid("yas3fs@media")
    run("systemctl", "kill", "-s", "KILL", "yas3fs@media")
    unit = "systemctl is-active yas3fs@media"
    until(
        lambda: (
            machine.main_pid("yas3fs@media") not in (before, "0")
            and run("sh", "-c", unit, check=False).stdout == "active\n"
        ),
        "the restart",
    )
    assert run("cat", "/srv/media/file").stdout == "said\n"
    assert list(machine.mounted()) == ["/srv/media"]
    run("systemctl", "stop", "yas3fs@media")
    assert machine.mounted() == {}


def test_a_service_that_hangs_is_started_again(machine: Machine) -> None:
    run = machine.container.run
    impatient = "[Service]\nWatchdogSec=2\nRestartSec=0\n"
    machine.container.write("/etc/systemd/system/yas3fs@.service.d/impatient.conf", impatient)
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "yas3fs@home")
    before = machine.main_pid("yas3fs@home")
    run("sh", "-c", f"kill -STOP {before}")
    until(
        lambda: (
            machine.main_pid("yas3fs@home") not in (before, "0")
            and run("systemctl", "is-active", "yas3fs@home", check=False).stdout == "active\n"
        ),
        "the restart",
    )
    assert "Watchdog timeout" in machine.container.journal()
    run("sh", "-c", "echo alive > /srv/home/file")
    assert list(machine.mounted()) == ["/srv/home"]
    run("systemctl", "stop", "yas3fs@home")
    run("rm", "-r", "/etc/systemd/system/yas3fs@.service.d")
    run("systemctl", "daemon-reload")


FSTAB = """\
s3://good/tab    /mnt/tab     yas3fs       _netdev,nofail,X-mount.mkdir,noatime,s3_endpoint={endpoint}  0 0
home             /mnt/named   fuse.yas3fs  _netdev,nofail,X-mount.mkdir                                0 0
yas3fs#good/old  /mnt/old     fuse         noauto,nofail,s3_endpoint={endpoint}                        0 0
s3://good/auto   /mnt/auto    yas3fs       _netdev,nofail,x-systemd.automount,s3_endpoint={endpoint}   0 0
s3://good/lost   /mnt/lost    yas3fs       _netdev,nofail,X-mount.mkdir,retry_budget=1,s3_endpoint=http://127.0.0.1:9  0 0
"""


def test_mount_reads_fstab_in_all_forms(machine: Machine) -> None:
    run = machine.container.run
    machine.container.write("/etc/fstab", FSTAB.format(endpoint=machine.endpoint))
    run("mkdir", "-p", "/mnt/old", "/mnt/auto")
    run("systemctl", "daemon-reload")
    run("mount", "/mnt/tab")
    run("mount", "/mnt/old")
    assert "/mnt/old" in machine.processes()
    assert machine.mounted() == {"/mnt/tab": "s3://good/tab", "/mnt/old": "s3://good/old"}
    run("sh", "-c", "echo tab > /mnt/tab/file")
    run("mount", "-o", "remount,ro", "/mnt/tab")
    assert run("touch", "/mnt/tab/other", check=False).returncode == 1
    wrong = run("mount", "-t", "yas3fs", "s3://good/x", "/mnt/old", "-o", "frob", check=False)
    assert (wrong.returncode, "-o frob: there is no such option" in wrong.stderr) == (1, True)
    lost = run("mount", "/mnt/lost", check=False)
    assert (lost.returncode, "no connection to http://127.0.0.1:9" in lost.stderr) == (32, True)
    run("umount", "/mnt/tab")
    run("umount", "/mnt/old")
    assert machine.mounted() == {}
    until(lambda: "/mnt/old" not in machine.processes(), "the end of the process")


def test_at_boot_fstab_and_the_service_are_mounted(machine: Machine) -> None:
    run = machine.container.run
    run("systemctl", "enable", "yas3fs@media")
    machine.container.power_off()
    machine.container.boot()
    assert machine.mounted().keys() == {"/mnt/tab", "/mnt/named", "/srv/media"}
    assert run("cat", "/mnt/tab/file").stdout == "tab\n"
    assert run("systemctl", "is-active", "multi-user.target").stdout == "active\n"
    assert run("systemctl", "is-active", "mnt-lost.mount", check=False).stdout == "failed\n"
    run("systemctl", "stop", "mnt-tab.mount", "mnt-named.mount")
    assert machine.mounted().keys() == {"/srv/media"}


@pytest.mark.skipif(not os.path.exists("/dev/autofs"), reason="there is no /dev/autofs here")
def test_the_first_look_mounts_where_fstab_says_automount(machine: Machine) -> None:
    run = machine.container.run
    assert "/mnt/auto" not in machine.mounted()
    run("timeout", "60", "ls", "/mnt/auto")
    assert machine.mounted()["/mnt/auto"] == "s3://good/auto"
    run("sh", "-c", "echo auto > /mnt/auto/file")
    assert machine.object("auto/file") == b"auto\n"
    run("systemctl", "stop", "mnt-auto.automount", "mnt-auto.mount")
    assert machine.mounted().keys() == {"/srv/media"}


def test_an_ordinary_user_needs_none_of_this(machine: Machine) -> None:
    run = machine.container.run
    run("useradd", "-m", "-s", "/bin/sh", "ann")
    machine.container.write("/home/ann/.aws/credentials", CREDENTIALS)
    run("chown", "-R", "ann:", "/home/ann/.aws")
    mount = f"yas3fs s3://good/ann mnt --mkdir --s3-endpoint {machine.endpoint}"
    run("su", "-", "ann", "-c", f"{mount} && echo mine > mnt/file && yas3fsctl status")
    assert machine.mounted()["/home/ann/mnt"] == "s3://good/ann"
    assert machine.object("ann/file") == b"mine\n"
    assert run("ls", "/home/ann/mnt", check=False).returncode == 2  # not even root looks
    run("su", "-", "ann", "-c", "fusermount3 -u mnt")
    until(lambda: "s3://good/ann" not in machine.processes(), "the end of ann's process")
    run("userdel", "-r", "ann")


def earlier_package(machine: Machine) -> None:
    """/root/earlier.deb: as the package, but of an earlier version, which the program says too."""
    (package,) = machine.packages.glob("*.deb")
    folder = machine.container.root / "root" / "earlier"
    subprocess.run(["dpkg-deb", "-R", package, folder], check=True)
    program = folder / "usr/lib/yas3fs/lib/yas3fs/__init__.py"
    for path, ours, earlier in (
        (folder / "DEBIAN/control", "Version: 3.0.0~dev0", f"Version: {EARLIER}"),
        (program, f'__version__ = "{__version__}"', f'__version__ = "{EARLIER}"'),
    ):
        text = path.read_text()
        assert ours in text
        path.write_text(text.replace(ours, earlier))
    subprocess.run(["dpkg-deb", "-b", folder, f"{folder}.deb"], check=True, capture_output=True)
    shutil.rmtree(folder)


def test_an_upgrade_leaves_mounts_in_use_alone(machine: Machine) -> None:
    run = machine.container.run
    run("systemctl", "stop", "yas3fs", "yas3fs@media")
    earlier_package(machine)
    run("sh", "-c", "dpkg --force-downgrade -i /root/earlier.deb && rm /root/earlier.deb")
    run("systemctl", "start", "yas3fs@media")

    def running() -> list[str]:
        found = json.loads(run("yas3fsctl", "status", "--json").stdout)
        return [process["version"] for process in found]

    assert running() == [EARLIER]
    writer = machine.container.begin(
        "sh", "-c", "exec 3>/srv/media/kept; echo; read x; echo $x >&3"
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    before = machine.main_pid("yas3fs@media")
    machine.configure("# mine\n")
    machine.install()
    assert machine.main_pid("yas3fs@media") == before
    assert run("yas3fs", "--version").stdout == f"yas3fs {__version__}\n"
    assert running() == [EARLIER]  # until it is started again
    writer.communicate("through\n", timeout=60)
    assert machine.object("media/kept") == b"through\n"
    assert run("tail", "-n1", "/etc/yas3fs.yaml").stdout == "# mine\n"
    run("systemctl", "restart", "yas3fs@media")
    assert running() == [__version__]
    assert run("cat", "/srv/media/kept").stdout == "through\n"


def test_a_purge_leaves_nothing_behind(machine: Machine) -> None:
    run = machine.container.run
    run("dpkg", "-P", "yas3fs")
    assert machine.mounted() == {}
    found = run(
        "sh", "-c", "find / -xdev -name '*yas3fs*' -not -path '/proc/*' -not -path '/root/*'"
    )
    leftovers = [line for line in found.stdout.splitlines() if "/dpkg/" not in line]
    assert [line for line in leftovers if not line.startswith(("/sys/", "/var/log/"))] == []
    run("dpkg", "-P", "yas3fs")  # again


def test_the_rpm_installs_the_same(bare: Machine) -> None:
    machine, run = bare, bare.container.run
    run("sh", "-c", "rpm -i --nodeps --ignorearch /root/*.rpm")
    machine.configure()
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "yas3fs")
    assert machine.mounted().keys() == {"/srv/media", "/srv/home"}
    assert run("cat", "/srv/media/file").stdout == "said\n"
    assert run("rpm", "-V", "yas3fs", check=False).stdout.split()[-1:] == ["/etc/yas3fs.yaml"]
    run("rpm", "-e", "yas3fs")
    assert machine.mounted() == {}
    assert run("ls", "/usr/lib/yas3fs", check=False).returncode == 2
