// What is there that should not be, while no run is under way.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** pid -> { parent, name, state }, of all processes. */
function processes() {
  const found = new Map();
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry)))
    try {
      const [, comm, state, parent] = /^\d+ \((.*)\) (\S) (\d+)/s.exec(readFileSync(`/proc/${name}/stat`, "utf8"));
      found.set(Number(name), { parent: Number(parent), name: comm, state });
    } catch {
      // It has ended.
    }
  return found;
}

function descendants(all, root) {
  const found = [root];
  for (const pid of found) for (const [child, { parent }] of all) if (parent === pid) found.push(child);
  return found.slice(1);
}

/**
 * Lines, none when all is as it has to be: below `root`, a subreaper, there are only the processes `known` and, where a server runs,
 * `size` sandboxes of its own that wait.
 */
export function leftovers({ root, known, server, size, folder, cgroupParents }) {
  const all = processes();
  const lines = [];
  const allowed = new Set(known);
  const members = server === 0 ? [] : [...all.keys()].filter((pid) => all.get(pid).parent === server);
  if (server !== 0) allowed.add(server);
  if (server !== 0 && members.length !== size) lines.push(`${members.length} sandboxes, not ${size}`);
  for (const member of members) {
    const tree = descendants(all, member);
    if (tree.length !== 2 || all.get(tree[1]).parent !== tree[0]) lines.push(`sandbox ${member} has ${tree.length} processes, not 2`);
    for (const pid of [member, ...tree]) allowed.add(pid);
  }
  for (const pid of descendants(all, root)) {
    const { name, state, parent } = all.get(pid);
    if (!allowed.has(pid)) lines.push(`process ${pid} (${name}, ${state}, of ${parent})`);
  }
  // Ten digits: only a server names them so. Those of another server's that lives are its own.
  for (const parent of cgroupParents.filter((path) => existsSync(path)))
    for (const name of readdirSync(parent)) {
      const pid = Number(/^belljar-run-(\d{10})-/.exec(name)?.[1] ?? 0);
      if (pid !== 0 && (!all.has(pid) || (server !== 0 && all.get(pid).parent === root))) lines.push(`cgroup ${join(parent, name)}`);
    }
  const files = readdirSync(folder, { recursive: true }).sort().join(" ");
  const wanted = server === 0 ? "plan" : "plan socket";
  if (files !== wanted) lines.push(`files ${files}, not ${wanted}`);
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  for (const line of mounts) if (line.includes(folder)) lines.push(`mount ${line}`);
  const sockets = readFileSync("/proc/net/unix", "utf8").split("\n");
  const own = sockets.filter((line) => line.includes(join(folder, "socket"))).length;
  if (own !== (server === 0 ? 0 : 1)) lines.push(`${own} sockets at the server's path`);
  return lines;
}
