import { isatty } from "node:tty";
import { spawnAddon } from "../host/spawn-addon.ts";

/** As isatty(3). Node's own module for that loads all of its sockets and streams. */
export const isTerminal = (descriptor: number): boolean => spawnAddon()?.isTerminal(descriptor) ?? isatty(descriptor);
