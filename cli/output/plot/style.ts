/** Colours of the plot, told apart by people who see few of them; the ground is drawn, so both sets are readable wherever the picture is put. */

interface Colours {
  readonly ground: string;
  readonly text: string;
  readonly faint: string;
  readonly grid: string;
  readonly cpu: string;
  readonly memory: string;
  readonly processes: string;
  readonly limit: string;
  readonly moment: string;
}

const light: Colours = {
  ...{ ground: "#ffffff", text: "#1f2328", faint: "#59636e", grid: "#e3e7eb" },
  ...{ cpu: "#0969da", memory: "#8250df", processes: "#1a7f37", limit: "#cf222e", moment: "#8a5a00" },
};
const dark: Colours = {
  ...{ ground: "#0d1117", text: "#e6edf3", faint: "#9198a1", grid: "#262c34" },
  ...{ cpu: "#58a6ff", memory: "#bc8cff", processes: "#3fb950", limit: "#ff7b72", moment: "#e3b341" },
};

function coloured(colours: Colours): string {
  const figure = (kind: "cpu" | "memory" | "processes") =>
    `.${kind}.curve{stroke:${colours[kind]}}.${kind}.area,.${kind}.dot{fill:${colours[kind]}}`;
  return [
    `.ground{fill:${colours.ground}}`,
    `text{fill:${colours.text}}`,
    `.tick,.note{fill:${colours.faint}}`,
    `.grid{stroke:${colours.grid}}`,
    `.axis,.peak{stroke:${colours.faint}}`,
    `.peak-text{fill:${colours.faint}}`,
    ...(["cpu", "memory", "processes"] as const).map(figure),
    `.limit{stroke:${colours.limit}}.limit-text{fill:${colours.limit}}`,
    `.moment{stroke:${colours.moment}}.moment-text{fill:${colours.moment}}`,
  ].join("\n");
}

export const styleSheet = [
  'text{font:12px system-ui,"DejaVu Sans",sans-serif}',
  ".title{font-size:15px;font-weight:600}",
  ".strong,.moment-text{font-weight:600}",
  ".curve{fill:none;stroke-width:2;stroke-linejoin:round}",
  ".area{stroke:none;fill-opacity:.12}",
  ".dot{stroke:none}",
  ".limit{stroke-width:1.5;stroke-dasharray:7 4}",
  ".peak{stroke-dasharray:2 3}",
  ".moment{stroke-width:1.5}",
  coloured(light),
  `@media(prefers-color-scheme:dark){\n${coloured(dark)}\n}`,
].join("\n");
