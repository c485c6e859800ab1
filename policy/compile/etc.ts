/** The few files of /etc that are ours on the host's /usr: who the program is and how names are looked up, nothing of the host. */
import type { FsEntry } from "../wire/wire.gen.ts";
import { bindFile, file } from "./entries.ts";
import { workPath } from "./paths.ts";

interface EtcInput {
  readonly uid: number;
  readonly gid: number;
  readonly hostname: string;
  readonly network: "none" | "host";
}

const nobody = 65534;

function passwd({ uid, gid }: EtcInput): string {
  const lines = [`root:x:0:0:root:${uid === 0 ? workPath : "/root"}:/bin/sh`];
  if (uid !== 0 && uid !== nobody) lines.push(`belljar:x:${uid}:${gid}:belljar:${workPath}:/bin/sh`);
  lines.push(
    `nobody:x:${nobody}:${nobody}:nobody:${uid === nobody ? workPath : "/nonexistent"}:${uid === nobody ? "/bin/sh" : "/usr/sbin/nologin"}`,
  );
  return `${lines.join("\n")}\n`;
}

function group({ gid }: EtcInput): string {
  const lines = ["root:x:0:"];
  if (gid !== 0 && gid !== nobody) lines.push(`belljar:x:${gid}:`);
  lines.push(`nogroup:x:${nobody}:`);
  return `${lines.join("\n")}\n`;
}

const nsswitch = `passwd: files
group: files
shadow: files
hosts: files dns
networks: files
protocols: files
services: files
`;

const hosts = (hostname: string): FsEntry => file("/etc/hosts", `127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t${hostname}\n`);
const hostnameFile = (hostname: string): FsEntry => file("/etc/hostname", `${hostname}\n`);
const noResolver = file("/etc/resolv.conf", "# no network\n");
const hostResolver = bindFile("/etc/resolv.conf", "/etc/resolv.conf", true);

/** In the order in which they are made; the directory /etc must exist before. */
export function etcEntries(input: EtcInput): readonly FsEntry[] {
  return [
    file("/etc/passwd", passwd(input)),
    file("/etc/group", group(input)),
    hosts(input.hostname),
    hostnameFile(input.hostname),
    file("/etc/nsswitch.conf", nsswitch),
    input.network === "host" ? hostResolver : noResolver,
  ];
}

/**
 * What names mean in a network that the image could not know, in place of whatever the image has there. Who is who stays the image's.
 * The host's resolver is bound on a file of ours: a link in the image would lead the mount elsewhere.
 */
export function imageEtcEntries({ hostname, network }: Pick<EtcInput, "hostname" | "network">): readonly FsEntry[] {
  return [hosts(hostname), hostnameFile(hostname), noResolver, ...(network === "host" ? [hostResolver] : [])];
}
