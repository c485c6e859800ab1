// The client processes of the soak: as many as asked for, replaced when they are killed, each with several runs under way.
import { fork } from "node:child_process";
import { join } from "node:path";
import { root } from "../bench/native.mjs";

export class Clients {
  #args;
  #lanes;
  #all = [];
  #waiting = [];

  /** `args`: of client.mjs. */
  constructor({ args, count, lanes }) {
    this.#args = args;
    this.#lanes = lanes;
    for (let i = 0; i < count; i++) this.#start();
  }

  get pids() {
    return this.#all.map(({ child }) => child.pid);
  }

  /** Resolves with what the client says of the job, or with null when it was killed meanwhile. */
  async run(job) {
    let client = this.#free();
    while (client === undefined) {
      await new Promise((resolve) => this.#waiting.push(resolve));
      client = this.#free();
    }
    return new Promise((resolve) => {
      client.jobs.set(job.id, resolve);
      client.child.send(job);
    });
  }

  /** Kills one in the middle of what it does. The number killed. */
  kill(at) {
    const client = this.#all[Math.floor(at * this.#all.length)];
    if (client === undefined || !client.ready) return 0;
    client.child.kill("SIGKILL");
    return 1;
  }

  close() {
    for (const { child } of this.#all.splice(0)) {
      child.removeAllListeners("exit");
      child.disconnect();
    }
  }

  #free() {
    return this.#all.filter(({ ready, jobs }) => ready && jobs.size < this.#lanes).sort((a, b) => a.jobs.size - b.jobs.size)[0];
  }

  #wake() {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #start() {
    const child = fork(join(root, "test/soak/client.mjs"), this.#args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const client = { child, ready: false, jobs: new Map() };
    this.#all.push(client);
    child.on("message", (message) => {
      if (message.ready) client.ready = true;
      client.jobs.get(message.id)?.(message);
      client.jobs.delete(message.id);
      this.#wake();
    });
    child.on("error", () => undefined); // a job for one that was just killed
    child.once("exit", () => {
      this.#all.splice(this.#all.indexOf(client), 1);
      for (const resolve of client.jobs.values()) resolve(null);
      this.#start();
      this.#wake();
    });
  }
}
