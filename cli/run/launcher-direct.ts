import { closeSync, read, writeSync } from "node:fs";
import { constants } from "node:os";
import { spawnAddon } from "../host/spawn-addon.ts";
import { makeInbox } from "./inbox.ts";
import { enter, type Launcher, type LauncherOptions, type LaunchOutcome } from "./launcher.ts";

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals]));

/** From the status of wait(2). */
function endOf(status: number): Pick<LaunchOutcome, "exitCode" | "signal"> {
  if (status < 0) return { exitCode: null, signal: null };
  const signal = status & 0x7f;
  return signal === 0 ? { exitCode: (status >> 8) & 0xff, signal: null } : { exitCode: null, signal: signalNames.get(signal) ?? null };
}

const bufferBytes = 64 * 1024;

/**
 * Starts the launcher without Node's modules for processes, sockets and streams, whose loading and use take a short run longer than the sandbox does. null where
 * that cannot be: without the addon, where a stream is to be a pipe, for a session of its own, and where it fails, since Node's own way says why.
 */
export function startDirect({ launcher, targets, detached }: LauncherOptions): Launcher | null {
  const [stdin, stdout, stderr] = targets.map((target, descriptor) => (target === "inherit" ? descriptor : target));
  if (detached || typeof stdin !== "number" || typeof stdout !== "number" || typeof stderr !== "number") return null;
  const addon = spawnAddon();
  if (addon === null) return null;
  let started: readonly [number, number];
  try {
    started = addon.start(launcher, stdin, stdout, stderr);
  } catch {
    return null;
  }
  const [pid, control] = started;
  const inbox = makeInbox();
  let isOpen = true;
  const drop = (): void => {
    if (isOpen) addon.hangUp(control);
  };
  // Node waits for its threads before it ends, and one of them reads.
  process.once("exit", drop);
  const send = (bytes: Uint8Array): void => {
    try {
      for (let done = 0; isOpen && done < bytes.length; ) done += writeSync(control, bytes, done);
    } catch {
      // A launcher that is gone breaks the socket; its exit says all there is to say.
    }
  };
  const hungUp = new Promise<void>((resolve) => {
    const buffer = Buffer.allocUnsafe(bufferBytes);
    const receive = (): void =>
      read(control, buffer, 0, bufferBytes, null, (error, length) => {
        if (error === null && length > 0) {
          // A copy, since messages are parts of what they came in.
          if (!inbox.read(Buffer.from(buffer.subarray(0, length)))) drop();
          return receive();
        }
        isOpen = false;
        process.off("exit", drop);
        closeSync(control);
        resolve();
      });
    receive();
  });
  // Only then: where Node has but one thread for both, the other would wait for ever.
  const outcome = hungUp.then(() => addon.ended(pid)).then((status): LaunchOutcome => ({ ...inbox.messages(), ...endOf(status) }));
  return {
    path: launcher,
    tidiesItself: false,
    stdin: null,
    stdout: null,
    stderr: null,
    begin: async ({ sandboxBytes, execBytes, scope }) => {
      if (scope !== null) await enter(scope, { pid, drop, outcome });
      send(sandboxBytes);
      send(execBytes);
    },
    parked: inbox.parked,
    resume: send,
    cancel: () => send(Buffer.from("C")),
    drop,
    exited: outcome.then(() => undefined),
    outcome,
  };
}
