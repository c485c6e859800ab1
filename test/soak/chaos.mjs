// What goes wrong beside the runs: kills of clients, of the server and of each process of a sandbox, and floods of connections.
import { connect } from "node:net";

/** How often, in runs. */
const odds = { client: 1 / 1500, member: 1 / 150, init: 1 / 250, task: 1 / 250, server: 1 / 6000, terminated: 1 / 6000, flood: 1 / 800 };

/** Clocks of several processes are compared, and a kill is told of before it was felt. */
const slackMs = 200;

const now = () => performance.timeOrigin + performance.now();

/** Connections that ask for nothing, more than the server has room for; all are closed at once. */
function flood(path, count, holdMs) {
  const sockets = Array.from({ length: count }, () => connect(path).on("error", () => undefined));
  return new Promise((resolve) => {
    setTimeout(() => {
      for (const socket of sockets) socket.destroy();
      resolve();
    }, holdMs);
  });
}

export class Chaos {
  counts = Object.fromEntries(Object.keys(odds).map((name) => [name, 0]));
  #options;
  #kills = [];
  #under = new Set();

  /** { server, socket, random, killClient } */
  constructor(options) {
    this.#options = options;
  }

  /** Called once a run. */
  step() {
    for (const [name, chance] of Object.entries(odds)) if (this.#options.random() < chance) this.#begin(name);
  }

  /** Resolves when nothing of it is under way. */
  async settled() {
    while (this.#under.size > 0) await Promise.all(this.#under);
  }

  /** Whether a run of that time may have met the end of the server, or of a sandbox. */
  excuse(fromMs) {
    const met = this.#kills.filter(({ until }) => until + slackMs >= fromMs).map(({ name }) => name);
    if (met.includes("server")) return "server";
    return met.length > 0 ? "sandbox" : null;
  }

  #begin(name) {
    const done = this.#do(name).finally(() => this.#under.delete(done));
    this.#under.add(done);
  }

  async #do(name) {
    const { server, socket, random, killClient } = this.#options;
    if (name === "flood") {
      this.counts[name]++;
      return flood(socket, 50 + Math.floor(random() * 400), random() * 300);
    }
    if (name === "client") {
      this.counts[name] += killClient();
      return;
    }
    if (name === "server" || name === "terminated") {
      if (this.#kills.some((kill) => kill.until === Number.POSITIVE_INFINITY)) return; // one at a time
      const kill = { name: "server", until: Number.POSITIVE_INFINITY };
      this.#kills.push(kill);
      this.counts[name]++;
      await server.restart(name === "server" ? "SIGKILL" : "SIGTERM");
      kill.until = now();
      return;
    }
    const members = server.members().filter((member) => member[name] > 0);
    const victim = members[Math.floor(random() * members.length)];
    if (victim === undefined) return;
    this.#kills.push({ name, until: now() });
    if (this.#kills.length > 1000) this.#kills.splice(0, 500);
    try {
      process.kill(victim[name], "SIGKILL");
      this.counts[name]++;
    } catch {
      // It has ended.
    }
  }
}
