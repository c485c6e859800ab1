/** The little of SVG that a plot needs: elements as text, everything in them escaped. */
import { printable } from "../terminal.ts";

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Text of whatever origin: control characters become visible, the two that XML forbids besides are replaced, marks are escaped. */
export function escaped(text: string): string {
  return printable(text)
    .replace(/[\ufffe\uffff]/g, "\ufffd")
    .replace(/[&<>"']/g, (mark) => entities[mark] ?? "");
}

/** At most so many characters, whole ones. */
export function shortened(text: string, length: number): string {
  const characters = [...printable(text)];
  return characters.length <= length ? characters.join("") : `${characters.slice(0, length - 1).join("")}…`;
}

type Attributes = Readonly<Record<string, string | number>>;

/** Coordinates to a tenth of a pixel: the same picture from the same figures, whatever machine draws it. */
const number = (value: number): string => String(Number(value.toFixed(1)));

export function element(name: string, attributes: Attributes, content = ""): string {
  const written = Object.entries(attributes).map(
    ([key, value]) => ` ${key}="${typeof value === "number" ? number(value) : escaped(value)}"`,
  );
  return content === "" ? `<${name}${written.join("")}/>` : `<${name}${written.join("")}>${content}</${name}>`;
}

export const textAt = (x: number, y: number, text: string, more: Attributes = {}): string =>
  element("text", { x, y, ...more }, escaped(text));

export const lineFrom = (from: readonly [number, number], to: readonly [number, number], kind: string): string =>
  element("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1], class: kind });

export const pathOf = (points: readonly (readonly [number, number])[]): string =>
  points.map(([x, y], i) => `${i === 0 ? "M" : "L"}${number(x)} ${number(y)}`).join("");
