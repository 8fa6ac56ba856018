// Latencies: the distribution over requests, and each request at the time it came.

const LATENCIES = [
  ['ttft_ms', 'TTFT'],
  ['tpot_ms', 'TPOT'],
  ['e2el_ms', 'E2EL'],
  ['queue_ms', 'time in the queue'],
];

// [value, share above] at points that lie closer the nearer to the longest: the tail is what
// counts.
function tailCurve(sorted) {
  const points = [],
    n = sorted.length;
  const steps = 240,
    smallest = Math.max(1 / n, 1e-5);
  for (let i = 0; i <= steps; ++i) {
    const above = smallest ** (i / steps);
    points.push([quantile(sorted, 1 - above), above]);
  }
  return points;
}

// Where the axis of shares is ticked; of few requests the tail ends earlier.
const TICKED_SHARES = [1, 0.5, 0.1, 0.01, 0.001, 1e-4, 1e-5];

const percentWords = (above) => `p${Number((100 * (1 - above)).toFixed(above < 0.05 ? 3 : 0))}`;

// The curves of a latency: of the runs, and of what was measured.
function curvesOf(report, name) {
  const curves = [];
  for (const run of report.runs) {
    if (run.requests === null) continue;
    const sorted = ascending(run.requests[name]);
    if (sorted.length > 0)
      curves.push({
        label: run.steady.holds ? run.label : `${run.label} (no steady state)`,
        run,
        place: run.place,
        sorted,
      });
  }
  for (const run of report.measured) {
    const sample = run.samples[name.replace('_ms', '')];
    if (sample) curves.push({label: `measured: ${run.label}`, measured: true, sorted: sample});
  }
  return curves;
}

function drawDistribution(host, report, name, title) {
  const curves = curvesOf(report, name);
  if (curves.length === 0) return host.append(note(`${title} was not recorded.`));
  const lines = curves.map((curve) => ({...curve, points: tailCurve(curve.sorted)}));
  const positive = lines.every((line) => line.points[0][0] > 0);
  const labels = lines.map((line) => line.label);
  const least = Math.min(...lines.map((line) => line.points.at(-1)[1]));
  chart(host, 340, `Distribution of ${title}: share of requests that took longer`, (t, width) => ({
    grid: {
      left: 62,
      right: 18,
      top: lines.length > 1 ? legendHeight(labels, width) : 14,
      bottom: 44,
    },
    legend: lines.length > 1 ? {data: labels, itemWidth: 24} : undefined,
    xAxis: axis(`${title}, ms`, {type: positive ? 'log' : 'value'}),
    yAxis: axis('percentile of the requests', {
      type: 'log',
      nameGap: 46,
      min: least,
      max: 1,
      axisTick: {customValues: TICKED_SHARES.filter((share) => share >= least)},
      axisLabel: {
        color: t.faint,
        formatter: percentWords,
        customValues: TICKED_SHARES.filter((share) => share >= least),
      },
    }),
    tooltip: {
      trigger: 'axis',
      axisPointer: {type: 'line', axis: 'y', lineStyle: {color: t.faint}},
      formatter: (points) =>
        plain(
          [
            percentWords(points[0].value[1]),
            ...points.map((p) => `${p.seriesName}: ${shownMs(p.value[0])}`),
          ].join('\n'),
        ),
    },
    series: lines.map((line) => ({
      name: line.label,
      type: 'line',
      data: line.points,
      showSymbol: false,
      symbolSize: 8,
      color: line.measured ? t.text : color(line.place),
      lineStyle: {width: 2, type: line.measured ? 'dashed' : dashOf(line.place)},
    })),
  }));
  host.append(
    note(
      'Each line reads from upper left to lower right: at p99 one request in a hundred took ' +
        'longer.',
    ),
  );
}

function drawPercentiles(host, report) {
  const rows = [];
  for (const [name, title] of LATENCIES) {
    for (const curve of curvesOf(report, name)) {
      const cell = (share) =>
        curve.run && !curve.run.steady.holds ? 'withheld' : shownMs(quantile(curve.sorted, share));
      const label = curve.run ? curve.run.label : curve.label;
      rows.push([
        report.runs.length + report.measured.length > 1 ? `${title} · ${label}` : title,
        cell(0.5),
        cell(0.9),
        cell(0.95),
        cell(0.99),
        cell(0.999),
        shown(curve.sorted.length),
      ]);
    }
  }
  host.append(table(['', 'p50', 'p90', 'p95', 'p99', 'p99.9', 'requests'], rows));
}

// One run: a dot a request, the longest at the top; logarithmic.
function drawOverTime(host, run, name, title) {
  const order = inOrder(run.requests.start_s),
    rows = run.requests.kept;
  const times = order === null ? run.requests.start_s : order.map((i) => run.requests.start_s[i]);
  const sorted = new Float32Array(rows);
  let low = Infinity,
    high = -Infinity;
  for (let i = 0; i < rows; ++i) {
    const ms = run.requests[name][order === null ? i : order[i]];
    const value = (sorted[i] = ms > 0 ? Math.log10(ms) : NaN);
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(high >= low)) return host.append(note(`${title} was not recorded.`));
  low = Math.floor(low);
  high = Math.max(low + 1, Math.ceil(high));
  timeChart(host, 260, `${title} of each request over time`, {
    times,
    yLabel: title,
    range: () => [low, high],
    write: (v) => shownMs(10 ** v),
    tick: (v) => (Number.isInteger(v) ? shownMs(10 ** v) : ''),
    series: [{label: `${title} of ${run.label}`, values: sorted, color: run.place}],
    paint: dots([{values: sorted, color: run.place}], times),
    marks: run.marks,
  });
  if (run.requests.kept < run.requests.rows) {
    host.append(
      note(
        `${shown(run.requests.kept)} of ${shown(run.requests.rows)} requests are shown, ` +
          'evenly thinned.',
      ),
    );
  }
}

// The places of times in ascending order, null when they already are.
function inOrder(times) {
  for (let i = 1; i < times.length; ++i) {
    if (times[i] < times[i - 1]) {
      return Array.from(times.keys()).sort((a, b) => times[a] - times[b]);
    }
  }
  return null;
}

views.push({
  id: 'latency',
  title: 'Latency',
  wants: (report) => report.runs.some((run) => run.requests !== null) || report.measured.length > 0,
  draw(report, body) {
    drawPercentiles(body, report);
    const host = el('div'),
      over = el('div');
    const draw = (name) => {
      const title = new Map(LATENCIES).get(name);
      host.replaceChildren();
      over.replaceChildren();
      drawDistribution(host, report, name, title);
      for (const run of report.runs) {
        if (run.requests === null) continue;
        if (report.runs.length > 1) over.append(el('h3', {}, run.label));
        drawOverTime(over, run, name, title);
      }
    };
    body.append(
      choice('Latency', LATENCIES, 'ttft_ms', draw),
      host,
      el('h3', {}, 'Each request at the time it came'),
      over,
    );
    draw('ttft_ms');
  },
});
