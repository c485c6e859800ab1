import type { Stats } from "node:fs";
import type { HostFiles } from "./host-files.ts";

/** What of /etc an untrusted program may see; links stay links. A name that is not here, and that no link under /usr leads to, stays outside. */
export const wantedEtc = [
  "/etc/ld.so.cache",
  "/etc/ld.so.conf",
  "/etc/ld.so.conf.d",
  "/etc/alternatives",
  "/etc/ssl/certs",
  "/etc/ssl/openssl.cnf",
  "/etc/ssl/cert.pem",
  "/etc/ca-certificates.conf",
  "/etc/crypto-policies",
  "/etc/pki/tls/certs",
  "/etc/pki/tls/cert.pem",
  "/etc/pki/tls/openssl.cnf",
  "/etc/pki/ca-trust/extracted",
  "/etc/pki/java",
  "/etc/localtime",
  "/etc/timezone",
  "/etc/mime.types",
  "/etc/protocols",
  "/etc/services",
  "/etc/fonts",
  "/etc/os-release",
] as const;

/**
 * Never shown, wherever a link leads: credentials, what identifies the host, and what the sandbox brings itself. Matched against
 * every component beneath /etc, so it holds in any folder.
 */
const denied: readonly RegExp[] = [
  /^\.?(passwd|shadow|gshadow|group|subuid|subgid|opasswd)[-+~.]?/,
  /passw|secret|credential|token|private|apikey/i,
  /\.(key|p12|pfx|jks|keytab|kdbx|ovpn|netrc|pgpass|htpasswd)$/i,
  /^(key|ssh|sshd?_.*|id_(rsa|dsa|ecdsa|ed25519).*|sudoers.*|sudo.*|doas.conf|polkit-1|pam\.d|pam.conf|security)$/,
  /^(machine-id|hostid|hostname|hosts|resolv\.conf|nsswitch\.conf|fstab|crypttab|environment|netrc|\.netrc|npmrc|pip\.conf|settings.*\.xml)$/,
  /^(NetworkManager|wpa_supplicant|wireguard|openvpn|ipsec.*|strongswan.*|ppp|iwd|netplan|network|systemd|cloud|ldap|sssd|samba)$/,
  /^(krb5.*|docker|containers|kubernetes|rancher|consul.*|vault.*|mysql|postgresql.*|redis|mongo.*|exim4|postfix|dovecot|cups|cron.*|apt|dpkg|yum.*|dnf|letsencrypt|gitconfig|belljar)$/,
];

/** Java keeps its public settings in a folder of that name. */
const javaSecurity = /^\/etc\/java[^/]*\/security$/;

/** Whether a path beneath /etc is one that is never shown. */
export function isDenied(path: string): boolean {
  const components = path.split("/").slice(2);
  return components.some((name, index) => {
    if (name === "security" && javaSecurity.test(`/etc/${components.slice(0, index + 1).join("/")}`)) return false;
    return denied.some((rule) => rule.test(name));
  });
}

const othersRead = 0o004;
const othersEnter = 0o005;

/** A folder of more entries is none that a program needs as a whole; it also bounds the work. */
const maxTreeEntries = 4096;

/**
 * The directories of a tree in which everybody can read everything and nothing is denied, so that it can be bound as a whole;
 * else null. Links count as public: they lead to what the sandbox shows, or nowhere.
 */
export function publicTree(files: HostFiles, path: string): readonly string[] | null {
  const directories: string[] = [];
  let entries = 0;
  const walk = (at: string): boolean => {
    const status = files.lstat(at);
    if (++entries > maxTreeEntries || status === null) return false;
    if (status.isSymbolicLink()) return true;
    if (isDenied(at)) return false;
    if (status.isFile()) return (status.mode & othersRead) === othersRead;
    if (!status.isDirectory() || (status.mode & othersEnter) !== othersEnter) return false;
    directories.push(at);
    return files.names(at).every((name) => walk(`${at}/${name}`));
  };
  return walk(path) ? directories : null;
}

export interface EtcCover {
  readonly entries: readonly { readonly path: string; readonly kind: "file" | "directory" }[];
  readonly links: readonly { readonly path: string; readonly target: string }[];
  /** Directories that were looked at: their times tell of a change. */
  readonly watched: readonly string[];
}

/** These hold private parts on every system: only what was asked for comes from them. */
const neverWhole = new Set(["/etc", "/etc/ssl", "/etc/pki"]);

const isPublicFile = (status: Stats | null): boolean => status?.isFile() === true && (status.mode & othersRead) === othersRead;

/**
 * The fewest bind mounts that show the wanted paths: a folder as a whole where it is public through and through, else what in it
 * is wanted, one by one. `wanted` are absolute paths beneath /etc without links in them.
 */
export function coverEtc(files: HostFiles, wanted: readonly string[]): EtcCover {
  const entries: EtcCover["entries"][number][] = [];
  const links: EtcCover["links"][number][] = [];
  const watched = new Set<string>();
  const coverDirectory = (at: string, targets: readonly string[]): void => {
    watched.add(at);
    const tree = neverWhole.has(at) ? null : publicTree(files, at);
    if (tree !== null) {
      entries.push({ path: at, kind: "directory" });
      for (const directory of tree) watched.add(directory);
      return;
    }
    const whole = targets.includes(at);
    const names = whole ? files.names(at) : [...new Set(targets.map((path) => path.slice(at.length + 1).split("/")[0] ?? ""))].sort();
    for (const name of names) {
      const child = `${at}/${name}`;
      cover(child, whole ? [child] : targets.filter((path) => path === child || path.startsWith(`${child}/`)));
    }
  };
  const cover = (at: string, targets: readonly string[]): void => {
    const target = files.link(at);
    if (target !== null) {
      links.push({ path: at, target });
      return;
    }
    if (isDenied(at)) return;
    const status = files.lstat(at);
    if (status?.isDirectory() === true && (status.mode & othersEnter) === othersEnter) coverDirectory(at, targets);
    else if (isPublicFile(status)) entries.push({ path: at, kind: "file" });
  };
  cover("/etc", [...new Set(wanted)].filter((path) => path.startsWith("/etc/")).sort());
  return { entries, links, watched: [...watched] };
}
