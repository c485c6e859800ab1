// The schema of a profile, written once. generate.mjs turns it into profiles/profile.schema.json (for editors and other
// tools) and validate.gen.js (what runs). `pattern`, `description`, `default` and `examples` are for editors: the validator
// leaves patterns out, because policy/profile/check.ts says the same with better words.
import { readFileSync } from "node:fs";

const capabilities = JSON.parse(readFileSync(new URL("./capabilities.json", import.meta.url), "utf8"));

const object = (description, properties, more = {}) => ({ type: "object", description, additionalProperties: false, properties, ...more });
const text = (description, more = {}) => ({ type: "string", description, ...more });
const choice = (description, values, more = {}) => ({ enum: values, description, ...more });
const flag = (description, more = {}) => ({ type: "boolean", description, ...more });
const list = (description, items, more = {}) => ({ type: "array", description, items, ...more });
const id = (description) => ({ type: "integer", minimum: 0, maximum: 4294967294, description, default: 1000 });
const names = (description, more = {}) => ({
  type: ["string", "array"],
  items: { type: "string" },
  description,
  ...more,
});
const comment = text("Who needs this, and why. Required where a field loosens the sandbox.");

const sizePattern = "^\\d+(\\.\\d+)?\\s*([KMGTkmgt]([iI][bB])?|[bB])?$";
const durationPattern = "^\\d+(\\.\\d+)?\\s*(ms|s|m|min|h)?$";
const quantity = (description, pattern, example) => ({
  type: ["string", "number", "null"],
  description: `${description} null: no limit.`,
  pattern,
  examples: [example, null],
});
const size = (description, example) =>
  quantity(`${description} A size: "64K", "64M", "1.5G" (powers of 1024) or bytes.`, sizePattern, example);
const duration = (description, example) =>
  quantity(`${description} A duration: "500ms", "2s", "1m", or milliseconds.`, durationPattern, example);
const count = (description, example) => quantity(`${description} A whole number.`, "^\\d+$", example);

const limits = {
  cpuTime: duration("CPU time of all processes together.", "2s"),
  wallTime: duration("Time from start to end.", "6s"),
  memory: size("Memory of all processes together, with what they keep in a memory scratch.", "256M"),
  processes: count("Processes and threads at one time.", 32),
  output: size("Bytes on stdout, and as many on stderr.", "16M"),
  disk: size("Bytes in the writable places (/work, /tmp, /dev/shm) together.", "64M"),
  inodes: count("Files and folders in the writable places together.", 10000),
  openFiles: count("Open descriptors of one process, at least 3.", 256),
  fileSize: size("Size of one file that the program writes.", "64M"),
  stack: size("Stack of the main thread, at least 16K; the default for other threads.", "64M"),
  cpus: quantity("CPUs' worth of time per second, such as 0.5 or 2.", "^\\d+(\\.\\d+)?$", 1),
  cpuset: quantity('The CPUs that the program may run on, such as "0-3,8".', "^\\d+(-\\d+)?(\\s*,\\s*\\d+(-\\d+)?)*$", "0-1"),
  lockedMemory: size("Memory that one process may lock.", 0),
  core: size("Size of a core file.", 0),
  addressSpace: size(
    "Address space of one process, at least 1M. Counts reservations: Node, Go and Java do not start under a small one.",
    "4G",
  ),
};
export const limitNames = Object.keys(limits);

const overlay = object("How the writable layer over the rootfs is made.", {
  driver: choice("The overlay implementation.", ["auto", "kernel", "fuse-overlayfs", "copy"], { default: "auto" }),
});
const rootfsCommon = {
  writable: flag("Whether the program may change its rootfs; changes go to the scratch.", { default: false }),
  overlay,
};
const kind = (name) => ({ const: name });
const union = (description, members) => ({
  type: "object",
  description,
  required: ["kind"],
  discriminator: { propertyName: "kind" },
  oneOf: members,
});
const member = (name, required, properties) => ({
  type: "object",
  additionalProperties: false,
  required: ["kind", ...required],
  properties: { kind: kind(name), ...properties },
});

const hostPath = (description) => text(`${description} Absolute, or relative to the folder of this file.`);
const target = text("Absolute path in the sandbox.", { pattern: "^/[^/]" });

export const schema = {
  $schema: "http://json-schema.org/draft-07/schema#",
  title: "belljar profile",
  ...object(
    'What a sandboxed program gets. What a profile does not say is as in the profiles it extends, and at last as in the built-in profile "default".',
    {
      $schema: text("For editors; belljar does not read it."),
      schemaVersion: { const: 1, description: "Version of this format." },
      name: text("Shown in reports. Default: the file's name."),
      description: text("What the profile is for."),
      extends: names(
        "The profiles this one builds on: a built-in name, a name in the user's profile folder, or a file relative to this one. Later ones win.",
        {
          examples: ["default", ["judge", "./local.json"]],
        },
      ),
      rootfs: union("What the program sees as /.", [
        member("host", [], { ...rootfsCommon }),
        member("image", ["reference"], { reference: text("An OCI image reference.", { examples: ["debian:12"] }), ...rootfsCommon }),
        member("directory", ["path"], { path: hostPath("A folder that holds a root file system."), ...rootfsCommon }),
      ]),
      scratch: object("The writable places.", {
        storage: choice("memory: one tmpfs, limited exactly. disk: a folder, watched by the supervisor.", ["memory", "disk"], {
          default: "memory",
        }),
      }),
      user: object("The program's ids.", {
        mode: choice(
          "single: one id, mapped to the caller's. subordinate: a range from /etc/subuid and /etc/subgid.",
          ["single", "subordinate"],
          {
            default: "single",
          },
        ),
        uid: id("User id in the sandbox."),
        gid: id("Group id in the sandbox."),
        map: choice("subordinate mode: isolated keeps the caller's own id out of the sandbox.", ["caller", "isolated"], {
          default: "caller",
        }),
      }),
      namespaces: object("Namespaces that the program may make.", {
        user: choice("allow: nested sandboxes (needs a comment).", ["deny", "allow"], { default: "deny" }),
        comment,
      }),
      proc: choice(
        "/proc: private shows processes only; full everything a new procfs has; none nothing; host-read-only the host's own. full and host-read-only need a comment.",
        ["private", "full", "none", "host-read-only"],
        { default: "private" },
      ),
      sys: choice("/sys: private is a read-only sysfs (needs a comment).", ["none", "private"], { default: "none" }),
      mounts: list(
        "What else is mounted, in order.",
        union("A mount.", [
          member("bind", ["source", "target"], {
            source: hostPath("Host path."),
            target,
            access: choice("read-write needs a comment.", ["read-only", "read-write"], { default: "read-only" }),
            optional: flag("Leave the mount out where the source does not exist.", { default: false }),
            comment,
          }),
          member("tmpfs", ["target"], {
            target,
            size: { type: ["string", "number"], pattern: sizePattern, description: "Size limit.", default: "64M" },
            inodes: { type: "integer", minimum: 1, description: "Inode limit." },
            mode: text("Octal mode.", { default: "0755", pattern: "^(0o)?[0-7]{1,5}$" }),
            comment,
          }),
          member("mask", ["target"], { target, comment }),
          member("read-only", ["target"], { target, comment }),
        ]),
      ),
      process: object("How the program is started.", {
        workdir: text("Working directory in the sandbox.", { default: "/work", pattern: "^/" }),
        env: {
          type: "object",
          description: "Environment variables.",
          additionalProperties: { type: "string" },
          examples: [{ LANG: "C.UTF-8" }],
        },
        inheritEnv: list("Variables taken from the caller's environment, by name.", { type: "string" }),
        umask: text("Octal file mode creation mask.", { default: "022", pattern: "^(0o)?[0-7]{1,5}$" }),
        stopSignal: {
          ...text("Signal that a cancelled program gets first, such as SIGTERM; null: none, it is killed at once."),
          type: ["string", "null"],
          default: null,
        },
        stopTimeout: text("How long a cancelled program then has before it is killed.", { default: "10s" }),
        hostname: text("Host name.", { default: "belljar", pattern: "^[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$" }),
      }),
      limits: object("Resource limits; null lifts one.", {
        ...limits,
        required: list("Limits that the kernel must enforce for the whole process tree; where it cannot, the run is refused.", {
          enum: limitNames,
        }),
      }),
      seccomp: object("System call filter.", {
        extends: names("Built-in rule sets, or groups of them (needs a comment); later ones win.", {
          default: "default",
          examples: ["default", "strict", "none", "default#socket-ipv4"],
        }),
        defaultAction: text("What happens to calls that no rule names. Default: as the last rule set says.", {
          examples: ["errno:EPERM", "allow"],
        }),
        audit: flag("Count denied calls for the report.", { default: true }),
        file: { type: ["string", "null"], description: "A seccomp profile in Docker's format, instead of rule sets." },
        syscalls: list(
          "Rules of this profile; they win over rule sets.",
          object(
            "A rule.",
            {
              names: list("System calls.", { type: "string" }, { minItems: 1 }),
              action: text("allow, errno:NAME, errno:NUMBER, kill, log or trap. allow and log need a comment.", {
                examples: ["errno:EPERM"],
              }),
              args: list(
                "Conditions on arguments; all must hold.",
                object(
                  "A condition.",
                  {
                    index: { type: "integer", minimum: 0, maximum: 5, description: "Argument, from 0." },
                    op: choice("Comparison.", ["eq", "ne", "lt", "le", "gt", "ge", "masked-eq"]),
                    value: { type: ["integer", "string"], description: "Number, or decimal or 0x text for large ones." },
                    mask: { type: ["integer", "string"], description: "masked-eq: (argument & mask) == value." },
                    width: choice("Bits of the argument that the kernel reads.", [32, 64]),
                  },
                  { required: ["index", "op", "value"] },
                ),
              ),
              comment,
            },
            { required: ["names", "action"] },
          ),
        ),
      }),
      capabilities: list(
        "Capabilities in the sandbox's user namespace (need a comment).",
        { enum: Object.keys(capabilities) },
        { default: [] },
      ),
      landlock: object("Landlock, a second fence around files.", {
        required: flag("Refuse to run where the kernel has no Landlock.", { default: false }),
      }),
      network: object("Network.", {
        mode: choice("none: a private namespace with loopback. host: the host's network (needs a comment).", ["none", "host"], {
          default: "none",
        }),
        comment,
      }),
      comments: {
        type: "object",
        description: "Comments for fields that have no place for one, by path.",
        additionalProperties: { type: "string" },
        examples: [{ capabilities: "ping needs CAP_NET_RAW" }],
      },
    },
    { required: ["schemaVersion"] },
  ),
};
