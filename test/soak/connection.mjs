// One run, as a client of the server asks for it: docs/protocol.md in plain Node, and every way to get it wrong.
import { createHash } from "node:crypto";
import { connect } from "node:net";

/** What came on one stream: its start as text, all of it as a digest. */
class Seen {
  bytes = 0;
  text = "";
  #hash = createHash("sha1");

  add(chunk) {
    this.bytes += chunk.length;
    if (this.text.length < 4096) this.text += chunk.toString("latin1").slice(0, 4096 - this.text.length);
    this.#hash.update(chunk);
  }

  finish() {
    return { bytes: this.bytes, text: this.text, digest: this.#hash.digest("hex") };
  }
}

export function frameOf(kind, payload = Buffer.alloc(0), length = payload.length) {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(kind, 0);
  header.writeUInt32LE(length, 4);
  return Buffer.concat([header, payload]);
}

/** Cuts what comes into frames. */
function frameReader(onFrame) {
  let pending = Buffer.alloc(0);
  return (chunk) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    while (pending.length >= 8 && pending.length >= 8 + pending.readUInt32LE(4)) {
      const end = 8 + pending.readUInt32LE(4);
      onFrame(pending.readUInt32LE(0), pending.subarray(8, end));
      pending = pending.subarray(end);
    }
  };
}

const maxFrame = 65_536;

/**
 * Never throws: { record (bytes or null), refused, stdout, stderr, problem }. A problem is what no server should do.
 * `kind(name)`: the number of a kind. `stdin`: all of the input. `pick(n)`: a number below n, the same for the same job.
 */
export function runOver(socketPath, { exec, stdin, behaviour = "", after = 1, kind, pick }) {
  const seen = { stdout: new Seen(), stderr: new Seen() };
  const result = { record: null, refused: false, parked: false, problem: null };
  const socket = connect({ path: socketPath, allowHalfOpen: true });
  let [sent, taken, acted] = [0, 0, false];
  const write = (...frame) => void (socket.writable && socket.write(frameOf(...frame)));

  const feed = () => {
    const window = behaviour === "floods" || behaviour === "half-closes soon" ? Number.POSITIVE_INFINITY : maxFrame;
    while (sent < stdin.length && sent - taken < window) {
      const size = Math.min(stdin.length - sent, window - (sent - taken), 1 + pick(maxFrame));
      write(kind("stdin"), stdin.subarray(sent, sent + size));
      sent += size;
      if (sent === stdin.length) write(kind("stdin"));
    }
  };
  const act = () => {
    if (acted) return;
    acted = true;
    if (behaviour.startsWith("cancels")) write(kind("cancel"));
    else if (behaviour.startsWith("half-closes")) socket.end();
    else if (behaviour.startsWith("closes")) socket.destroy();
    else if (behaviour === "sends no kind") write(kind("denial"), Buffer.alloc(pick(100)));
    else if (behaviour === "sends too much") write(kind("stdin"), Buffer.alloc(pick(100)), maxFrame + 1 + pick(1 << 30));
    else if (behaviour === "writes on") write(kind("stdin"), Buffer.from("more"));
    else if (behaviour === "reads late") socket.resume();
  };
  const start = () => {
    if (behaviour === "closes at once") return act();
    if (behaviour === "sends noise") return void socket.write(Buffer.from(Array.from({ length: 64 + pick(200) }, () => pick(256))));
    if (behaviour === "closes within the plan") {
      socket.write(exec.subarray(0, 1 + pick(exec.length - 1)));
      return void setImmediate(act);
    }
    socket.write(exec);
    if (stdin.length === 0) write(kind("stdin"));
    else feed();
    if (["cancels soon", "half-closes soon", "sends no kind", "sends too much", "writes on"].includes(behaviour)) setImmediate(act);
    if (behaviour === "reads late") {
      socket.pause();
      setTimeout(act, 400);
    }
  };
  const onFrame = (number, payload) => {
    if (result.record !== null || result.refused) result.problem ??= `a frame of kind ${number} after the last one`;
    if (number === kind("parked")) result.parked = true;
    else if (number === kind("stdin")) {
      taken += payload.readUInt32LE(0);
      if (taken > sent) result.problem ??= `${taken} bytes of input taken of ${sent}`;
      feed();
    } else if (number === kind("stdout") || number === kind("stderr")) {
      (number === kind("stdout") ? seen.stdout : seen.stderr).add(payload);
      if (seen.stdout.bytes >= after && behaviour !== "reads late") act();
    } else if (number === kind("record")) {
      result.record = Buffer.from(payload);
      socket.end();
    } else if (number === kind("refused")) {
      result.refused = true;
      socket.end();
    } else if (number !== kind("denial")) result.problem ??= `a frame of kind ${number}`;
  };
  const read = frameReader(onFrame);
  return new Promise((resolve) => {
    socket.on("connect", start);
    socket.on("data", read);
    socket.on("end", () => socket.end());
    socket.on("error", (error) => {
      result.error = error.code;
    });
    socket.on("close", () => resolve({ ...result, stdout: seen.stdout.finish(), stderr: seen.stderr.finish() }));
  });
}
