// The server under test: started, looked at, killed and started again.
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

const childrenOf = (pid) => {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
  } catch {
    return []; // it has ended
  }
};

const accepts = (path) =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });

export class Server {
  #options;
  #child = null;
  #awaited = false;
  /** Of all that were started. */
  words = "";
  starts = 0;

  /** { launcher, plan, socket, size, max, onDeath } */
  constructor(options) {
    this.#options = options;
  }

  get pid() {
    return this.#child?.pid ?? 0;
  }

  async start() {
    const { launcher, plan, socket, size, max } = this.#options;
    const args = ["serve", plan, "--socket", socket, "--size", String(size), "--max", String(max)];
    const child = spawn(launcher, args, { env: {}, cwd: "/", stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    this.#awaited = false;
    this.starts++;
    child.stderr.setEncoding("utf8").on("data", (text) => {
      this.words = (this.words + text).slice(-20_000);
    });
    child.once("exit", (code, signal) => {
      if (!this.#awaited && this.#child === child) this.#options.onDeath(`the server ended by itself: ${signal ?? code}`);
    });
    for (const end = Date.now() + 20_000; !(await accepts(socket)); await delay(2))
      if (Date.now() > end || child.exitCode !== null) throw new Error(`the server does not listen: ${this.words.slice(-2000)}`);
  }

  /** Ends it, and tells how it ended. */
  async end(signal) {
    const child = this.#child;
    this.#awaited = true;
    const ended = new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve([child.exitCode, child.signalCode]);
      child.once("exit", (...how) => resolve(how));
    });
    child.kill(signal);
    return ended;
  }

  async restart(signal) {
    await this.end(signal);
    await this.start();
  }

  /** Processes of sandboxes: launcher, init, and the program's first. What has ended meanwhile is left out. */
  members() {
    return childrenOf(this.pid).map((member) => {
      const [init = 0] = childrenOf(member);
      return { member, init, task: init === 0 ? 0 : (childrenOf(init)[0] ?? 0) };
    });
  }

  /** { rssKiB, descriptors } */
  figures() {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    return { rssKiB: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]), descriptors: readdirSync(`/proc/${this.pid}/fd`).length };
  }
}
