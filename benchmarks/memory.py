"""What docs/SEMANTICS.md bounds, on a real mount: peak memory of streams, CPU while idle."""

import subprocess
import time

from contestants import contestants, server

MIB = 1024 * 1024


def main() -> None:
    """Print peak memory of a 1 GiB stream in and out, for two cache sizes, and CPU while idle."""
    maker = contestants()[0]
    plain = list(maker.command)
    with server() as s3:
        for cache in (64, 512):
            maker.command = [*plain, "--cache-size", str(cache)]
            with maker.mounted(s3) as mount:
                start = mount.memory("VmRSS")
                _run(mount.path, "dd if=/dev/zero of=stream bs=1M count=1024 status=none")
                written = mount.memory()
            with maker.mounted(s3) as mount:
                _run(mount.path, "cat stream > /dev/null")
                read = mount.memory()
            print(
                f"cache of {cache} MiB: {start:.0f} MiB at rest, "
                f"peak {written:.0f} MiB writing 1 GiB, {read:.0f} MiB reading it "
                f"({read - cache:.0f} MiB beyond the cache)"
            )
        maker.command = plain
        with maker.mounted(s3) as mount:
            _run(mount.path, "ls -l")
            before = mount.cpu()
            time.sleep(20)
            print(f"idle: {(mount.cpu() - before) * 1000:.0f} ms of CPU in 20 s")


def _run(folder: str, command: str) -> None:
    subprocess.run(command, shell=True, cwd=folder, check=True)


if __name__ == "__main__":
    main()
