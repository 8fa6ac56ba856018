// Where time goes: of a request between queue, prefill and decode, and of the steps by where their
// times come from.

const mean = (values) => {
  let sum = 0,
    count = 0;
  for (const v of values)
    if (v === v) {
      sum += v;
      count += 1;
    }
  return count > 0 ? sum / count : 0;
};

function requestParts(run) {
  const r = run.requests;
  const queue = mean(r.queue_ms),
    first = mean(r.ttft_ms),
    all = mean(r.e2el_ms);
  return [queue, Math.max(0, first - queue), Math.max(0, all - first)];
}

function shareBars(host, description, titles, rows, write) {
  const labels = rows.map((row) => shortened(row.label, 30));
  chart(host, 100 + 44 * rows.length, description, (t, width) => ({
    aria: {enabled: true, decal: {show: true}},
    grid: {
      left: rows.length > 1 ? Math.min(210, width * 0.35) : 14,
      right: 24,
      top: legendHeight(titles, width),
      bottom: 44,
    },
    legend: {data: titles},
    xAxis: axis('share of the time, %', {max: 100, scale: false}),
    yAxis: axis('', {
      type: 'category',
      data: labels,
      inverse: true,
      axisLabel: {color: t.text, show: rows.length > 1, width: 200, overflow: 'truncate'},
    }),
    tooltip: {
      formatter: (p) =>
        plain(
          `${rows[p.dataIndex].label}\n${p.seriesName}: ` +
            `${write(rows[p.dataIndex].values[p.seriesIndex])} (${shown(p.value)} %)`,
        ),
    },
    series: titles.map((title, i) => ({
      name: title,
      type: 'bar',
      stack: 'time',
      barMaxWidth: 30,
      color: color(i),
      data: rows.map((row) => {
        const total = row.values.reduce((a, b) => a + b, 0);
        return total > 0 ? (100 * row.values[i]) / total : 0;
      }),
    })),
  }));
}

views.push({
  id: 'time',
  title: 'Where time goes',
  wants: (report) => report.runs.length > 0,
  draw(report, body) {
    const known = report.runs.filter((run) => run.requests !== null);
    if (known.length > 0) {
      body.append(el('h3', {}, 'Of a request, on average'));
      shareBars(
        body,
        'Mean time of a request in the queue, in prefill and in decode',
        ['in the queue', 'prefill', 'decode'],
        known.map((run) => ({label: run.label, values: requestParts(run)})),
        shownMs,
      );
    }
    const origins = ['measured', 'interpolated', 'extrapolated', 'transferred', 'roofline', 'host'];
    const timed = report.runs.filter((run) => run.summary.time_share);
    if (timed.length === 0) return;
    body.append(el('h3', {}, 'Of the steps, by where their times come from'));
    shareBars(
      body,
      'Share of the step time by its origin',
      origins,
      timed.map((run) => ({
        label: run.label,
        values: origins.map((o) => run.summary.time_share[o] ?? 0),
      })),
      (share) => shown(share),
    );
    body.append(
      note(
        'Measured and interpolated times are of the profile; extrapolated ones lie outside the ' +
          'shapes that were measured, transferred ones come from another GPU, roofline ones from ' +
          'datasheet peaks.',
      ),
    );
  },
});
