import type { Digest } from "./oci-types.ts";

/** What a pull tells while it works. Sizes in bytes, compressed as they travel. */
export type PullEvent =
  /** A registry is asked what a reference means. */
  | { readonly kind: "resolving"; readonly host: string }
  /** What is needed, lowest layer first. */
  | { readonly kind: "layers"; readonly layers: readonly { readonly digest: Digest; readonly size: number }[] }
  /** A layer starts to come; `offset` bytes were there from an earlier attempt. */
  | { readonly kind: "started"; readonly digest: Digest; readonly size: number; readonly offset: number }
  /** `have` bytes are there. Comes often. */
  | { readonly kind: "progress"; readonly digest: Digest; readonly size: number; readonly have: number }
  | { readonly kind: "finished"; readonly digest: Digest; readonly size: number; readonly how: "downloaded" | "present" }
  /** Something failed that may work later. */
  | { readonly kind: "waiting"; readonly reason: string; readonly delayMs: number }
  | { readonly kind: "warning"; readonly message: string };

export type PullProgress = (event: PullEvent) => void;
