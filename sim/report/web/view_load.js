// Latency against load, of runs that differ in load.

const LOADS = ['request_s', 'mean_in_system', 'running_mean'].map((name) => FIGURE_BY_NAME.get(name));

// The runs with their x and y, ascending by x; those without a steady state are told apart.
function loadPoints(runs, x, y) {
  return runs.map((run) => ({run, x: figureOf(run, x), y: figureOf(run, y)}))
    .filter((p) => p.x !== undefined && p.y !== undefined).sort((a, b) => a.x - b.x);
}

const spread = (values) => (Math.max(...values) - Math.min(...values)) / Math.max(...values.map(Math.abs), 1e-12);

function loadDiffers(runs) {
  if (runs.length < 2) return false;
  return LOADS.some((figure) => {
    const values = runs.map((run) => figureOf(run, figure)).filter(isNumber);
    return values.length > 1 && spread(values) > 0.02;
  });
}

views.push({
  id: 'load', title: 'Latency against load',
  wants: (report) => loadDiffers(report.runs),
  draw(report, body) {
    const state = {x: 'mean_in_system', y: 'ttft_ms.p99'};
    const host = el('div');
    const latencies = FIGURES.filter((figure) => figure.group === 'Latency');
    const draw = () => {
      host.replaceChildren();
      const x = FIGURE_BY_NAME.get(state.x), y = FIGURE_BY_NAME.get(state.y);
      const points = loadPoints(report.runs, x, y);
      chart(host, 360, `${y.label} against ${x.label}`, (t) => ({
        xAxis: axis(titleOf(x)), yAxis: axis(titleOf(y), {nameGap: 46}),
        tooltip: {formatter: (p) => pointWords(p.data, x, y)},
        series: [{
          type: 'line', showSymbol: false, silent: true, lineStyle: {color: t.faint, type: 'dotted'},
          data: points.filter((p) => p.run.steady.holds).map((p) => [p.x, p.y]),
        }, runDots(points, t)],
      }));
      host.append(note('Hollow: no steady state, so the figure says how long the load lasted.'));
    };
    const pick = (key) => (value) => { state[key] = value; draw(); };
    body.append(el('div', {class: 'choices'},
      choice('Load', LOADS.map((f) => [f.name, titleOf(f)]), state.x, pick('x')),
      choice('Latency', latencies.map((f) => [f.name, titleOf(f)]), state.y, pick('y'))), host);
    draw();
  },
});

// Dots of runs with their labels; hollow without a steady state.
function runDots(points, t) {
  return {
    type: 'scatter', symbolSize: 13,
    data: points.map((p) => ({
      value: [p.x, p.y], run: p.run, symbol: SYMBOLS[p.run.place % SYMBOLS.length],
      itemStyle: p.run.steady.holds ? {color: color(p.run.place)}
        : {color: t.back, borderColor: color(p.run.place), borderWidth: 2},
    })),
    label: {show: points.length <= 12, formatter: (p) => shortened(p.data.run.label, 26), position: 'top', color: t.text},
    labelLayout: {hideOverlap: true},
  };
}

function pointWords(data, x, y) {
  if (!data.run) return '';
  return plain(`${data.run.label}${data.run.steady.holds ? '' : ' (no steady state)'}\n` +
    `${titleOf(x)}: ${shown(data.value[0])}\n${titleOf(y)}: ${shown(data.value[1])}`);
}
