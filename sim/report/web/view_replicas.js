// A cluster: which replicas were there, what each did, faults, and how warm caches were after them.

// Spans of states, a row for each replica; down is hatched, so that it can be told without colour.
function paintLives(lives) {
  return (u, t) => {
    const {ctx} = u,
      {left, top, width, height} = u.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    lives.forEach((life, n) => {
      const y0 = u.valToPos(lives.length - n, 'y', true),
        y1 = u.valToPos(lives.length - n - 1, 'y', true),
        gap = Math.min(3 * devicePixelRatio, 0.2 * (y1 - y0));
      for (const {state, from, to} of life) {
        const look = STATES.find(({name}) => name === state);
        if (!look) continue;
        const x0 = u.valToPos(from, 'x', true),
          // A moment must be seen, too.
          wide = Math.max(u.valToPos(to, 'x', true) - x0, devicePixelRatio);
        ctx.fillStyle = color(look.color, t.colors);
        ctx.fillRect(x0, y0 + gap, wide, y1 - y0 - 2 * gap);
        if (state === 'down') hatch(ctx, t.back, x0, y0 + gap, wide, y1 - y0 - 2 * gap);
      }
    });
    ctx.restore();
  };
}

function hatch(ctx, ink, x, y, width, height) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(x, y, width, height);
  ctx.clip();
  ctx.strokeStyle = ink;
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  const step = 6 * devicePixelRatio;
  for (let at = x - height; at < x + width; at += step) {
    ctx.moveTo(at, y + height);
    ctx.lineTo(at + height, y);
  }
  ctx.stroke();
  ctx.restore();
}

function drawLives(host, run) {
  const lives = run.lives;
  host.append(
    el(
      'div',
      {class: 'keys'},
      STATES.filter(({name}) => lives.some((life) => life.some((s) => s.state === name))).map(
        ({name, color: c}) => el('span', {}, el('i', {class: `swatch swatch-${c}`}), name),
      ),
    ),
  );
  timeChart(
    host,
    Math.round(80 + lives.length * Math.max(7, Math.min(26, 420 / lives.length))),
    'States of each replica over time',
    {
      times: [run.span.from, run.span.to],
      series: [{label: 'state', values: [null, null]}],
      yLabel: 'replica',
      write: shown,
      range: () => [0, lives.length],
      rows: lives.map((_, n) => String(n)),
      paint: paintLives(lives),
      marks: run.marks,
      probe(time, y) {
        const n = lives.length - 1 - Math.floor(y);
        const now = lives[n]?.find(({from, to}) => from <= time && time <= to);
        if (!now) return '';
        return `replica ${n} ${now.state} from ${shown(now.from)} to ${shown(now.to)} s`;
      },
    },
  );
}

const FEW = 4; // replicas that are counted at a glance

// How many replicas are in each state, stacked.
function drawCounts(host, run) {
  const edges = new Map([
    [run.span.from, {}],
    [run.span.to, {}],
  ]);
  const change = (time, state, by) => {
    if (!edges.has(time)) edges.set(time, {});
    const at = edges.get(time);
    at[state] = (at[state] ?? 0) + by;
  };
  for (const life of run.lives) {
    for (const {state, from, to} of life) {
      change(from, state, 1);
      if (to < run.span.to) change(to, state, -1);
    }
  }
  const times = [...edges.keys()].sort((a, b) => a - b);
  let below = new Float64Array(times.length);
  const series = [];
  for (const {name, color: c} of STATES) {
    let count = 0;
    const counts = Float64Array.from(times, (time) => (count += edges.get(time)[name] ?? 0));
    if (!counts.some((n) => n > 0)) continue;
    below = Float64Array.from(counts, (n, i) => below[i] + n);
    series.unshift({
      label: name,
      values: below,
      shown: counts,
      color: c,
      filled: true,
      width: 1,
      stepped: true,
    });
  }
  timeChart(host, 180, 'Number of replicas in each state over time', {
    times,
    series,
    yLabel: 'replicas',
    write: shown,
    tick: (v) => (Number.isInteger(v) ? shown(v) : ''),
    range: () => [0, run.lives.length * 1.05],
    marks: run.marks,
  });
}

function drawShares(host, run) {
  const replicas = run.summary.cluster.replicas;
  chart(host, 230, 'Requests that ended on each replica', (t) => ({
    grid: {left: 66, right: 18, top: 14, bottom: 44},
    xAxis: axis('replica', {type: 'category', data: replicas.map((_, n) => String(n))}),
    yAxis: axis('requests', {scale: false, nameGap: 46}),
    tooltip: {
      formatter: (p) => {
        const r = replicas[p.dataIndex];
        const hit = isNumber(r.hit_rate) ? `, hit rate ${shown(100 * r.hit_rate)} %` : '';
        return `replica ${p.dataIndex}\n${shown(r.requests)} requests${hit}`;
      },
    },
    series: [
      {type: 'bar', barMaxWidth: 44, color: color(0), data: replicas.map((r) => r.requests)},
    ],
  }));
  host.append(
    el(
      'details',
      {},
      el('summary', {}, 'Each replica as a table'),
      table(
        ['replica', 'requests', 'hit rate, %', 'TTFT p50', 'p99', 'up, s', 'busy, % of it'].concat([
          'GPUs held, s',
          'requests lost',
          'tokens lost',
        ]),
        replicas.map((r, n) => [
          String(n),
          shown(r.requests),
          isNumber(r.hit_rate) ? shown(100 * r.hit_rate) : '–',
          shownMs(r.ttft_p50_ms),
          shownMs(r.ttft_p99_ms),
          shown(r.up_s),
          r.up_s > 0 ? shown((100 * r.busy_s) / r.up_s) : '–',
          shown(r.held_s),
          shown(r.lost_requests),
          shown(r.lost_tokens),
        ]),
        'words',
      ),
    ),
  );
}

// What was sent from replicas that read prompts to those that generate.
function drawHandedOver(host, run) {
  const sent = run.summary.cluster.transfer;
  if (!sent) return;
  const kinds = Object.entries(sent.sent_bytes ?? {}).filter(([, bytes]) => bytes > 0);
  host.append(el('h4', {}, 'Handed over to those that generate'));
  if (kinds.length > 0) {
    stackedBars(host, 'State sent to each GPU by cache kind', {
      titles: kinds.map(([kind]) => kind),
      rows: [{label: 'to each GPU', values: kinds.map(([, bytes]) => bytes / GIB)}],
      unit: 'GiB',
      write: (v) => `${shown(v)} GiB`,
    });
  }
  const percent = (share) => (isNumber(share) ? `${shown(100 * share)} %` : '–');
  const times = (d) => `${shownMs(d?.p50)}, p99 ${shownMs(d?.p99)}, mean ${shownMs(d?.mean)}`;
  host.append(
    table(
      ['', ''],
      [
        ['requests', shown(sent.requests)],
        ...kinds.map(([kind, bytes]) => [`${kind} to each GPU, GiB`, shown(bytes / GIB)]),
        ['over links, to all of them, GiB', shown(sent.moved_bytes / GIB)],
        ['sent for nothing, GiB', shown(sent.dropped_bytes / GIB)],
        ['of their tokens cached where they went', percent(sent.cached_share)],
        ['waited for memory there', times(sent.memory_wait_ms)],
        ['from the end of a prompt until all was there', times(sent.after_prompt_ms)],
        ['links out of those that read, used', percent(sent.out_utilisation)],
        ['links into those that generate, used', percent(sent.in_utilisation)],
      ],
      'words handed-over',
    ),
  );
}

// Hit rate and TTFT of what arrived in each window of the run.
function drawWindows(host, run) {
  const {windows, span} = run;
  if (windows.kept < 2) return;
  // A window's figures stand in its middle.
  const half = (windows.time_s[1] - windows.time_s[0]) / 2;
  const times = windows.time_s.map((s) => s + span.from + half);
  host.append(el('h4', {}, 'By when requests arrived'));
  timeChart(host, 200, 'Hit rate of each window of the run', {
    times,
    series: [{label: 'hit rate', values: windows.hit_rate.map((h) => 100 * h), color: 0}],
    yLabel: 'hit rate, %',
    write: (v) => `${shown(v)} %`,
    range: () => [0, 100],
    marks: run.marks,
  });
  const log = (column) => column.map((ms) => (ms > 0 ? Math.log10(ms) : NaN));
  const p50 = log(windows.ttft_p50_ms),
    p99 = log(windows.ttft_p99_ms);
  const known = [...p50, ...p99].filter(isNumber);
  if (known.length === 0) return;
  timeChart(host, 200, 'TTFT of each window of the run', {
    times,
    series: [
      {label: 'TTFT p50', values: p50, color: 0},
      {label: 'TTFT p99', values: p99, color: 1, dash: [5, 3]},
    ],
    yLabel: 'TTFT',
    write: (v) => shownMs(10 ** v),
    tick: (v) => (Number.isInteger(v) ? shownMs(10 ** v) : ''),
    range: () => [Math.floor(Math.min(...known)), Math.ceil(Math.max(...known))],
    marks: run.marks,
  });
}

// Hit rate of the requests that arrived in windows after a fault and ended on the replica that it
// struck: for each fault [rate or null]. The first window is the one before.
function warmUps(run, faults, window_s, windows) {
  const sums = faults.map(() => Array.from({length: windows}, () => ({hit: 0, prompt: 0})));
  const {start_s, replica, hit, computed, kept} = run.requests;
  const byReplica = new Map();
  faults.forEach((event, k) => {
    byReplica.set(event.replica, [...(byReplica.get(event.replica) ?? []), k]);
  });
  for (let i = 0; i < kept; ++i) {
    for (const k of byReplica.get(replica[i]) ?? []) {
      const place = Math.floor((start_s[i] - faults[k].time_s) / window_s) + 1;
      if (!(place >= 0 && place < windows) || !(hit[i] + computed[i] > 0)) continue;
      sums[k][place].hit += hit[i];
      sums[k][place].prompt += hit[i] + computed[i];
    }
  }
  return sums.map((row) => row.map(({hit: h, prompt}) => (prompt > 0 ? h / prompt : null)));
}

const FAULTS_DRAWN = 40,
  EVENTS_SHOWN = 200;

// When the hit rate is back at nine tenths of what it was, in seconds after the fault.
function backWords(row, window_s) {
  if (row[0] === null) return 'nothing ran there before';
  const place = row.findIndex((rate, i) => i > 0 && rate !== null && rate >= 0.9 * row[0]);
  if (row.every((rate, i) => i === 0 || rate === null)) return 'no request came';
  if (place < 0) return `not within ${shown((row.length - 1) * window_s)} s`;
  return `within ${shown(place * window_s)} s`;
}

function drawAfter(host, run) {
  const after = run.summary.cluster.after_disturbance ?? [];
  if (after.length === 0) return;
  const window_s = after[0].to_s - after[0].from_s;
  const faults = run.events.filter((event) => event.disturbs);
  const each = run.requests?.replica ? warmUps(run, faults, window_s, after.length) : [];
  const percent = (rate) => (isNumber(rate) ? 100 * rate : null);
  const middle = after.map((w) => (w.from_s + w.to_s) / 2);
  const line = (name, rates, look) => ({
    name,
    type: 'line',
    connectNulls: true,
    symbolSize: look.lineStyle.width > 1.5 ? 8 : 4,
    data: rates.map((rate, i) => [middle[i], percent(rate)]),
    ...look,
  });
  const bold = (i) => ({color: color(i), symbol: symbolOf(i), lineStyle: {width: 3}, z: 3});
  const names = ['all replicas', 'where it struck', ...(each.length > 1 ? ['each fault'] : [])];
  host.append(el('h4', {}, 'After a fault or a planned restart'));
  chart(host, 300, 'Hit rate before and after faults', (t, width) => ({
    grid: {left: 66, right: 18, top: legendHeight(names, width), bottom: 44},
    legend: {data: names},
    xAxis: axis('time of arrival after it, s'),
    yAxis: axis('hit rate, %', {scale: false, max: 100, nameGap: 40}),
    tooltip: {
      formatter: (p) =>
        plain(`${p.data[2] ?? p.seriesName}\n${shown(p.data[0])} s: ${shown(p.data[1])} %`),
    },
    series: [
      line(
        'all replicas',
        after.map((w) => w.hit_rate),
        bold(0),
      ),
      line(
        'where it struck',
        after.map((w) => w.struck?.hit_rate),
        bold(1),
      ),
      ...(each.length > 1 ? each.slice(0, FAULTS_DRAWN) : []).map((rates, k) => {
        const {what, replica, time_s} = faults[k];
        const name = `${what}, replica ${replica}, at ${shown(time_s)} s`;
        const thin = line('each fault', rates, {
          color: t.faint,
          symbol: 'circle',
          lineStyle: {width: 1, opacity: 0.6},
        });
        return {...thin, data: thin.data.map((pair) => [...pair, name])};
      }),
    ],
  }));
  const rate = (r) => (isNumber(r) ? `${shown(100 * r)} %` : '–');
  host.append(
    note(
      `In windows of ${shown(window_s)} s, the first one before it. All faults taken together in ` +
        'bold; where it struck: requests that ended on that replica.',
    ),
    table(
      [
        'at, s',
        'replica',
        'what',
        'requests lost',
        'hit rate before',
        'right after',
        '90 % of it again',
      ],
      faults
        .slice(0, EVENTS_SHOWN)
        .map((event, k) => [
          shown(event.time_s),
          String(event.replica),
          event.what,
          shown(event.lost_requests),
          ...(each.length > 0
            ? [
                rate(each[k][0]),
                rate(each[k].slice(1).find((r) => r !== null)),
                backWords(each[k], window_s),
              ]
            : ['–', '–', '–']),
        ]),
      'words after-faults',
    ),
  );
  if (faults.length > EVENTS_SHOWN)
    host.append(note(`The first ${EVENTS_SHOWN} of ${shown(faults.length)}.`));
}

function drawEvents(host, run) {
  if (run.events.length === 0) return;
  const all = run.events.length + run.events_left_out;
  host.append(
    el(
      'details',
      {},
      el('summary', {}, `What happened to replicas: ${shown(all)} events`),
      table(
        ['at, s', 'replica', 'what', 'requests lost'],
        run.events
          .slice(0, EVENTS_SHOWN)
          .map((e) => [shown(e.time_s), String(e.replica), e.what, shown(e.lost_requests)]),
        'words',
      ),
      ...(all > EVENTS_SHOWN
        ? [note(`The first ${EVENTS_SHOWN}; cluster_events.csv of the run has all.`)]
        : []),
    ),
  );
}

views.push({
  id: 'replicas',
  title: 'Replicas',
  wants: (report) => report.runs.some((run) => run.lives !== null),
  draw(report, body) {
    eachRun(
      report,
      body,
      (run) => run.lives !== null,
      (host, run) => {
        host.classList.remove('keep'); // it is longer than a page
        drawLives(host, run);
        if (run.lives.length > FEW) drawCounts(host, run);
        host.append(...marksNote(run), el('h4', {}, 'Requests of each replica'));
        drawShares(host, run);
        drawHandedOver(host, run);
        if (run.windows !== null) drawWindows(host, run);
        drawAfter(host, run);
        drawEvents(host, run);
      },
    );
  },
});
