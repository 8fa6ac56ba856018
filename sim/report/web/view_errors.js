// How wrong it is: the held-out error of the profile that times come from, and what compare found.

function drawProfile(host, run) {
  const profile = run.profile,
    families = profile.families;
  host.append(
    el(
      'p',
      {},
      el('b', {}, profile.name),
      `: ${profile.device}, ${profile.date}. ${profile.source}`,
    ),
  );
  if (families.length === 0) return host.append(note('It states no held-out error.'));
  const names = families.map((f) => f.family);
  chart(
    host,
    90 + 26 * families.length,
    'Held-out error of each family of the profile',
    (t, width) => ({
      grid: {left: Math.min(230, width * 0.42), right: 30, top: 34, bottom: 44},
      legend: {data: ['median', 'p90', 'worst']},
      xAxis: axis('|predicted / measured − 1|, %', {type: 'log', min: 0.1}),
      yAxis: axis('', {
        type: 'category',
        data: names,
        inverse: true,
        axisLabel: {
          color: t.text,
          width: Math.min(220, width * 0.4),
          overflow: 'truncate',
          interval: 0,
          fontSize: 11,
        },
      }),
      tooltip: {
        formatter: (p) =>
          plain(
            `${names[p.value[1]]}\n${p.seriesName}: ${shown(p.value[0])} % ` +
              `of ${shown(families[p.value[1]].samples)} samples`,
          ),
      },
      series: ['median', 'p90', 'worst'].map((statistic, i) => ({
        name: statistic,
        type: 'scatter',
        symbol: symbolOf(i),
        symbolSize: 10,
        color: color(i),
        data: families.map((f, k) => [Math.max(0.1, f[`${statistic}_pct`]), k]),
      })),
    }),
  );
  host.append(
    note(
      'Of predicting samples that were left out of the profile. ' +
        'What else differs from a machine (scheduling, clocks, network) is not in it.',
    ),
  );
}

function drawComparison(body, comparison) {
  body.append(el('h3', {}, comparison.label));
  const sides = ['a', 'b'].map((side) => (comparison[side] ? comparison[side].path : '–'));
  body.append(
    note(
      `A, the reference: ${sides[0]}. B, the simulated run: ${sides[1]}. ` +
        'Errors are of B against A.',
    ),
  );
  const figures = Object.entries(comparison.figures ?? {}).filter(
    ([, f]) => isNumber(f.a) && isNumber(f.b),
  );
  if (figures.length > 0) {
    const rows = figures.map(([name, f]) => [
      name,
      f.unit,
      shown(f.a),
      shown(f.b),
      isNumber(f.error)
        ? `${f.error > 0 ? '+' : ''}${shown(f.error)} ${f.error_unit}`
        : f.why || '–',
    ]);
    const known = figures.filter(([, f]) => isNumber(f.error));
    // One figure that is far off must not hide the others.
    const sizes = known.map(([, f]) => Math.abs(f.error)).sort((a, b) => a - b);
    const most = Math.min(300, Math.max(5, 1.4 * (quantile(sizes, 0.85) ?? 0)));
    chart(body, 60 + 22 * known.length, 'Signed error of each figure', (t, width) => ({
      grid: {left: Math.min(190, width * 0.42), right: 40, top: 8, bottom: 44},
      xAxis: axis('error of B, % (points of a hit rate)', {min: Math.max(-100, -most), max: most}),
      yAxis: axis('', {
        type: 'category',
        data: known.map(([name]) => name),
        inverse: true,
        axisLabel: {color: t.text, interval: 0, fontSize: 11},
      }),
      tooltip: {formatter: (p) => plain(`${known[p.dataIndex][0]}: ${shown(p.value)}`)},
      series: [
        {
          type: 'bar',
          barMaxWidth: 14,
          data: known.map(([, f]) => ({
            value: f.error,
            itemStyle: {color: color(f.error < 0 ? 0 : 1)},
          })),
        },
      ],
    }));
    if (sizes.at(-1) > most)
      body.append(note('A bar that reaches the edge goes on beyond it; the table says how far.'));
    body.append(
      el(
        'details',
        {},
        el('summary', {}, 'As a table'),
        table(['', 'unit', 'A', 'B', 'error'], rows),
      ),
    );
  }
  const paired = Object.entries(comparison.paired ?? {});
  if (paired.length > 0) {
    body.append(
      table(
        [
          'same request in both',
          'requests',
          'median error, %',
          'median |error|, %',
          'p90 |error|, %',
        ],
        paired.map(([name, p]) => [
          name,
          shown(p.requests),
          shown(p.median_error_pct),
          shown(p.median_abs_error_pct),
          shown(p.p90_abs_error_pct),
        ]),
      ),
    );
  }
  const steps = comparison.steps && comparison.steps.by_kind;
  if (steps) {
    body.append(
      table(
        ['steps', 'number', 'total error, %', 'median |error|, %', 'p90 |error|, %'],
        [comparison.steps.all, ...steps]
          .filter(Boolean)
          .map((s) => [
            s.name,
            shown(s.steps),
            shown(s.total_error_pct),
            shown(s.median_abs_error_pct),
            shown(s.p90_abs_error_pct),
          ]),
      ),
    );
  }
}

views.push({
  id: 'errors',
  title: 'Calibration and error',
  wants: (report) => report.comparisons.length > 0 || report.runs.some((run) => run.profile),
  draw(report, body) {
    for (const comparison of report.comparisons) drawComparison(body, comparison);
    const seen = new Set();
    for (const run of report.runs) {
      if (!run.profile || seen.has(run.profile.name)) continue;
      seen.add(run.profile.name);
      const host = el('div');
      body.append(host);
      drawProfile(host, run);
    }
  },
});
