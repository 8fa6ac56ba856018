// Latency against load, of runs that differ in load.

// Room for labels beside the outermost dots.
const ROOMY = {left: 66, right: 84, top: 30, bottom: 44};

const LOADS = ['request_s', 'mean_in_system', 'running_mean'].map((name) =>
  FIGURE_BY_NAME.get(name),
);

// The runs with their x and y, ascending by x.
function loadPoints(runs, x, y) {
  return runs
    .map((run) => ({run, x: figureOf(run, x), y: figureOf(run, y)}))
    .filter((p) => p.x !== undefined && p.y !== undefined)
    .sort((a, b) => a.x - b.x);
}

// Runs that are the same but for their load (and seed): each group is a line.
const SAME_BUT_LOAD = ['model', 'hardware', 'gpus', 'policy', 'layout', 'scheduler', 'times'];

function loadGroups(runs) {
  const groups = new Map();
  for (const run of runs) {
    const key = JSON.stringify(SAME_BUT_LOAD.map((name) => run.summary[name]));
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  return [...groups.values()];
}

// What tells a group from the others.
function groupName(group, runs) {
  const differing = SAME_BUT_LOAD.filter(
    (name) => new Set(runs.map((run) => run.summary[name])).size > 1,
  );
  return differing.map((name) => group[0].summary[name]).join(', ') || 'runs';
}

const spread = (values) =>
  (Math.max(...values) - Math.min(...values)) / Math.max(...values.map(Math.abs), 1e-12);

const loadDiffers = (runs) =>
  loadGroups(runs).some((group) =>
    LOADS.some((figure) => {
      const values = group.map((run) => figureOf(run, figure)).filter(isNumber);
      return values.length > 1 && spread(values) > 0.02;
    }),
  );

views.push({
  id: 'load',
  title: 'Latency against load',
  wants: (report) => loadDiffers(report.runs),
  draw(report, body) {
    const state = {x: 'mean_in_system', y: 'ttft_ms.p99'};
    const host = el('div');
    const latencies = FIGURES.filter((figure) => figure.group === 'Latency');
    const draw = () => {
      host.replaceChildren();
      const x = FIGURE_BY_NAME.get(state.x),
        y = FIGURE_BY_NAME.get(state.y);
      const groups = loadGroups(report.runs).map((group) => ({
        name: groupName(group, report.runs),
        points: loadPoints(group, x, y),
      }));
      const names = groups.map((group) => group.name);
      chart(host, 380, `${y.label} against ${x.label}`, (t, width) => ({
        grid: {...ROOMY, right: 24, top: names.length > 1 ? legendHeight(names, width) : 20},
        legend: names.length > 1 ? {data: names} : undefined,
        xAxis: axis(titleOf(x)),
        yAxis: axis(titleOf(y), {nameGap: 46}),
        tooltip: {formatter: (p) => pointWords(p.data, x, y)},
        series: groups.map(({name, points}, i) => ({
          name,
          type: 'line',
          symbol: symbolOf(i),
          symbolSize: 11,
          color: color(i),
          lineStyle: {type: dashOf(i)},
          data: points.map((p) => ({
            value: [p.x, p.y],
            run: p.run,
            itemStyle: p.run.steady.holds
              ? {}
              : {color: t.back, borderColor: color(i), borderWidth: 2},
          })),
        })),
      }));
      host.append(
        note(
          'A line joins runs that differ in their load only. Hollow: no steady state, so the ' +
            'figure says how long the load lasted.',
        ),
      );
    };
    const pick = (key) => (value) => {
      state[key] = value;
      draw();
    };
    body.append(
      el(
        'div',
        {class: 'choices'},
        choice(
          'Load',
          LOADS.map((f) => [f.name, titleOf(f)]),
          state.x,
          pick('x'),
        ),
        choice(
          'Latency',
          latencies.map((f) => [f.name, titleOf(f)]),
          state.y,
          pick('y'),
        ),
      ),
      host,
    );
    draw();
  },
});

// Dots of runs with their labels; hollow without a steady state.
function runDots(points, t) {
  return {
    type: 'scatter',
    symbolSize: 13,
    data: points.map((p) => ({
      value: [p.x, p.y],
      run: p.run,
      symbol: symbolOf(p.run.place),
      itemStyle: p.run.steady.holds
        ? {color: color(p.run.place)}
        : {color: t.back, borderColor: color(p.run.place), borderWidth: 2},
    })),
    label: {
      show: points.length <= 12,
      formatter: (p) => shortened(p.data.run.label, 26),
      position: 'top',
      color: t.text,
    },
    labelLayout: {hideOverlap: true},
  };
}

function pointWords(data, x, y) {
  if (!data.run) return '';
  return plain(
    `${data.run.label}${data.run.steady.holds ? '' : ' (no steady state)'}\n` +
      `${titleOf(x)}: ${shown(data.value[0])}\n${titleOf(y)}: ${shown(data.value[1])}`,
  );
}
