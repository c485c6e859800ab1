import { isDigest } from "./digest.ts";
import { objectAt, optionalText, optionalTextMap, optionalTexts, parseJson, refuse } from "./manifest-json.ts";
import type { Digest, ImageConfig, ImageManifest } from "./oci-types.ts";

type RunConfig = NonNullable<ImageConfig["config"]>;

/** Names whose values say nothing: `{"80/tcp": {}}`. */
function nameSet(what: string, path: string, value: unknown): Readonly<Record<string, object>> | null {
  if (value === undefined || value === null) return null;
  const names = Object.keys(objectAt(what, path, value));
  for (const name of names) optionalText(what, path, name);
  return Object.fromEntries(names.map((name) => [name, {}]));
}

/** Only what has a value: absent and null are the same in what Go programs write. */
function present<T extends object>(fields: { readonly [Key in keyof T]: T[Key] | null }): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null)) as Partial<T>;
}

function runConfig(what: string, value: unknown): RunConfig {
  const object = objectAt(what, "config", value);
  const text = (name: string) => optionalText(what, `config.${name}`, object[name]);
  const texts = (name: string) => optionalTexts(what, `config.${name}`, object[name]);
  return present<Required<RunConfig>>({
    User: text("User"),
    ExposedPorts: nameSet(what, "config.ExposedPorts", object["ExposedPorts"]),
    Env: texts("Env"),
    Entrypoint: texts("Entrypoint"),
    Cmd: texts("Cmd"),
    Volumes: nameSet(what, "config.Volumes", object["Volumes"]),
    WorkingDir: text("WorkingDir"),
    Labels: optionalTextMap(what, "config.Labels", object["Labels"]),
    StopSignal: text("StopSignal"),
  });
}

function diffIds(what: string, value: unknown): readonly Digest[] {
  const object = objectAt(what, "rootfs", value);
  if (object["type"] !== "layers") refuse(what, 'rootfs.type: must be "layers"');
  const ids = object["diff_ids"] ?? [];
  if (!Array.isArray(ids)) return refuse(what, "rootfs.diff_ids: must be a list");
  return ids.map((id, index) => (isDigest(id) ? id : refuse(what, `rootfs.diff_ids[${index}]: is no sha256 or sha512 digest`)));
}

/**
 * Reads the configuration of an image (image specification 1.1, config.md). Every field is a stranger's: types are checked,
 * nothing that belljar does not use is kept, and no text holds a NUL. What the texts mean, whoever uses them must check.
 * Throws BelljarError `image-invalid`.
 */
export function parseConfig(bytes: Uint8Array, what: string): ImageConfig {
  const object = objectAt(what, "the document", parseJson(bytes, what));
  const text = (name: string) => optionalText(what, name, object[name]);
  const variant = text("variant");
  const created = text("created");
  const config = object["config"] ?? null;
  return {
    architecture: text("architecture") ?? "",
    os: text("os") ?? "",
    ...(variant ? { variant } : {}),
    ...(created === null ? {} : { created }),
    ...(config === null ? {} : { config: runConfig(what, config) }),
    rootfs: { type: "layers", diff_ids: diffIds(what, object["rootfs"]) },
  };
}

/** Each layer has one diff_id; without that, the layers cannot be told from forged ones. */
export function checkLayers(manifest: ImageManifest, config: ImageConfig, what: string): void {
  const layers = manifest.layers.length;
  const ids = config.rootfs.diff_ids.length;
  if (layers !== ids) refuse(what, `has ${layers} layers but ${ids} diff_ids in its configuration`);
}
