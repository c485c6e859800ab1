import { BelljarError } from "../../policy/errors.ts";
import type { Config } from "../host/config.ts";
import { quoted } from "../output/terminal.ts";
import { livePools, type PoolPlace } from "./places.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** `auto`: whichever fits; `none`; or the folder of the one. */
export type ServerChoice = "auto" | "none" | `/${string}`;

/** $BELLJAR_SERVER, else the configuration. Throws BelljarError `usage`. */
export function serverChoice(config: Config, environment: Environment): ServerChoice {
  const { BELLJAR_SERVER: named = "" } = environment as { readonly BELLJAR_SERVER?: string };
  if (named === "") return config.server ?? "auto";
  if (named === "auto" || named === "none" || named.startsWith("/")) return named as ServerChoice;
  throw new BelljarError("usage", `reading $BELLJAR_SERVER: ${quoted(named)}: is not auto, none or the folder of a pool`);
}

/** Where to look; most often nowhere, which takes a few system calls to find out. */
export function chosenPlaces(choice: ServerChoice, environment: Environment): readonly Pick<PoolPlace, "path">[] {
  if (choice === "none") return [];
  return choice === "auto" ? livePools(environment) : [{ path: choice }];
}
