// Memory of one GPU by cache kind, and queue and batch, over time.

// Cumulated from the bottom: what running requests hold of each kind, then what is kept for reuse.
function layersOf(timeline) {
  const layers = [];
  const kinds = kindsOf(timeline);
  kinds.forEach((kind, i) => {
    for (const [part, words] of [
      ['in_use', 'in use'],
      ['cached', 'cached'],
    ]) {
      const bytes = timeline[`${kind}_${part}_bytes`];
      if (!bytes || !bytes.some((b) => b > 0)) continue;
      layers.push({label: `${kind} ${words}`, kind: i, cached: part === 'cached', bytes});
    }
  });
  layers.sort((a, b) => a.cached - b.cached || a.kind - b.kind);
  let below = new Float64Array(timeline.kept);
  for (const layer of layers) {
    layer.gib = layer.bytes.map((b) => b / GIB);
    layer.top = Float64Array.from(layer.gib, (g, i) => below[i] + g);
    below = layer.top;
  }
  return layers;
}

function drawOccupancy(host, run) {
  const layers = layersOf(run.timeline);
  if (layers.length === 0) return host.append(note('No memory was held.'));
  const capacity = run.summary.kv_capacity_gib;
  const top = Math.max(capacity || 0, ...layers.at(-1).top) * 1.05;
  // The highest layer is drawn first: each lower one then covers its own part.
  const series = [...layers].reverse().map((layer) => ({
    label: layer.label,
    values: layer.top,
    shown: layer.gib,
    color: layer.kind,
    filled: true,
    width: 1,
    pale: layer.cached ? 0.5 : 0,
  }));
  if (isNumber(capacity)) {
    series.unshift({
      label: 'capacity',
      values: new Float64Array(run.timeline.kept).fill(capacity),
      dash: [8, 4],
      width: 1,
    });
  }
  timeChart(host, 300, `KV memory of one GPU over time, by cache kind`, {
    times: run.timeline.time_s,
    series,
    yLabel: 'GiB',
    write: (g) => `${shown(g)} GiB`,
    range: () => [0, top],
  });
}

function eachRun(report, body, has, draw) {
  for (const run of report.runs.filter(has)) {
    const host = el('div', {class: 'keep'});
    if (report.runs.length > 1) host.append(el('h3', {}, run.label));
    body.append(host);
    draw(host, run);
  }
}

views.push({
  id: 'memory',
  title: 'Memory',
  wants: (report) => report.runs.some((run) => run.timeline !== null),
  draw(report, body) {
    eachRun(report, body, (run) => run.timeline !== null, drawOccupancy);
    body.append(
      note(
        'Of one GPU, stacked. In use: held by running requests; cached, paler: kept for reuse ' +
          'and evictable. Drag to zoom, double click to see everything.',
      ),
    );
    drawByKind(report, body);
  },
});

// What was written, hit, rebuilt and evicted over the run, by kind.
function drawByKind(report, body) {
  const amounts = [
    ['written_bytes', 'written'],
    ['hit_bytes', 'hit'],
    ['rebuilt_bytes', 'rebuilt'],
    ['evicted_bytes', 'evicted'],
  ];
  const rows = [];
  for (const run of report.runs) {
    for (const [name, title] of amounts) {
      const byKind = run.summary[name];
      if (!byKind) continue;
      const total = Object.values(byKind)
        .filter(isNumber)
        .reduce((a, b) => a + b, 0);
      rows.push([
        report.runs.length > 1 ? `${run.label} · ${title}` : title,
        ...Object.values(byKind).map((b) => (isNumber(b) ? shown(b / GIB) : '–')),
        shown(total / GIB),
      ]);
    }
  }
  const kinds = report.runs.map((run) => run.summary.written_bytes).find(Boolean);
  if (!kinds || rows.length === 0) return;
  body.append(
    el(
      'details',
      {},
      el('summary', {}, 'Over the whole run, GiB of one GPU'),
      table(['', ...Object.keys(kinds), 'all'], rows),
    ),
  );
}

const hasQueue = (run) => run.timeline !== null && run.timeline.running !== undefined;

function drawQueue(host, run) {
  timeChart(host, 240, 'Running and waiting requests over time', {
    times: run.timeline.time_s,
    yLabel: 'requests',
    write: shown,
    range: (u, low, high) => [0, Math.max(1, high * 1.05)],
    series: [
      {label: 'running', values: run.timeline.running, color: 0},
      {label: 'waiting', values: run.timeline.waiting, color: 1, dash: [5, 3]},
    ],
  });
}

// Where the run has a log of its steps; logarithmic, because a prefill has thousands of tokens
// where a decode step has one a sequence.
function drawSteps(host, run) {
  const kinds = [
    ['decode', 0],
    ['prefill', 1],
    ['rebuild', 2],
  ]
    .map(([label, color]) => ({label, color, tokens: run.steps[`${label}_tokens`]}))
    .filter(({tokens}) => tokens.some((n) => n > 0))
    .map((kind) => ({...kind, values: kind.tokens.map((n) => (n > 0 ? Math.log10(n) : NaN))}));
  const most = kinds.reduce((high, {tokens}) => tokens.reduce((a, b) => Math.max(a, b), high), 1);
  timeChart(host, 240, 'Tokens of each step over time, by kind', {
    times: run.steps.begin_s,
    yLabel: 'tokens in a step',
    write: (v) => shown(10 ** v),
    tick: (v) => (Number.isInteger(v) ? short(10 ** v) : ''),
    range: () => [-0.2, Math.max(1, Math.ceil(Math.log10(most)))],
    series: kinds,
    paint: dots(kinds, run.steps.begin_s),
  });
}

views.push({
  id: 'queue',
  title: 'Queue and batch',
  wants: (report) => report.runs.some((run) => hasQueue(run) || run.steps !== null),
  draw(report, body) {
    eachRun(
      report,
      body,
      (run) => hasQueue(run) || run.steps !== null,
      (host, run) => {
        if (hasQueue(run)) drawQueue(host, run);
        if (run.steps !== null) drawSteps(host, run);
      },
    );
  },
});
