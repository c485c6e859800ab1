/** What a filter answers, by the kernel's rules for seccomp programs (net/core/filter.c, kernel/seccomp.c). */
import type { Arch } from "../compile/types.ts";
import { type ActionName, isStricter, splitReturnValue } from "./actions.ts";
import { instructionSize } from "./assembler.ts";
import { auditArch } from "./syscalls.ts";

export interface SyscallCall {
  /** An AUDIT_ARCH value stands for an ABI that we do not compile for (0x40000003: i386). */
  readonly arch: Arch | number;
  readonly nr: number;
  /** Six registers, unsigned 64-bit; missing ones are 0. */
  readonly args?: readonly bigint[];
  readonly instructionPointer?: bigint;
}

export interface Answer {
  readonly action: ActionName;
  /** errno for `errno`; else the filter's 16 bits of data. */
  readonly data: number;
}

/** struct seccomp_data. */
function seccompData({ arch, nr, args = [], instructionPointer = 0n }: SyscallCall): DataView {
  const view = new DataView(new ArrayBuffer(64));
  view.setUint32(0, nr >>> 0, true);
  view.setUint32(4, typeof arch === "number" ? arch : auditArch[arch], true);
  view.setBigUint64(8, instructionPointer, true);
  for (let i = 0; i < 6; i++) view.setBigUint64(16 + 8 * i, args[i] ?? 0n, true);
  return view;
}

interface Machine {
  a: number;
  x: number;
  readonly memory: Uint32Array;
  readonly data: DataView;
}

/** @throws RangeError for a program that the kernel would not take. */
export function simulate(bytes: Uint8Array, call: SyscallCall): Answer {
  const program = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = bytes.length / instructionSize;
  const machine: Machine = { a: 0, x: 0, memory: new Uint32Array(16), data: seccompData(call) };
  for (let pc = 0; pc < count; pc++) {
    const at = pc * instructionSize;
    const code = program.getUint16(at, true);
    const k = program.getUint32(at + 4, true);
    const operand = (code & 0x08) !== 0 ? machine.x : k; // BPF_X
    switch (code & 0x07) {
      case 0x05: // BPF_JMP
        pc += code === 0x05 ? k : program.getUint8(at + (compares(code, machine.a, operand) ? 2 : 3));
        break;
      case 0x06: // BPF_RET
        return answerOf(code === 0x16 ? machine.a : k);
      default:
        step(machine, { code, k, operand });
    }
  }
  throw new RangeError("the program does not end in a return");
}

function answerOf(value: number): Answer {
  const { action, data } = splitReturnValue(value);
  // seccomp_errno: MAX_ERRNO bounds what a filter can return.
  return { action, data: action === "errno" ? Math.min(data, 4095) : data };
}

function compares(code: number, a: number, operand: number): boolean {
  switch (code & 0xf0) {
    case 0x10:
      return a === operand;
    case 0x20:
      return a > operand;
    case 0x30:
      return a >= operand;
    case 0x40:
      return (a & operand) !== 0;
    default:
      throw new RangeError(`jump ${code} is not allowed`);
  }
}

function step(machine: Machine, { code, k, operand }: { readonly code: number; readonly k: number; readonly operand: number }): void {
  switch (code) {
    case 0x20: // ld [k]
      if (k % 4 !== 0 || k >= 64) throw new RangeError(`load of offset ${k} is not allowed`);
      machine.a = machine.data.getUint32(k, true);
      return;
    case 0x00: // ld #k
      machine.a = k;
      return;
    case 0x01: // ldx #k
      machine.x = k;
      return;
    case 0x60: // ld M[k]
      machine.a = machine.memory[k] ?? 0;
      return;
    case 0x61: // ldx M[k]
      machine.x = machine.memory[k] ?? 0;
      return;
    case 0x02: // st M[k]
      machine.memory[k] = machine.a;
      return;
    case 0x03: // stx M[k]
      machine.memory[k] = machine.x;
      return;
    case 0x07: // tax
      machine.x = machine.a;
      return;
    case 0x87: // txa
      machine.a = machine.x;
      return;
    default:
      if ((code & 0x07) !== 0x04) throw new RangeError(`instruction ${code} is not allowed`);
      machine.a = compute(code & 0xf0, machine.a, operand) >>> 0;
  }
}

function compute(operation: number, a: number, operand: number): number {
  switch (operation) {
    case 0x00:
      return a + operand;
    case 0x10:
      return a - operand;
    case 0x20:
      return Math.imul(a, operand);
    case 0x40:
      return a | operand;
    case 0x50:
      return a & operand;
    case 0x60:
      return a << operand;
    case 0x70:
      return a >>> operand;
    case 0x80:
      return -a;
    case 0xa0:
      return a ^ operand;
    default:
      throw new RangeError(`arithmetic ${operation} is not allowed`);
  }
}

/** Of two filters' answers the kernel takes the stricter; of equals the newer filter's, which is asked first. */
export function stricter(newer: Answer, older: Answer): Answer {
  return isStricter(older.action, newer.action) ? older : newer;
}

/** What a task gets that installed the filters in this order: the strictest answer, of equals the newest filter's. */
export function simulateFilters(filters: readonly Uint8Array[], call: SyscallCall): Answer {
  return filters.toReversed().reduce<Answer>((answer, bytes) => stricter(answer, simulate(bytes, call)), { action: "allow", data: 0 });
}
