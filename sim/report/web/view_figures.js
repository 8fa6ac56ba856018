// All figures of the runs side by side.

// What stands in a run's column: a figure of the steady state is withheld where there was none.
function figureCell(run, figure) {
  if (figure.steady && !run.steady.holds) return 'withheld';
  return shown(figureOf(run, figure));
}

function figureRows(runs) {
  const rows = [];
  let group = '';
  for (const figure of FIGURES) {
    if (runs.every((run) => figureOf(run, figure) === undefined)) continue;
    if (figure.group !== group) rows.push({group: (group = figure.group)});
    rows.push([titleOf(figure), ...runs.map((run) => figureCell(run, figure))]);
  }
  return rows;
}

views.push({
  id: 'figures',
  title: 'Figures',
  wants: (report) => report.runs.length > 0,
  draw(report, body) {
    body.append(
      table(['', ...report.runs.map((run) => run.label)], figureRows(report.runs), 'figures'),
    );
    const identity = [
      'scenario',
      'model',
      'hardware',
      'gpus',
      'policy',
      'layout',
      'scheduler',
      'times',
      'seed',
      'result_hash',
      'simulator_version',
    ];
    body.append(
      el(
        'details',
        {},
        el('summary', {}, 'What was run'),
        table(
          ['', ...report.runs.map((run) => run.label)],
          identity.map((name) => [
            name,
            ...report.runs.map((run) => String(run.summary[name] ?? '–')),
          ]),
        ),
      ),
    );
  },
});
