// Where prompt tokens came from: the cache (hit), prefill (computed), and what was done on top
// (rebuilt windows, recomputed after preemption). At the first admission prompted = hit + computed.

const TOKEN_PARTS = [
  ['hit_tokens', 'hit'],
  ['computed_tokens', 'computed'],
  ['rebuilt_tokens', 'rebuilt'],
  ['recomputed_after_preemption', 'recomputed after preemption'],
];

function drawTokenBars(host, runs) {
  const parts = TOKEN_PARTS.filter(([name]) => runs.some((run) => run.summary[name] > 0));
  const labels = runs.map((run) => shortened(run.label, 30));
  chart(
    host,
    110 + 44 * runs.length,
    'Prompt tokens of each run by where they came from',
    (t, width) => ({
      aria: {enabled: true, decal: {show: true}},
      grid: {
        left: runs.length > 1 ? Math.min(210, width * 0.35) : 14,
        right: 24,
        top: legendHeight(
          parts.map((p) => p[1]),
          width,
        ),
        bottom: 44,
      },
      legend: {data: parts.map(([, title]) => title)},
      xAxis: axis('tokens', {scale: false}),
      yAxis: axis('', {
        type: 'category',
        data: labels,
        inverse: true,
        axisLabel: {color: t.text, show: runs.length > 1, width: 200, overflow: 'truncate'},
      }),
      tooltip: {
        formatter: (p) =>
          plain(`${runs[p.dataIndex].label}\n${p.seriesName}: ${shown(p.value)} tokens`),
      },
      series: parts.map(([name, title], i) => ({
        name: title,
        type: 'bar',
        stack: 'tokens',
        barMaxWidth: 30,
        color: color(i),
        data: runs.map((run) => run.summary[name] ?? 0),
      })),
    }),
  );
}

// Tokens of requests that came in each of `bins` equal spans.
function binned(requests, bins) {
  const starts = requests.start_s;
  let first = Infinity,
    last = -Infinity;
  for (const s of starts) {
    if (s < first) first = s;
    if (s > last) last = s;
  }
  const width = (last - first) / bins || 1;
  const times = Float64Array.from({length: bins}, (_, i) => first + (i + 0.5) * width);
  const sums = {};
  for (const name of ['hit', 'computed', 'rebuilt']) {
    const sum = (sums[name] = new Float64Array(bins));
    for (let i = 0; i < starts.length; ++i) {
      const tokens = requests[name][i];
      if (tokens > 0)
        sum[Math.min(bins - 1, Math.floor((starts[i] - first) / width))] += tokens / width;
    }
  }
  return {times, ...sums};
}

function drawTokensOverTime(host, run) {
  const {times, hit, computed, rebuilt} = binned(run.requests, 120);
  const stack = [
    ['hit', hit, 0],
    ['computed', computed, 1],
    ['rebuilt', rebuilt, 2],
  ].filter(([, values]) => values.some((v) => v > 0));
  let below = new Float64Array(times.length);
  const series = stack
    .map(([label, values, i]) => {
      below = Float64Array.from(values, (v, k) => below[k] + v);
      return {label, values: below, shown: values, color: i, filled: true, width: 1};
    })
    .reverse();
  if (series.length === 0) return;
  timeChart(host, 240, 'Tokens a second by where they came from, over time', {
    times,
    series,
    yLabel: 'tok/s',
    write: (v) => `${shown(v)} tok/s`,
    range: (u, low, high) => [0, high * 1.05],
    marks: run.marks,
  });
}

views.push({
  id: 'tokens',
  title: 'Hit, computed, rebuilt',
  wants: (report) => report.runs.length > 0,
  draw(report, body) {
    drawTokenBars(body, report.runs);
    eachRun(report, body, (run) => run.requests !== null, drawTokensOverTime);
    body.append(
      note(
        'Over time: by when a request came, on average over 1/120 of the run. Rebuilt tokens are ' +
          'layer-tokens divided by the layers: work on top of hit and computed, not prompt.',
      ),
    );
  },
});
