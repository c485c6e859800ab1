// The addon. Plain numbers of libseccomp in and out; nothing but the files beside this one sees it.
import { createRequire } from "node:module";

export const native = createRequire(import.meta.url)("../build/seccomp.node");
