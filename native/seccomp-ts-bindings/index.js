// Typed bindings for libseccomp; see README.md, and index.d.ts for the types.
export { actions, arches, attributes, operators } from "./lib/constants.js";
export { SeccompError, SeccompUnsupportedError } from "./lib/errors.js";
export { Filter } from "./lib/filter.js";
export {
  apiLevel,
  archByName,
  nativeArch,
  resetState,
  setApiLevel,
  syscallName,
  syscallNumber,
  syscallNumberRewritten,
  version,
} from "./lib/library.js";
export { isNotificationValid, receiveNotification, respondNotification } from "./lib/notify.js";
