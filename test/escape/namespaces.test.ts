// Mounts, namespaces and roots: the tools by which a program would rebuild its world.
import { attackTest, profileFile } from "../helpers/attack.ts";

const program = "attack-namespaces";
const eperm = (...names: readonly string[]) => Object.fromEntries(names.map((name) => [name, "EPERM" as const]));

attackTest("makes a user namespace by unshare and clone", {
  program,
  args: ["unshare-user", "clone-user"],
  refused: eperm("unshare-user", "clone-user"),
  control: "outside",
});

attackTest("makes a user namespace by clone with junk in the upper half of the flags", {
  program,
  args: ["clone-user-high-word"],
  refused: eperm("clone-user-high-word"),
  control: "outside",
});

attackTest("makes a user namespace by clone3, whose flags no filter sees", {
  program,
  args: ["clone3-user"],
  refused: { "clone3-user": "ENOSYS" },
  control: "outside",
});

attackTest("makes a user namespace without any filter of the profile's", {
  program,
  args: ["unshare-user", "clone-user", "clone-user-high-word"],
  refused: eperm("unshare-user", "clone-user", "clone-user-high-word"),
  control: {
    run: () => [
      "-p",
      profileFile({
        seccomp: { extends: "none" },
        namespaces: { user: "allow", comment: "positive control" },
        comments: { "seccomp.extends": "positive control" },
      }),
    ],
  },
  run: () => ["-p", profileFile({ seccomp: { extends: "none" }, comments: { "seccomp.extends": "the namespace limit alone" } })],
});

const others = ["unshare-mount", "unshare-pid", "unshare-net", "unshare-ipc", "unshare-uts", "unshare-cgroup", "unshare-time"];
attackTest("makes namespaces of the other kinds", { program, args: others, refused: eperm(...others), control: "own-namespaces" });

attackTest("joins namespaces: its own again, and those of process 1", {
  program,
  args: ["setns-own-mount", "setns-own-uts", "setns-pidfd"],
  refused: eperm("setns-own-mount", "setns-own-uts", "setns-pidfd"),
  control: "own-namespaces",
});

const mounts = ["mount-tmpfs", "mount-proc", "mount-bind", "mount-overlay", "mount-move"];
attackTest("mounts by mount(2)", { program, args: mounts, refused: eperm(...mounts), control: "own-namespaces" });

const newMounts = ["open-tree", "move-mount", "fsopen", "fspick"];
attackTest("mounts by the descriptor calls", { program, args: newMounts, refused: eperm(...newMounts), control: "own-namespaces" });

attackTest("makes a read-only mount writable", {
  program,
  args: ["remount", "mount-setattr"],
  env: { ROOT_TARGET: "/usr" },
  refused: eperm("remount", "mount-setattr"),
  // /usr is no mount point outside, "/" is.
  control: "own-namespaces",
  succeeds: { remount: "EINVAL", "mount-setattr": "EINVAL" },
});

attackTest("makes the root writable", {
  program,
  args: ["remount", "mount-setattr"],
  refused: eperm("remount", "mount-setattr"),
  control: "own-namespaces",
});

attackTest("unmounts and shares mounts", {
  program,
  args: ["unmount", "propagate"],
  refused: eperm("unmount", "propagate"),
  control: "own-namespaces",
});

attackTest("changes its root by pivot_root and chroot", {
  program,
  args: ["pivot-root", "chroot"],
  refused: eperm("pivot-root", "chroot"),
  control: "own-namespaces",
});

attackTest("renames the machine", {
  program,
  args: ["hostname", "domainname"],
  refused: eperm("hostname", "domainname"),
  control: "own-namespaces",
});

// The same without the profile's filter: what is left are the missing capabilities, and they suffice.
const all = [...others, ...mounts, ...newMounts, "unmount", "propagate", "pivot-root", "chroot", "hostname", "mount-setattr", "remount"];
attackTest("mounts, namespaces and roots with no filter of the profile's", {
  program,
  args: all,
  refused: eperm(...all),
  control: "own-namespaces",
  run: () => ["-p", profileFile({ seccomp: { extends: "none" }, comments: { "seccomp.extends": "capabilities alone" } })],
});
