// What one GPU yields against what one user sees: runs, the front that no other dominates, and what
// was measured.

const YIELDS = {
  output: ['output tok/s per GPU', (run) => at(run.summary, 'tok_s_per_gpu.output')],
  total: [
    'input and output tok/s per GPU',
    (run) => {
      const rates = run.summary.tok_s_per_gpu ?? {};
      return rates.cached + rates.computed + rates.output;
    },
  ],
};

// Interactivity is InferenceX's: 1000 / TPOT of the same statistic.
const SPEEDS = {
  'tpot_ms.p50': 'tok/s of one user (1000 / TPOT p50)',
  'tpot_ms.p99': 'tok/s of one user (1000 / TPOT p99)',
};

// Points that no other one beats in both, ascending by x. [{x, y}]
function frontOf(points) {
  const order = [...points].sort((a, b) => b.x - a.x || b.y - a.y);
  const front = [];
  for (const point of order) {
    if (front.length === 0 || point.y > front.at(-1).y) front.push(point);
  }
  return front.reverse();
}

function measuredPoints(report, gpus) {
  return report.measured
    .map((run) => ({
      x: 1000 / run.figures.tpot_p50,
      y: run.figures.throughput_output / gpus,
      label: run.label,
    }))
    .filter((p) => isNumber(p.x) && isNumber(p.y));
}

views.push({
  id: 'pareto',
  title: 'Pareto',
  wants: (report) =>
    report.runs.length > 1 || (report.runs.length > 0 && report.measured.length > 0),
  draw(report, body) {
    const state = {yield: 'output', speed: 'tpot_ms.p50'};
    const host = el('div');
    const draw = () => {
      host.replaceChildren();
      const [yTitle, yOf] = YIELDS[state.yield],
        xTitle = SPEEDS[state.speed];
      const points = report.runs
        .map((run) => ({run, x: 1000 / at(run.summary, state.speed), y: yOf(run)}))
        .filter((p) => isNumber(p.x) && isNumber(p.y));
      const front = frontOf(points.filter((p) => p.run.steady.holds));
      // What a measuring tool knows no GPUs of is laid over by those of the runs.
      const measured =
        state.yield === 'output' && state.speed === 'tpot_ms.p50'
          ? measuredPoints(report, report.runs[0].summary.gpus ?? 1)
          : [];
      chart(host, 400, `${yTitle} against ${xTitle}`, (t) => ({
        grid: ROOMY,
        xAxis: axis(xTitle),
        yAxis: axis(yTitle, {nameGap: 46}),
        tooltip: {
          formatter: (p) =>
            p.data.measured
              ? plain(
                  `measured: ${p.data.measured}\n${shown(p.value[0])} tok/s per user\n` +
                    `${shown(p.value[1])} tok/s per GPU`,
                )
              : pointWords(p.data, {label: xTitle}, {label: yTitle}),
        },
        series: [
          {
            type: 'line',
            showSymbol: false,
            silent: true,
            data: front.map((p) => [p.x, p.y]),
            lineStyle: {color: t.faint, width: 2},
          },
          runDots(points, t),
          {
            type: 'scatter',
            symbol: 'diamond',
            symbolSize: 16,
            data: measured.map((p) => ({value: [p.x, p.y], measured: p.label})),
            itemStyle: {color: 'transparent', borderColor: t.text, borderWidth: 2},
          },
        ],
      }));
      host.append(
        note(
          `The line joins runs that no other beats in both. Hollow: no steady state, never on ` +
            'the front.' +
            (measured.length > 0 ? ' Open diamonds: measured.' : ''),
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
        choice('User', Object.entries(SPEEDS), state.speed, pick('speed')),
        choice(
          'GPU',
          Object.entries(YIELDS).map(([key, [title]]) => [key, title]),
          state.yield,
          pick('yield'),
        ),
      ),
      host,
    );
    draw();
  },
});
