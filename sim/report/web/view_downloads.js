// What the report shows, as CSV.

async function rowsOf(set) {
  const columns = await Promise.all(
    set.names.map((name) => set[name] ?? openColumn(set.packed[name])),
  );
  const rows = [];
  for (let i = 0; i < set.kept; ++i) {
    rows.push(
      columns.map((column) => (column[i] === column[i] ? Number(column[i].toPrecision(7)) : '')),
    );
  }
  return rows;
}

views.push({
  id: 'downloads',
  title: 'Downloads',
  wants: (report) => report.runs.length + report.sweeps.length > 0,
  draw(report, body) {
    const button = (text, save) => el('button', {type: 'button', onclick: save}, text);
    const list = el('div', {class: 'buttons'});
    if (report.runs.length > 0) {
      list.append(
        button('figures.csv', () =>
          downloadCsv(
            'figures.csv',
            ['figure', 'unit', ...report.runs.map((run) => run.label)],
            FIGURES.map((f) => [
              f.label,
              f.unit ?? '',
              ...report.runs.map((run) => (f.steady && !run.steady.holds ? '' : figureOf(run, f))),
            ]),
          ),
        ),
      );
    }
    for (const run of report.runs) {
      for (const [key, name] of [
        ['requests', 'requests'],
        ['timeline', 'timeline'],
        ['replicas', 'replicas'],
        ['ranks', 'ranks'],
        ['windows', 'windows'],
        ['steps', 'steps'],
      ]) {
        if (run[key] === null) continue;
        list.append(
          button(`${name} of ${run.label}`, async () =>
            downloadCsv(
              `${fileName(run.label)}.${name}.csv`,
              run[key].names,
              await rowsOf(run[key]),
            ),
          ),
        );
      }
    }
    for (const run of report.runs.filter((r) => r.events.length > 0)) {
      const names = ['time_s', 'replica', 'what', 'disturbs', 'lost_requests'];
      list.append(
        button(`events of ${run.label}`, () =>
          downloadCsv(
            `${fileName(run.label)}.events.csv`,
            names,
            run.events.map((event) => names.map((name) => event[name])),
          ),
        ),
      );
    }
    for (const sweep of report.sweeps) {
      list.append(
        button(sweep.label, () =>
          downloadCsv(
            `${fileName(sweep.label)}.csv`,
            sweep.columns.map((c) => c.name),
            Array.from({length: sweep.rows}, (_, row) => sweep.columns.map((c) => c.values[row])),
          ),
        ),
      );
    }
    body.append(list, note("Figures in this page have seven digits; the run's directory has all."));
  },
});
