// What all the sandboxes that are compared show: a root file system with nothing but a static busybox.
import { chmodSync, copyFileSync, existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";

/** Made once in a folder; its path. */
export function makeRootfs(dir) {
  const rootfs = join(dir, "rootfs");
  if (existsSync(rootfs)) return rootfs;
  for (const name of ["bin", "dev", "proc", "tmp", "work", "etc"]) mkdirSync(join(rootfs, name), { recursive: true });
  const busybox = ["/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"].find((path) => existsSync(path));
  if (busybox === undefined) throw new Error("no busybox");
  copyFileSync(busybox, join(rootfs, "bin/busybox"));
  chmodSync(join(rootfs, "bin/busybox"), 0o755);
  for (const name of ["true", "sh"]) symlinkSync("busybox", join(rootfs, "bin", name));
  return rootfs;
}
