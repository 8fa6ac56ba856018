// KV tiers below GPU memory: where hits were found, what was moved, links, and the wear of drives.

// [[name, figures]] of a run's tiers, from the fastest down.
const tiersOf = (run) =>
  Object.entries(run.summary.tiers ?? {}).filter(
    ([, tier]) => tier !== null && typeof tier === 'object',
  );

const tiered = (report) => report.runs.filter((run) => tiersOf(run).length > 0);

// Bars of `rows` [{label, values}] stacked of parts called `titles`, told apart by patterns, too.
function stackedBars(host, description, {titles, rows, unit, write}) {
  const labels = rows.map((row) => shortened(row.label, 34));
  chart(host, 90 + 30 * rows.length, description, (t, width) => {
    const left = Math.min(
      width * 0.4,
      20 + 7 * labels.reduce((most, label) => Math.max(most, label.length), 0),
    );
    return {
      aria: {enabled: true, decal: {show: true}},
      grid: {left, right: 24, top: legendHeight(titles, width), bottom: 44},
      legend: {data: titles.map((title) => plain(title))},
      xAxis: axis(unit, {scale: false}),
      yAxis: axis('', {
        type: 'category',
        data: labels,
        inverse: true,
        axisLabel: {color: t.text, width: left - 10, overflow: 'truncate', interval: 0},
      }),
      tooltip: {
        formatter: (p) =>
          plain(`${rows[p.dataIndex].label}\n${titles[p.seriesIndex]}: ${write(p.value)}`),
      },
      series: titles.map((title, i) => ({
        name: plain(title),
        type: 'bar',
        stack: 'all',
        barMaxWidth: 24,
        color: color(i),
        data: rows.map((row) => row.values[i] ?? 0),
      })),
    };
  });
}

function drawFound(body, runs) {
  // Tiers by name, in the order of the first run that has each.
  const names = [...new Set(runs.flatMap((run) => tiersOf(run).map(([name]) => name)))];
  const rows = runs.map((run) => {
    const tiers = new Map(tiersOf(run));
    return {
      label: runs.length > 1 ? run.label : 'all requests',
      values: [
        run.summary.tiers.gpu_hit_tokens ?? 0,
        ...names.map((name) => tiers.get(name)?.hit_tokens ?? 0),
        run.summary.computed_tokens ?? 0,
      ],
    };
  });
  body.append(el('h3', {}, 'Where prompt tokens were found'));
  stackedBars(body, 'Prompt tokens by the memory in which they were found', {
    titles: ['GPU memory', ...names, 'nowhere: computed'],
    rows,
    unit: 'tokens',
    write: (v) => `${shown(v)} tokens`,
  });
}

const TIER_FLOWS = [
  ['written_bytes', 'written'],
  ['read_bytes', 'read'],
  ['evicted_bytes', 'evicted'],
  ['expired_bytes', 'expired'],
  ['lost_bytes', 'lost'],
  ['refused_bytes', 'refused'],
];

const total = (byKind) => Object.values(byKind ?? {}).reduce((sum, b) => sum + b, 0);

function drawMoved(host, run) {
  const tiers = tiersOf(run);
  const kinds = [...new Set(tiers.flatMap(([, tier]) => Object.keys(tier.written_bytes ?? {})))];
  const rows = tiers.flatMap(([name, tier]) =>
    TIER_FLOWS.filter(([flow]) => total(tier[flow]) > 0).map(([flow, words]) => ({
      label: `${name}: ${words}`,
      values: kinds.map((kind) => (tier[flow][kind] ?? 0) / GIB),
    })),
  );
  const held = kinds.map((_, i) => rows.some((row) => row.values[i] > 0));
  const only = (list) => list.filter((_, i) => held[i]);
  if (rows.length === 0) return host.append(note('Nothing was moved.'));
  stackedBars(host, 'Bytes of each tier by cache kind', {
    titles: only(kinds),
    rows: rows.map((row) => ({...row, values: only(row.values)})),
    unit: 'GiB',
    write: (v) => `${shown(v)} GiB`,
  });
}

function drawTierTable(host, run) {
  const tiers = tiersOf(run);
  const row = (words, of) => [words, ...tiers.map(([, tier]) => of(tier))];
  const percent = (share) => (isNumber(share) ? `${shown(100 * share)} %` : '–');
  const share = (tier) =>
    tier.capacity_gib > 0 ? ` (${shown((100 * tier.peak_gib) / tier.capacity_gib)} %)` : '';
  host.append(
    table(
      ['', ...tiers.map(([name]) => name)],
      [
        row('writes', (tier) => String(tier.write ?? '–')),
        row('capacity, GiB', (tier) => shown(tier.capacity_gib)),
        row('held at most, GiB', (tier) => shown(tier.peak_gib) + share(tier)),
        row('tokens found there', (tier) => shown(tier.hit_tokens)),
        row('points found there', (tier) => shown(tier.hit_points)),
        ...TIER_FLOWS.map(([flow, words]) =>
          row(`${words}, GiB`, (tier) => shown(total(tier[flow]) / GIB)),
        ),
        row('written for an output token, KiB', (tier) =>
          shown(tier.written_bytes_per_output_token / 1024),
        ),
        row('read for an output token, KiB', (tier) =>
          shown(tier.read_bytes_per_output_token / 1024),
        ),
        row('link, reading', (tier) => percent(tier.read_utilisation)),
        row('link, writing', (tier) => percent(tier.write_utilisation)),
        row('drive writes a day', (tier) => shown(tier.drive_writes_per_day)),
      ],
      'words tiers',
    ),
  );
}

function drawLinks(host, run) {
  const tiers = tiersOf(run);
  const busiest = Math.max(
    ...tiers.map(([, tier]) => Math.max(tier.read_utilisation, tier.write_utilisation)),
  );
  chart(
    host,
    100 + 44 * tiers.length,
    'Share of what the links of each tier could move',
    (t, width) => {
      const names = tiers.map(([name]) => shortened(name, 24));
      const left = Math.min(
        width * 0.35,
        20 + 8 * names.reduce((most, name) => Math.max(most, name.length), 0),
      );
      return {
        aria: {enabled: true, decal: {show: true}},
        grid: {left, right: 70, top: 34, bottom: 44},
        legend: {data: ['reading', 'writing']},
        xAxis: axis('of what the link could move, %', {
          scale: false,
          max: busiest > 0.1 ? 100 : undefined,
        }),
        yAxis: axis('', {
          type: 'category',
          data: names,
          inverse: true,
          axisLabel: {color: t.text, interval: 0},
        }),
        tooltip: {
          formatter: (p) => plain(`${tiers[p.dataIndex][0]}\n${p.seriesName}: ${shown(p.value)} %`),
        },
        series: [
          ['reading', 'read_utilisation'],
          ['writing', 'write_utilisation'],
        ].map(([name, key], i) => ({
          name,
          type: 'bar',
          barMaxWidth: 14,
          color: color(i),
          label: {
            show: true,
            position: 'right',
            color: t.text,
            fontSize: 11,
            formatter: (p) => `${shown(p.value)} %`,
          },
          data: tiers.map(([, tier]) => 100 * (tier[key] ?? 0)),
        })),
      };
    },
  );
}

views.push({
  id: 'tiers',
  title: 'Tiers',
  wants: (report) => tiered(report).length > 0,
  draw(report, body) {
    const runs = tiered(report);
    drawFound(body, runs);
    for (const run of runs) {
      const host = el('div', {class: 'keep'});
      host.append(el('h3', {}, runs.length > 1 ? run.label : 'Moved, by cache kind'));
      body.append(host);
      drawMoved(host, run);
      host.append(el('h4', {}, 'Links'));
      drawLinks(host, run);
      const wait = run.summary.tiers.load_wait_s;
      if (isNumber(wait)) {
        const span = run.summary.duration_s;
        const part = span > 0 ? ` (${shown((100 * wait) / span)} % of the run)` : '';
        host.append(
          note(`Steps waited ${shown(wait)} s in all for loads that were not complete${part}.`),
        );
      }
      drawTierTable(host, run);
    }
    body.append(
      note(
        'Bytes are of one GPU of each attention rank, summed over ranks and replicas: the GPUs ' +
          'of a rank share one copy. Drive writes a day: how often what is written would fill ' +
          'the drives each day, at the rate of this run.',
      ),
    );
  },
});
