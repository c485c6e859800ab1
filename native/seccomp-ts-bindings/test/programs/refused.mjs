// A filter whose loading the kernel refuses: here because another filter refuses it.
import { actions, attributes, Filter } from "seccomp-ts-bindings";
import { attempt, number, say } from "./common.mjs";

const first = new Filter(actions.allow);
for (const name of ["seccomp", "prctl"]) first.addRule(actions.errno(95), number(name));
first.load();
const second = new Filter(actions.trap);
say(attempt(() => second.load()));
second.setAttribute(attributes.rawReturnCodes, 1);
say(attempt(() => second.load()));
