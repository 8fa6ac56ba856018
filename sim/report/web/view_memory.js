// Memory of one GPU by cache kind, and queue and batch, over time; of a run with several replicas
// or attention ranks also of each of these.

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

// Of all of the run, or of one unit of it.
function drawOccupancy(host, run, line, capacity, what) {
  const layers = layersOf(line);
  if (layers.length === 0) return host.append(note('No memory was held.'));
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
      values: new Float64Array(line.kept).fill(capacity),
      dash: [8, 4],
      width: 1,
    });
  }
  timeChart(host, 300, `KV memory of ${what} over time, by cache kind`, {
    times: line.time_s,
    series,
    yLabel: 'GiB',
    write: (g) => `${shown(g)} GiB`,
    range: () => [0, top],
    marks: run.marks,
  });
}

// Whose memory the time line of a whole run is.
function wholeWords(run, units) {
  const replicas = run.lives ? run.lives.length : 1,
    ranks = units.reduce((most, unit) => Math.max(most, (unit.rank ?? 0) + 1), 1);
  const parts = [];
  if (ranks > 1) parts.push(`${ranks} attention ranks`);
  if (replicas > 1) parts.push(`${replicas} replicas`);
  return parts.length === 0
    ? 'one GPU'
    : `one GPU of each of ${parts.join(' of each of ')}, summed`;
}

function drawMemory(host, run) {
  const units = run.units;
  const chosen = el('div', {class: 'unit-memory'});
  const draw = (key) => {
    const unit = units.find((u) => u.key === key);
    chosen.replaceChildren();
    if (unit) drawOccupancy(chosen, run, unit.line, unit.capacity_gib, `one GPU of ${unit.label}`);
    else {
      drawOccupancy(chosen, run, run.timeline, run.summary.kv_capacity_gib, wholeWords(run, units));
    }
  };
  if (units.length > 0) {
    host.append(
      el(
        'div',
        {class: 'choices'},
        choice('Memory of', [['', 'all, summed'], ...units.map((u) => [u.key, u.label])], '', draw),
      ),
    );
  }
  host.append(chosen);
  draw('');
  if (units.length > 0) host.append(note(`All: ${wholeWords(run, units)}.`));
  if (units.length > 1) drawUnits(host, run);
}

// What a colour of the map of units can stand for: [key, words, its amounts on a time line].
const UNIT_FIGURES = [
  ['in_use', 'KV memory in use', (line) => sumOfKinds(line, ['in_use'])],
  ['held', 'KV memory in use or cached', (line) => sumOfKinds(line, ['in_use', 'cached'])],
  ['running', 'running requests', (line) => line.running],
  ['waiting', 'waiting requests', (line) => line.waiting],
];

// In GiB.
function sumOfKinds(line, parts) {
  const sums = new Float64Array(line.kept);
  for (const name of line.names) {
    if (!parts.some((part) => name.endsWith(`_${part}_bytes`))) continue;
    for (let i = 0; i < line.kept; ++i) sums[i] += line[name][i] / GIB;
  }
  return sums;
}

// The place in ascending `times` of the last that is not after `time`; -1 before the first.
function lastUpTo(times, time) {
  let low = 0,
    high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// All units over time, a row each: the ranks where there are any, else the replicas.
function drawUnits(host, run) {
  const ranks = run.units.filter((unit) => unit.rank !== null);
  const units = ranks.length > 0 ? ranks : run.units;
  const unitWord = ranks.length === 0 ? 'replica' : run.lives ? 'replica.rank' : 'rank';
  const map = el('div', {class: 'unit-map'});
  const span = run.span ?? {from: units[0].line.time_s[0], to: units[0].line.time_s.at(-1)};
  const draw = (key) => {
    const [, title, figure] = UNIT_FIGURES.find(([name]) => name === key);
    const ofMemory = key === 'in_use' || key === 'held';
    const amounts = units.map(({line}) => figure(line));
    const capacity = ofMemory ? units[0].capacity_gib : undefined;
    const peak = amounts.reduce((most, row) => row.reduce((a, b) => Math.max(a, b), most), 0);
    // Up to what there was, or differences would not be seen where little is used.
    const most = peak > 0 ? peak : 1;
    const written = (amount) =>
      !ofMemory
        ? `${shown(amount)} ${title}`
        : isNumber(capacity)
          ? `${shown(amount)} GiB, ${shown((100 * amount) / capacity)} % of the capacity`
          : `${shown(amount)} GiB`;
    map.replaceChildren(rampLegend('0', written(most)));
    timeChart(
      map,
      Math.round(90 + Math.min(460, units.length * Math.max(7, Math.min(24, 400 / units.length)))),
      `${title} of each ${unitWord} over time`,
      {
        times: [span.from, span.to],
        series: [{label: title, values: [null, null]}],
        yLabel: unitWord,
        write: shown,
        range: () => [0, units.length],
        rows: units.map((unit) => unit.short),
        paint: paintRows(units, amounts, most, span.to),
        marks: run.marks,
        probe(time, y) {
          const k = units.length - 1 - Math.floor(y),
            unit = units[k];
          if (!unit) return '';
          const i = lastUpTo(unit.line.time_s, time);
          const there = i >= 0 && (!unit.line.there || unit.line.there[i]);
          const words = there ? written(amounts[k][i]) : 'not there';
          return `${unit.label} at ${shown(time)} s: ${words}`;
        },
      },
    );
  };
  // Of ranks how evenly requests are spread, of replicas how warm their caches are.
  const first = ranks.length > 0 ? 'in_use' : 'held';
  const figures = UNIT_FIGURES.filter(
    ([key]) => key === 'in_use' || key === 'held' || units[0].line[key],
  );
  host.append(
    el('h4', {}, ranks.length > 0 ? 'Each attention rank over time' : 'Each replica over time'),
    el(
      'div',
      {class: 'choices'},
      choice(
        'Colour',
        figures.map(([key, words]) => [key, words]),
        first,
        draw,
      ),
    ),
    map,
  );
  draw(first);
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
    eachRun(report, body, (run) => run.timeline !== null, drawMemory);
    const several = report.runs.some((run) => run.units.length > 0);
    body.append(
      note(
        `${several ? 'Stacked' : 'Of one GPU, stacked'}. In use: held by running requests; ` +
          'cached, paler: kept for reuse and evictable. Drag to zoom, double click to see ' +
          'everything.',
      ),
    );
    const marked = report.runs.find((run) => run.marks.length > 0);
    if (marked) body.append(...marksNote(marked));
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
      el('summary', {}, 'Over the whole run, GiB of one GPU (of each rank and replica, summed)'),
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
    marks: run.marks,
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
