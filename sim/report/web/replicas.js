// Replicas of a run and their attention ranks: when each was there, and its own time line.

const STATES = [
  {name: 'up', color: 2},
  {name: 'draining', color: 4},
  {name: 'starting', color: 5},
  {name: 'down', color: 1},
];
const THERE = new Set(['up', 'draining']);

// What cluster_events.csv calls the changes of state: the state before, the one after. All else
// that happens to a replica leaves its state as it is.
const CHANGES = new Map([
  ['up', ['down', 'up']],
  ['stays', ['draining', 'up']],
  ['starts', ['stopped', 'starting']],
  ['stopped', ['draining', 'stopped']],
  ['lost', ['up', 'down']],
  ['down, planned', ['up', 'down']],
  ['drains to restart', ['up', 'draining']],
  ['drains to stop', ['up', 'draining']],
]);

// From the first request to the last end, in seconds; null where neither is known.
function spanOf(run) {
  let from = Infinity;
  for (const start of run.requests?.start_s ?? []) if (start < from) from = start;
  if (from === Infinity) from = run.timeline?.time_s[0] ?? Infinity;
  const last = run.timeline === null ? from : run.timeline.time_s[run.timeline.kept - 1];
  const to = isNumber(run.summary.duration_s) ? from + run.summary.duration_s : last;
  return from < to ? {from, to} : null;
}

// Of each replica of a cluster its states in turn, [{state, from, to}]; null for other runs.
function livesOf(run) {
  const replicas = run.summary.cluster?.replicas,
    span = run.span;
  if (!replicas || span === null) return null;
  const changes = replicas.map(() => []);
  for (const event of run.events) {
    if (CHANGES.has(event.what)) changes[event.replica]?.push(event);
  }
  return changes.map((events, n) => {
    const idle = replicas[n].up_s > 0 ? 'up' : 'stopped';
    let state = events.length > 0 ? CHANGES.get(events[0].what)[0] : idle,
      from = span.from;
    const life = [];
    for (const event of events) {
      const to = Math.min(Math.max(event.time_s, from), span.to);
      if (to > from) life.push({state, from, to});
      [, state] = CHANGES.get(event.what);
      from = to;
    }
    if (span.to > from) life.push({state, from, to: span.to});
    return life;
  });
}

// Times of faults and planned restarts, for charts over time.
const marksOf = (run) => run.events.filter((event) => event.disturbs).map((event) => event.time_s);

const marksNote = (run) =>
  run.marks.length === 0 ? [] : [note('▼ and a dashed line: a fault, or a planned restart.')];

// Rows of a time line of several: those of each replica (and rank), one after the other.
function splitRows(set) {
  const same = (i, j) =>
    set.replica[i] === set.replica[j] && (!set.rank || set.rank[i] === set.rank[j]);
  const parts = [];
  for (let begin = 0, i = 1; i <= set.kept; ++i) {
    if (i < set.kept && same(begin, i)) continue;
    const line = {kept: i - begin, names: set.names};
    for (const name of set.names) line[name] = set[name].subarray(begin, i);
    parts.push({replica: set.replica[begin], rank: set.rank ? set.rank[begin] : null, line});
    begin = i;
  }
  return parts;
}

// A time line as it is while its replica is there, and nothing where it is not: rows of zeros stand
// at the begin and the end of each span. `there[i]`: what row i says holds until the next.
function withGaps(line, life) {
  const spans = life.filter((span) => THERE.has(span.state));
  // Draining follows up without a gap.
  const joined = [];
  for (const {from, to} of spans) {
    const last = joined.at(-1);
    if (last && last.to === from) last.to = to;
    else joined.push({from, to});
  }
  const times = [],
    source = [],
    there = [];
  let i = 0;
  joined.forEach(({from, to}, k) => {
    const until = k + 1 < joined.length ? (to + joined[k + 1].from) / 2 : Infinity;
    times.push(from);
    source.push(-1);
    there.push(true);
    for (; i < line.kept && line.time_s[i] <= until; ++i) {
      times.push(Math.min(Math.max(line.time_s[i], from), to));
      source.push(i);
      there.push(true);
    }
    times.push(to);
    source.push(-1);
    there.push(false);
  });
  const out = {kept: times.length, names: line.names, there};
  for (const name of line.names) {
    out[name] = Float64Array.from(source, (at) => (at < 0 ? 0 : line[name][at]));
  }
  out.time_s = Float64Array.from(times);
  return out;
}

// The parts of a run that have memory of their own, replicas first: [{key, label, short, replica,
// rank, line, capacity_gib}]. Empty where there is but one.
function unitsOf(run) {
  const replicas = run.replicas === null ? [] : splitRows(run.replicas),
    ranks = run.ranks === null ? [] : splitRows(run.ranks);
  if (replicas.length === 0 && ranks.length < 2) return [];
  const lived = run.lives
    ? Math.max(1, run.summary.cluster.replicas.filter((r) => r.up_s > 0).length)
    : 1;
  const widest = ranks.reduce((most, part) => Math.max(most, part.rank + 1), 1);
  const all_gib = run.summary.kv_capacity_gib;
  return [...replicas, ...ranks].map(({replica, rank, line}) => ({
    key: rank === null ? `${replica}` : `${replica}.${rank}`,
    label: [run.lives ? [`replica ${replica}`] : [], rank === null ? [] : [`rank ${rank}`]]
      .flat()
      .join(', '),
    short: rank === null ? `${replica}` : run.lives ? `${replica}.${rank}` : `${rank}`,
    replica,
    rank,
    line: run.lives?.[replica] ? withGaps(line, run.lives[replica]) : line,
    capacity_gib: isNumber(all_gib) ? all_gib / lived / (rank === null ? 1 : widest) : undefined,
  }));
}

// Colours over time, a row for each unit: `values[k][i]` of unit k from its sample i on, on a scale
// that ends at `most`.
function paintRows(units, values, most, end) {
  return (u, t) => {
    const {ctx} = u,
      {left, top, width, height} = u.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    ctx.fillStyle = t.grid; // where a unit is not there
    ctx.fillRect(left, top, width, height);
    units.forEach(({line}, k) => {
      // On whole pixels, or what lies below would shine through at the edges.
      const y0 = Math.round(u.valToPos(units.length - k, 'y', true)),
        y1 = Math.round(u.valToPos(units.length - k - 1, 'y', true));
      const gap = y1 - y0 > 12 * devicePixelRatio ? devicePixelRatio : 0;
      let x0 = Math.round(u.valToPos(line.time_s[0], 'x', true));
      for (let i = 0; i < line.kept; ++i) {
        const x1 = Math.round(u.valToPos(i + 1 < line.kept ? line.time_s[i + 1] : end, 'x', true));
        if (!line.there || line.there[i]) {
          ctx.fillStyle = rampColor(values[k][i] / most);
          ctx.fillRect(x0, y0, Math.max(1, x1 - x0), y1 - y0 - gap);
        }
        x0 = x1;
      }
    });
    ctx.restore();
  };
}
