// Figures as tables, for the terminal and for docs/performance.md.
const cell = (figure) => (figure === null ? "" : figure.toFixed(figure < 10 ? 2 : figure < 100 ? 1 : 0));

function rowOf({ name, note, missing, median, p10, p90, p99, ratio }) {
  if (missing !== undefined) return `| ${name} | | | | | ${missing} |`;
  return `| ${name} | ${cell(median)} | ${cell(p10)} .. ${cell(p90)} | ${cell(p99)} | ${ratio.toFixed(2)} | ${note ?? ""} |`;
}

function aimOf({ of, to, atMost, atLeast, ratio }) {
  const aim = atMost === undefined ? `at least ${atLeast}` : `at most ${atMost}`;
  if (ratio === null) return `${of} to ${to}: not measured (aim: ${aim})`;
  const isReached = atMost === undefined ? ratio >= atLeast : ratio <= atMost;
  return `${of} to ${to}: **${ratio.toFixed(2)}** (aim: ${aim}, ${isReached ? "reached" : "not reached"})`;
}

/** Markdown. */
export function groupText({ title, unit, rounds, results, aims = [] }) {
  return [
    `### ${title}`,
    "",
    `| ${rounds} rounds | median ${unit} | 10 % .. 90 % | 99 % | ratio | |`,
    "|---|---|---|---|---|---|",
    ...results.map(rowOf),
    ...(aims.length === 0 ? [] : ["", ...aims.map((aim) => `- ${aimOf(aim)}`)]),
  ].join("\n");
}

export const machineText = ({ cpu, cpus, kernel, node, load }) =>
  `${cpu}, ${cpus} CPUs, Linux ${kernel}, Node ${node}; load ${load.before} before and ${load.after} after`;
