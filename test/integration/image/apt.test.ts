// apt-get within a Debian image: a package manager that drops to a user of its own, changes owners and modes, and starts what packages bring.
import { expect } from "vitest";
import { needs } from "../../helpers/abilities.ts";
import { debianTar } from "../../helpers/debian.ts";
import { cacheDir } from "../../helpers/places.ts";
import { imageHome } from "../../helpers/run-image.ts";

/** Groups and owners of its own, a set-group-ID program, and a script that runs when it is configured. */
const script = `export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o Acquire::Languages=none update
apt-get -qq install -y --no-install-recommends cron >/dev/null
stat -c '%A %U:%G' /usr/bin/crontab /var/spool/cron/crontabs
dpkg -s cron | grep Status
id -un _apt`;

needs(
  "userns",
  "overlay",
  "subids",
  "mmdebstrap",
  "debian-mirror",
)(
  "apt-get installs a package, with subordinate ids and the host's network",
  async () => {
    const home = imageHome();
    await home.command(["image", "import", "-i", debianTar(cacheDir), "debian"], { deadlineMs: 120_000 });
    const options = ["-p", "image", "--network", "host", "--set", "scratch.storage=disk", "--disk", "2G", "--inodes", "none"];
    const { stdout, stderr, report } = await home.run("debian", [...options, "--wall-time", "5m"], ["sh", "-ec", script], {
      deadlineMs: 400_000,
    });
    expect(stdout, stderr).toBe("-rwxr-sr-x root:crontab\ndrwx-wx--T root:crontab\nStatus: install ok installed\n_apt\n");
    expect(report.verdict, report.message).toBe("ok");
    // It is thrown away with the run.
    expect((await home.run("debian", ["-p", "image"], ["sh", "-c", "ls /usr/bin/crontab"])).report.verdict).toBe("exit-nonzero");
  },
  900_000,
);
