/** Filters as text, for people: one instruction a line, with absolute jump targets. */
import { formatAction } from "./actions.ts";
import { dataOffset, instructionSize } from "./assembler.ts";
import { auditArch } from "./syscalls.ts";

const comparisons: Readonly<Record<number, string>> = { 21: "jeq", 37: "jgt", 53: "jge", 69: "jset" };

function dataName(offset: number): string {
  if (offset === dataOffset.nr) return "nr";
  if (offset === dataOffset.arch) return "arch";
  if (offset < dataOffset.low(0)) return offset === dataOffset.instructionPointer ? "ip.low" : "ip.high";
  const index = Math.floor((offset - dataOffset.low(0)) / 8);
  return `arg${index}.${offset === dataOffset.low(index) ? "low" : "high"}`;
}

function constant(k: number): string {
  const arch = Object.entries(auditArch).find(([, value]) => value === k);
  return arch === undefined ? `0x${k.toString(16)}` : (arch[0] as string);
}

/** `   4: jge  0x3c            -> 5 else 9`. Instructions that our assembler never writes are shown as numbers. */
export function disassemble(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const lines: string[] = [];
  for (let i = 0; (i + 1) * instructionSize <= bytes.length; i++) {
    const at = i * instructionSize;
    const instruction = {
      code: view.getUint16(at, true),
      jt: view.getUint8(at + 2),
      jf: view.getUint8(at + 3),
      k: view.getUint32(at + 4, true),
    };
    lines.push(`${String(i).padStart(4)}: ${instructionText(instruction, i)}`);
  }
  return `${lines.join("\n")}\n`;
}

interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

function instructionText({ code, jt, jf, k }: Instruction, position: number): string {
  const comparison = comparisons[code];
  if (comparison !== undefined)
    return `${comparison.padEnd(4)} ${constant(k).padEnd(12)} -> ${position + 1 + jt} else ${position + 1 + jf}`;
  switch (code) {
    case 0x20:
      return `ld   ${dataName(k)}`;
    case 0x54:
      return `and  ${constant(k)}`;
    case 0x05:
      return `ja   -> ${position + 1 + k}`;
    case 0x06:
      return `ret  ${formatAction(k)}`;
    default:
      return `code 0x${code.toString(16)} jt ${jt} jf ${jf} k 0x${k.toString(16)}`;
  }
}
