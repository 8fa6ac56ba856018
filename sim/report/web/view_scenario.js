// The resolved scenario of each run; of several, the lines in which they differ first.

function differing(runs) {
  const texts = runs.map((run) => run.scenario.split('\n'));
  const counts = new Map();
  for (const lines of texts)
    for (const line of new Set(lines)) counts.set(line, (counts.get(line) ?? 0) + 1);
  return texts.map((lines) =>
    lines.filter((line) => line.trim() !== '' && counts.get(line) < runs.length),
  );
}

views.push({
  id: 'scenario',
  title: 'Scenario',
  wants: (report) => report.runs.some((run) => run.scenario !== ''),
  draw(report, body) {
    const runs = report.runs.filter((run) => run.scenario !== '');
    if (runs.length > 1) {
      const lines = differing(runs);
      body.append(el('h3', {}, 'Lines in which they differ'));
      runs.forEach((run, i) =>
        body.append(el('h4', {}, run.label), el('pre', {}, lines[i].join('\n') || '(none)')),
      );
    }
    for (const run of runs) {
      body.append(
        el(
          'details',
          {},
          el(
            'summary',
            {},
            runs.length > 1 ? `All of ${run.label}` : 'All keys, with every default',
          ),
          el('pre', {}, run.scenario),
        ),
      );
    }
  },
});
