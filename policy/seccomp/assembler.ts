/**
 * An assembler for the classic BPF that seccomp takes (linux/filter.h). Jumps only go forward and reach 255 instructions; a
 * farther one goes through an unconditional jump, which reaches everywhere.
 */

/** Offsets in struct seccomp_data (linux/seccomp.h). Both architectures are little-endian: the low word comes first. */
export const dataOffset = {
  nr: 0,
  arch: 4,
  instructionPointer: 8,
  low: (index: number): number => 16 + 8 * index,
  high: (index: number): number => 16 + 8 * index + 4,
} as const;

export const opcode = {
  load: 0x20, // BPF_LD | BPF_W | BPF_ABS
  and: 0x54, // BPF_ALU | BPF_AND | BPF_K
  jump: 0x05, // BPF_JMP | BPF_JA
  equal: 0x15, // BPF_JMP | BPF_JEQ | BPF_K
  greater: 0x25, // BPF_JMP | BPF_JGT | BPF_K
  greaterOrEqual: 0x35, // BPF_JMP | BPF_JGE | BPF_K
  anyBit: 0x45, // BPF_JMP | BPF_JSET | BPF_K
  return: 0x06, // BPF_RET | BPF_K
} as const;

export type Comparison = "equal" | "greater" | "greaterOrEqual" | "anyBit";

/** A place in the program, made by Assembler.label() and placed once. */
export interface Label {
  readonly id: number;
}

type Item =
  | { readonly kind: "label"; readonly label: Label }
  | { readonly kind: "plain"; readonly code: number; readonly k: number }
  | { readonly kind: "branch"; readonly code: number; readonly k: number; readonly yes: Label; readonly no: Label };

export interface Assembler {
  readonly label: () => Label;
  readonly place: (label: Label) => void;
  readonly load: (offset: number) => void;
  readonly and: (mask: number) => void;
  readonly branch: (comparison: Comparison, branch: { readonly k: number; readonly yes: Label; readonly no: Label }) => void;
  readonly ret: (value: number) => void;
  /** struct sock_filter[], with every label resolved. */
  readonly assemble: () => Uint8Array;
}

export const instructionSize = 8;
const farthest = 255;

export function makeAssembler(): Assembler {
  const items: Item[] = [];
  let labels = 0;
  return {
    label: () => ({ id: labels++ }),
    place: (label) => items.push({ kind: "label", label }),
    load: (offset) => items.push({ kind: "plain", code: opcode.load, k: offset }),
    and: (mask) => items.push({ kind: "plain", code: opcode.and, k: mask }),
    branch: (comparison, { k, yes, no }) => items.push({ kind: "branch", code: opcode[comparison], k, yes, no }),
    ret: (value) => items.push({ kind: "plain", code: opcode.return, k: value }),
    assemble: () => encode(items, layOut(items)),
  };
}

interface Layout {
  readonly positions: readonly number[]; // of items, in instructions
  readonly labels: ReadonlyMap<number, number>; // label id -> position
  readonly far: ReadonlySet<string>; // "item yes" and "item no": branches that need an unconditional jump
  readonly size: number;
}

/** Starts with short branches and lengthens those that do not reach, until all do; lengths only grow, so this ends. */
function layOut(items: readonly Item[]): Layout {
  const far = new Set<string>();
  for (;;) {
    const layout = measure(items, far);
    const before = far.size;
    items.forEach((item, i) => {
      if (item.kind !== "branch") return;
      for (const side of ["yes", "no"] as const) {
        if (distance(layout, i, item[side]) > farthest) far.add(`${i} ${side}`);
      }
    });
    if (far.size === before) return layout;
  }
}

function measure(items: readonly Item[], far: ReadonlySet<string>): Layout {
  const positions: number[] = [];
  const labels = new Map<number, number>();
  let size = 0;
  items.forEach((item, i) => {
    positions.push(size);
    if (item.kind === "label") labels.set(item.label.id, size);
    else size += 1 + Number(far.has(`${i} yes`)) + Number(far.has(`${i} no`));
  });
  return { positions, labels, far, size };
}

/** Instructions between a branch and its target, as the kernel counts: 0 is the next instruction. */
function distance({ positions, labels }: Layout, item: number, label: Label): number {
  const from = positions[item];
  const to = labels.get(label.id);
  if (from === undefined || to === undefined || to <= from) throw new RangeError("a label is not placed after its branch");
  return to - from - 1;
}

function encode(items: readonly Item[], layout: Layout): Uint8Array {
  const bytes = new Uint8Array(layout.size * instructionSize);
  const view = new DataView(bytes.buffer);
  let at = 0;
  const put = (code: number, k: number, jt = 0, jf = 0): void => {
    view.setUint16(at, code, true);
    view.setUint8(at + 2, jt);
    view.setUint8(at + 3, jf);
    view.setUint32(at + 4, k, true);
    at += instructionSize;
  };
  items.forEach((item, i) => {
    if (item.kind === "label") return;
    if (item.kind === "plain") {
      put(item.code, item.k);
      return;
    }
    const yes = distance(layout, i, item.yes);
    const no = distance(layout, i, item.no);
    const farYes = layout.far.has(`${i} yes`);
    const farNo = layout.far.has(`${i} no`);
    put(item.code, item.k, farYes ? 0 : yes, farNo ? Number(farYes) : no);
    if (farYes) put(opcode.jump, yes - 1);
    if (farNo) put(opcode.jump, no - 1 - Number(farYes));
  });
  return bytes;
}
