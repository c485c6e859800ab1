// Checks of values that are more than one plain number. Each property is read once: a getter or proxy may answer differently the next time.
import { operators } from "./constants.js";

const maxConditions = 6;

export function unsigned64(value, name) {
  if (typeof value === "bigint" && value >= 0n && value <= 0xffffffffffffffffn) return value;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  throw new TypeError(`${name} must be an unsigned 64-bit integer (number or bigint)`);
}

export function signed64(value, name) {
  if (typeof value === "bigint" && BigInt.asIntN(64, value) === value) return value;
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  throw new TypeError(`${name} must be a signed 64-bit integer (number or bigint)`);
}

export function object(value, name) {
  if (typeof value !== "object" || value === null) throw new TypeError(`${name} must be an object`);
  return value;
}

/** Four words a condition: index, operator, first and second datum. */
export function packConditions(conditions) {
  if (!Array.isArray(conditions)) throw new TypeError(`conditions must be an array of at most ${maxConditions}`);
  const count = conditions.length;
  // A proxy may give any length.
  if (!Number.isInteger(count) || count < 0 || count > maxConditions)
    throw new TypeError(`conditions must be an array of at most ${maxConditions}`);
  const words = new BigUint64Array(count * 4);
  for (let i = 0; i < count; i++) words.set(wordsOf(conditions[i], `conditions[${i}]`), i * 4);
  return words;
}

function wordsOf(condition, name) {
  const { index, op, value, mask } = object(condition, name);
  if (!Number.isInteger(index) || index < 0 || index > 5) throw new TypeError(`${name}.index must be an integer from 0 to 5`);
  if (typeof op !== "string" || !Object.hasOwn(operators, op)) throw new TypeError(`${name}.op is unknown`);
  const masked = op === "maskedEq";
  if (masked !== (mask !== undefined)) throw new TypeError(`${name}.mask belongs to maskedEq, and only to it`);
  const compared = unsigned64(value, `${name}.value`);
  // libseccomp takes the mask as the first datum and the value as the second.
  const data = masked ? [unsigned64(mask, `${name}.mask`), compared] : [compared, 0n];
  return [BigInt(index), BigInt(operators[op]), ...data];
}
