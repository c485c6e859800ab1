import packageJson from "../../package.json" with { type: "json" };

/** As in package.json; the bundler puts it in. */
export const version: string = packageJson.version;
