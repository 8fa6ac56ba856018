// The first lines: what load was held, what binds, what to try next, and whether the figures are
// those of a steady state at all.

function loadWords(run) {
  const s = run.summary,
    words = [];
  if (run.steady.holds && isNumber(s.mean_in_system)) {
    words.push(
      `${shown(s.mean_in_system)} requests in the system on average` +
        ` (${shown(s.running_mean)} running, ${shown(s.waiting_mean)} waiting)`,
    );
  }
  if (run.steady.holds && isNumber(s.request_s))
    words.push(`${shown(s.request_s)} finished a second`);
  const sessions = sessionsHeld(run.requests);
  if (sessions !== null && sessions.sessions < s.finished) {
    words.push(
      (run.steady.holds ? `${shown(sessions.mean)} sessions at a time, ` : 'sessions: ') +
        `${shown(sessions.most)} at most, ${shown(sessions.sessions)} in all`,
    );
  }
  return words.join(' · ') || (run.steady.holds ? 'not recorded' : 'withheld');
}

function boundWords(run) {
  const s = run.summary;
  if (!s.binding_constraint) return 'not recorded';
  const share = isNumber(s.binding_share) ? `, ${shown(100 * s.binding_share)} % of the time` : '';
  return `${s.binding_constraint}${share}`;
}

function sloWords(run) {
  const parts = [];
  for (const [name, title] of [
    ['ttft', 'TTFT'],
    ['tpot', 'TPOT'],
  ]) {
    const limit = run.slo[`${name}_p99_ms`],
      p99 = at(run.summary, `${name}_ms.p99`);
    if (!isNumber(limit)) continue;
    const held = isNumber(p99) && p99 <= limit;
    parts.push(`${held ? '✓' : '✗'} ${title} p99 ${shownMs(p99)} of ${shownMs(limit)}`);
  }
  return parts.length === 0 ? null : parts.join(' · ');
}

function tile(title, value, below) {
  return el(
    'div',
    {class: 'tile'},
    el('div', {class: 'tile-title'}, title),
    el('div', {class: 'tile-value'}, value),
    el('div', {class: 'tile-below'}, below ?? ''),
  );
}

function tiles(run) {
  const s = run.summary,
    steady = run.steady.holds;
  const kept = (text) => (steady ? text : 'withheld');
  const peak = run.timeline === null ? undefined : peakGib(run.timeline);
  return el(
    'div',
    {class: 'tiles'},
    tile(
      'TTFT p50',
      kept(shownMs(at(s, 'ttft_ms.p50'))),
      steady ? `p99 ${shownMs(at(s, 'ttft_ms.p99'))}` : '',
    ),
    tile(
      'TPOT p50',
      kept(shownMs(at(s, 'tpot_ms.p50'))),
      steady ? `p99 ${shownMs(at(s, 'tpot_ms.p99'))}` : '',
    ),
    tile(
      'output per GPU',
      kept(`${shown(at(s, 'tok_s_per_gpu.output'))} tok/s`),
      steady ? `${shown(s.gpus)} GPUs, ${shown(s.output_tok_s)} tok/s` : '',
    ),
    tile(
      'hit rate',
      isNumber(s.hit_rate) ? `${shown(100 * s.hit_rate)} %` : '–',
      isNumber(s.ideal_hit_rate) ? `${shown(100 * s.ideal_hit_rate)} % with an infinite cache` : '',
    ),
    tile(
      run.units.length > 0 ? 'KV memory of all, summed' : 'KV memory of a GPU',
      isNumber(peak) ? `${shown(peak)} GiB` : '–',
      isNumber(s.kv_capacity_gib) ? `at most, of ${shown(s.kv_capacity_gib)} GiB` : '',
    ),
  );
}

function peakGib(timeline) {
  const columns = timeline.names
    .filter((name) => name.endsWith('_bytes'))
    .map((name) => timeline[name]);
  let peak = 0;
  for (let i = 0; i < timeline.kept; ++i) {
    let sum = 0;
    for (const column of columns) sum += column[i];
    peak = Math.max(peak, sum);
  }
  return peak / GIB;
}

function withheld(run) {
  return el(
    'p',
    {class: 'warning'},
    `No steady state: ${run.steady.why}. Latencies and rates of the whole run are withheld; the ` +
      'charts show the run itself.',
  );
}

function runBlock(run, several) {
  const s = run.summary,
    slo = sloWords(run);
  const block = el('div', {class: 'run'});
  if (several) {
    block.append(el('h3', {}, el('span', {class: `swatch swatch-${run.place % 7}`}), run.label));
  }
  block.append(
    el(
      'dl',
      {},
      el('dt', {}, 'Load held'),
      el('dd', {}, loadWords(run)),
      el('dt', {}, 'What binds'),
      el('dd', {}, boundWords(run)),
      el('dt', {}, 'Verdict'),
      el('dd', {}, s.verdict ?? '–'),
      ...(slo === null ? [] : [el('dt', {}, 'SLO'), el('dd', {}, slo)]),
    ),
  );
  if (!run.steady.holds) block.append(withheld(run));
  block.append(tiles(run));
  return block;
}

// Of several runs, which is best at what; only those in a steady state take part.
function bestWords(runs) {
  const lines = [];
  const best = (name, words, largest) => {
    const known = runs.filter((run) => run.steady.holds && isNumber(at(run.summary, name)));
    if (known.length < 2) return;
    known.sort((a, b) => (largest ? -1 : 1) * (at(a.summary, name) - at(b.summary, name)));
    const figure = FIGURE_BY_NAME.get(name);
    const written = (run) =>
      figure.unit === 'ms'
        ? shownMs(figureOf(run, figure))
        : `${shown(figureOf(run, figure))} ${figure.unit}`;
    lines.push(
      el(
        'li',
        {},
        `${words}: `,
        el('b', {}, known[0].label),
        ` (${written(known[0])}; last: ${known.at(-1).label}, ${written(known.at(-1))})`,
      ),
    );
  };
  best('tok_s_per_gpu.output', 'Most output per GPU', true);
  best('ttft_ms.p99', 'Lowest TTFT p99', false);
  best('tpot_ms.p50', 'Lowest TPOT p50', false);
  best('hit_rate', 'Highest hit rate', true);
  return lines;
}

// Which points of a sweep are best at what. Saturated ones, and those that miss a threshold of the
// sweep, take no part.
function bestPoints(sweep) {
  const column = (name) => sweep.columns.find((c) => c.name === name);
  const saturated = column('saturated'),
    met = column('met'),
    binds = column('binding_constraint');
  const rows = [...Array(sweep.rows).keys()].filter(
    (row) => saturated?.values[row] !== 1 && met?.values[row] !== 0,
  );
  const varied = sweep.columns.filter((c) => c.axis && new Set(c.values).size > 1);
  const lines = [];
  for (const [name, words, sign] of [
    ['tok_s_per_gpu.output', 'Most output per GPU', -1],
    ['ttft_ms.p99', 'Lowest TTFT p99', 1],
    ['hit_rate', 'Highest hit rate', -1],
  ]) {
    const figure = column(name),
      info = FIGURE_BY_NAME.get(name);
    const known = rows.filter((row) => isNumber(figure?.values[row]));
    if (known.length < 2) continue;
    const best = known.reduce((a, b) =>
      sign * figure.values[b] < sign * figure.values[a] ? b : a,
    );
    const value = figure.values[best] * (info.factor ?? 1);
    const where = varied.map((c) => `${c.name} ${c.values[best] ?? '–'}`).join(', ');
    const bound = binds?.values[best] ? `; what binds: ${binds.values[best]}` : '';
    lines.push(
      el(
        'li',
        {},
        `${words}: ${info.unit === 'ms' ? shownMs(value) : `${shown(value)} ${info.unit}`} at `,
        el('b', {}, where || 'the only point'),
        bound,
      ),
    );
  }
  return lines;
}

// What a plan says to run, as it says it.
function planWords(plan) {
  const lines = plan.answer ?? [];
  const head = lines.find((line) => line.name === '');
  return el(
    'div',
    {class: 'run'},
    el('p', {}, el('b', {}, head ? head.text : `${plan.label} says no answer.`)),
    el(
      'dl',
      {},
      lines
        .filter((line) => line.name !== '')
        .map((line) => [el('dt', {}, line.name), el('dd', {}, line.text)])
        .flat(),
    ),
  );
}

// `praised`: say which points are best at what. A plan has an answer, and its tables hold runs of
// every load, of which the lightest are best at much.
function sweepWords(sweep, praised) {
  const axes = sweep.columns
    .filter((column) => column.axis && new Set(column.values).size > 1)
    .map((column) => `${column.name} (${new Set(column.values).size})`);
  const status = sweep.columns.find((c) => c.name === 'status');
  const failed = status ? status.values.filter((s) => s === 'infeasible').length : 0;
  return el(
    'div',
    {},
    el(
      'p',
      {},
      el('b', {}, sweep.label),
      `: ${shown(sweep.rows)} points` +
        (axes.length === 0 ? '' : ` over ${axes.join(', ')}`) +
        (failed > 0 ? `; ${shown(failed)} cannot run` : ''),
    ),
    praised ? el('ul', {class: 'best'}, bestPoints(sweep)) : null,
  );
}

views.push({
  id: 'verdict',
  title: 'Verdict',
  wants: (report) => report.runs.length + report.sweeps.length + report.plans.length > 0,
  draw(report, body) {
    for (const plan of report.plans) body.append(planWords(plan));
    const ofPlan = (sweep) =>
      report.plans.some((plan) => sweep.label.startsWith(`${plan.label}, `));
    for (const sweep of report.sweeps) body.append(sweepWords(sweep, !ofPlan(sweep)));
    const lines = bestWords(report.runs);
    if (lines.length > 0) body.append(el('ul', {class: 'best'}, lines));
    for (const run of report.runs) body.append(runBlock(run, report.runs.length > 1));
  },
});
