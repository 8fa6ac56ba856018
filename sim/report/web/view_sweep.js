// A sweep: one row a point, columns of the axes and of the figures. Any two columns against each
// other with the front that no other point beats, and any figure over two axes as a heat map, which
// shows where the hit rate falls off its cliff.

const isNumeric = (column) =>
  column.values.some(isNumber) && column.values.every((v) => v === null || isNumber(v));

// The first column of any of the names; else the first that `suits`, else the first.
function columnNamed(columns, names, suits = () => true) {
  for (const name of names) {
    const found = columns.find(
      (c) => c.name === name || c.name.replaceAll('_', '.') === name.replaceAll('_', '.'),
    );
    if (found) return found;
  }
  return columns.find(suits) ?? columns[0];
}

// Small figures are good ones of latencies and of what is paid.
const isCost = (name) =>
  /(_ms|latency|duration|cost|price|rebuilt|evicted|refused|preemptions|wall)/.test(name);

// Which rows no other beats in both columns; rows of saturated points take no part.
function sweepFront(sweep, x, y) {
  const saturated = sweep.columns.find((c) => c.name === 'saturated');
  const sign = (column) => (isCost(column.name) ? -1 : 1);
  const points = [];
  for (let row = 0; row < sweep.rows; ++row) {
    if (!isNumber(x.values[row]) || !isNumber(y.values[row])) continue;
    if (saturated && (saturated.values[row] === 1 || saturated.values[row] === true)) continue;
    points.push({x: sign(x) * x.values[row], y: sign(y) * y.values[row], row});
  }
  return frontOf(points).map((p) => p.row);
}

// "swa_policy" of the axis kv_cache.swa_policy, as much as tells it from the other axes; figures keep
// their whole names.
const lastName = (column) => column.short ?? column.name;

// More groups than runs have colours.
const MORE_COLORS = {
  light: ['#332288', '#882255', '#117733', '#999933', '#8c510a'],
  dark: ['#9a8ff0', '#d0648f', '#7fbf5f', '#d6d65c', '#c98a4b'],
};
const groupColor = (i, t) => [...t.colors, ...MORE_COLORS[t.dark ? 'dark' : 'light']][i % 12];

function rowWords(sweep, row) {
  const line = (c) =>
    `${c.name}: ${isNumber(c.values[row]) ? shown(c.values[row]) : (c.values[row] ?? '–')}`;
  const axes = sweep.columns.filter((c) => c.axis).map(line);
  return axes.join('\n');
}

// "reuse=0.05" is behind "reuse=0.02" and before "reuse=0.1": texts by what stands before their
// first number, then by that number, then by the rest.
function naturally(a, b) {
  if (isNumber(a) && isNumber(b)) return a - b;
  const parts = (value) => /^(\D*)(\d*\.?\d*)(.*)$/s.exec(String(value));
  const [, textA, numberA, restA] = parts(a),
    [, textB, numberB, restB] = parts(b);
  return (
    textA.localeCompare(textB, 'en') ||
    (Number(numberA) || 0) - (Number(numberB) || 0) ||
    restA.localeCompare(restB, 'en')
  );
}

const distinct = (values) => [...new Set(values)].sort(naturally);

// What a point is coloured by: its value, or of very many texts the part before the equals sign.
const GROUPS_MAX = 12;
function groupsOf(column) {
  const whole = distinct(column.values);
  if (whole.length <= GROUPS_MAX) return {groups: whole, groupOf: (value) => value};
  const groupOf = (value) => String(value).split('=')[0];
  const groups = distinct(column.values.map(groupOf));
  return groups.length <= GROUPS_MAX ? {groups, groupOf} : {groups: [''], groupOf: () => ''};
}

function drawScatter(host, sweep, state) {
  const [x, y, hue] = ['x', 'y', 'hue'].map((key) =>
    sweep.columns.find((c) => c.name === state[key]),
  );
  const numeric = [isNumeric(x), isNumeric(y)];
  const front = numeric.every(Boolean) && !(x.axis || y.axis) ? sweepFront(sweep, x, y) : [];
  const {groups, groupOf} = hue ? groupsOf(hue) : {groups: [''], groupOf: () => ''};
  const point = (row) => ({value: [x.values[row], y.values[row]], row});
  const labels = groups.map((group) => (hue ? `${lastName(hue)} = ${group}` : 'points'));
  chart(host, 420, `${y.name} against ${x.name}, a dot a point`, (t, width) => ({
    grid: {
      left: 76,
      right: 18,
      top: hue && groups.length > 1 ? legendHeight(labels, width) : 14,
      bottom: 48,
    },
    legend: hue && groups.length > 1 ? {data: labels} : undefined,
    xAxis: axis(
      lastName(x),
      numeric[0] ? {} : {type: 'category', data: distinct(x.values).map(String)},
    ),
    yAxis: axis(lastName(y), {
      nameGap: 58,
      ...(numeric[1] ? {} : {type: 'category', data: distinct(y.values).map(String)}),
    }),
    tooltip: {
      formatter: (p) =>
        p.data?.row === undefined
          ? ''
          : plain(
              `${rowWords(sweep, p.data.row)}\n${x.name}: ${shown(x.values[p.data.row])}\n` +
                `${y.name}: ${shown(y.values[p.data.row])}`,
            ),
    },
    series: [
      {
        type: 'line',
        showSymbol: false,
        silent: true,
        data: front.map((row) => [x.values[row], y.values[row]]),
        lineStyle: {color: t.faint, width: 2},
      },
      ...groups.map((group, i) => ({
        name: labels[i],
        type: 'scatter',
        symbol: symbolOf(i),
        symbolSize: 9,
        color: groupColor(i, t),
        large: sweep.rows > 5000,
        itemStyle: {opacity: 0.85},
        data: [...Array(sweep.rows).keys()]
          .filter((row) => groups.length === 1 || groupOf(hue.values[row]) === group)
          .map(point),
      })),
    ],
  }));
  if (front.length > 0) {
    host.append(
      note(
        `The line joins the points that no other beats in both (${front.length}); ` +
          'saturated ones take no part.',
      ),
    );
    host.append(
      el(
        'details',
        {},
        el('summary', {}, 'Points of the front'),
        table(
          [...sweep.columns.filter((c) => c.axis).map((c) => c.name), x.name, y.name],
          front
            .slice(0, 200)
            .map((row) =>
              [...sweep.columns.filter((c) => c.axis), x, y].map((c) =>
                isNumber(c.values[row]) ? shown(c.values[row]) : String(c.values[row] ?? '–'),
              ),
            ),
        ),
      ),
    );
  }
}

// The mean of a figure in each cell of two axes, over the points that have the values in `fixed`,
// [[column, value]].
function heatCells(x, y, figure, fixed) {
  const xs = distinct(x.values),
    ys = distinct(y.values);
  const sums = new Map();
  for (let row = 0; row < x.values.length; ++row) {
    const value = figure.values[row];
    if (!isNumber(value) || fixed.some(([column, wanted]) => String(column.values[row]) !== wanted))
      continue;
    const key = xs.indexOf(x.values[row]) * ys.length + ys.indexOf(y.values[row]);
    const sum = sums.get(key) ?? {total: 0, count: 0};
    sum.total += value;
    sum.count += 1;
    sums.set(key, sum);
  }
  const cells = [...sums].map(([key, {total, count}]) => [
    Math.floor(key / ys.length),
    key % ys.length,
    total / count,
    count,
  ]);
  return {xs, ys, cells};
}

const MEAN = ' mean'; // of a choice: all values of an axis

// Whether each value of a column comes with one value of another.
function follows(column, other) {
  const values = new Map();
  return column.values.every((value, row) => {
    const key = other.values[row];
    if (!values.has(key)) values.set(key, value);
    return values.get(key) === value;
  });
}

// The values of the other axes under which most cells of x and y have a figure, and which share of
// the cells that is. Seeds are averaged.
function fullestCut(axes, x, y, figure) {
  // What moves along with an axis is not held while that one changes.
  const others = axes.filter(
    (c) => c !== x && c !== y && c.name !== 'seed' && !follows(c, x) && !follows(c, y),
  );
  const cuts = new Map();
  for (let row = 0; row < x.values.length; ++row) {
    if (!isNumber(figure.values[row])) continue;
    const fixed = others.map((c) => String(c.values[row]));
    const key = JSON.stringify(fixed);
    if (!cuts.has(key)) cuts.set(key, {fixed, cells: new Set()});
    cuts.get(key).cells.add(JSON.stringify([x.values[row], y.values[row]]));
  }
  let best = {fixed: others.map((c) => String(distinct(c.values)[0])), cells: new Set()};
  for (const cut of cuts.values()) if (cut.cells.size > best.cells.size) best = cut;
  const all = distinct(x.values).length * distinct(y.values).length;
  return {
    fixed: Object.fromEntries([
      ...axes.map((c) => [c.name, MEAN]),
      ...others.map((c, i) => [c.name, best.fixed[i]]),
    ]),
    share: best.cells.size / all,
  };
}

// The two axes that are shown first: those that are asked for, unless axes that move together leave
// most of their cells empty and another pair fills more.
function firstPair(axes, x, y, figure) {
  let best = {x, y, ...fullestCut(axes, x, y, figure)};
  if (best.share > 0.5) return best;
  for (const [i, across] of axes.entries()) {
    for (const up of axes.slice(i + 1)) {
      const pair = {x: across, y: up, ...fullestCut(axes, across, up, figure)};
      if (pair.share > best.share) best = pair;
    }
  }
  return best;
}

function drawHeat(host, sweep, state) {
  const [x, y, figure] = ['hx', 'hy', 'figure'].map((key) =>
    sweep.columns.find((c) => c.name === state[key]),
  );
  const fixed = Object.entries(state.fixed)
    .filter(([name, value]) => value !== MEAN && name !== x.name && name !== y.name)
    .map(([name, value]) => [sweep.columns.find((c) => c.name === name), value]);
  const {xs, ys, cells} = heatCells(x, y, figure, fixed);
  if (cells.length === 0) return host.append(note('No point has this figure.'));
  const values = cells.map((cell) => cell[2]);
  const low = Math.min(...values),
    high = Math.max(...values);
  const words = (v) => (isNumber(v) ? shown(v) : String(v ?? '–'));
  const longest = Math.max(...xs.map((v) => words(v).length)),
    left = Math.min(150, 40 + 8 * Math.max(...ys.map((v) => words(v).length)));
  // Every column has its name, slanted where they would overlap; too many to write are left out.
  const slants = (width) => 7 * longest + 8 > (width - left - 18) / xs.length;
  const below = (width) => (slants(width) ? Math.min(100, 12 + 5 * longest) : 0);
  chart(
    host,
    Math.min(640, 150 + 30 * ys.length) + below(host.clientWidth),
    `${figure.name} over ${x.name} and ${y.name}`,
    (t, width) => ({
      grid: {left, right: 18, top: 28, bottom: 96 + below(width)},
      xAxis: axis(lastName(x), {
        type: 'category',
        data: xs.map(words),
        splitLine: {show: false},
        nameGap: 26 + below(width),
        axisLabel: {
          color: t.faint,
          interval: xs.length * 16 > width ? 'auto' : 0,
          rotate: slants(width) ? 40 : 0,
          width: 150,
          overflow: 'truncate',
        },
      }),
      yAxis: axis(lastName(y), {
        type: 'category',
        data: ys.map(words),
        splitLine: {show: false},
        nameLocation: 'end',
        nameGap: 6,
        nameTextStyle: {color: t.faint, align: 'left'},
      }),
      visualMap: {
        dimension: 2,
        min: low,
        max: high > low ? high : low + 1,
        orient: 'horizontal',
        left: 'center',
        bottom: 0,
        itemHeight: 140,
        calculable: true,
        inRange: {color: RAMP},
        textStyle: {color: t.text},
        formatter: (v) => shown(Number(v)),
      },
      tooltip: {
        formatter: (p) =>
          plain(
            `${x.name}: ${words(xs[p.value[0]])}\n${y.name}: ${words(ys[p.value[1]])}\n` +
              `${figure.name}: ${shown(p.value[2])}` +
              (p.value[3] > 1 ? ` (mean of ${p.value[3]} points)` : ''),
          ),
      },
      series: [
        {
          type: 'heatmap',
          itemStyle: {borderColor: t.back, borderWidth: 1},
          // Light on dark cells and dark on light ones.
          data: cells.map((cell) => ({
            value: cell,
            label: {color: cell[2] - low > 0.55 * (high - low) ? '#000' : '#fff'},
          })),
          label: {show: xs.length * 46 < width, fontSize: 12, formatter: (p) => shown(p.value[2])},
        },
      ],
    }),
  );
}

const USER_RATE = 'tok/s of one user (TPOT p50)';

function drawSweep(sweep, body) {
  withInteractivity(sweep);
  const numeric = sweep.columns.filter((c) => !c.axis && isNumeric(c));
  if (numeric.length === 0) return body.append(note('This export holds no figures.'));
  const axes = sweep.columns.filter((c) => c.axis && new Set(c.values).size > 1);
  const varied = numeric.filter((c) => new Set(c.values.filter(isNumber)).size > 1);
  const shownFirst = varied.length > 1 ? varied : numeric;
  const x = columnNamed(shownFirst, [
    'interactivity_tok_s',
    USER_RATE,
    'tpot_ms.mean',
    'ttft_ms.p50',
    'held',
  ]);
  const y = columnNamed(
    shownFirst.filter((c) => c !== x),
    [
      'tok_s_per_gpu',
      'tok_s_per_gpu.output',
      'output_tok_s',
      'price_per_hour',
      'task_cost',
      'hit_rate',
    ],
  );
  const state = {x: x.name, y: (y ?? x).name, hue: axes[0] ? axes[0].name : ''};
  const scatter = el('div'),
    heat = el('div');
  const names = sweep.columns.map((c) => [c.name, c.name]);
  const redraw = (host, draw) => {
    host.replaceChildren();
    draw(host, sweep, state);
  };
  const pick = (key, host, draw) => (value) => {
    state[key] = value;
    redraw(host, draw);
  };
  body.append(
    el('h3', {}, 'Any two columns'),
    el(
      'div',
      {class: 'choices'},
      choice('Across', names, state.x, pick('x', scatter, drawScatter)),
      choice('Up', names, state.y, pick('y', scatter, drawScatter)),
      choice(
        'Colour',
        [['', 'one'], ...axes.map((c) => [c.name, c.name])],
        state.hue,
        pick('hue', scatter, drawScatter),
      ),
    ),
    scatter,
  );
  redraw(scatter, drawScatter);
  if (axes.length < 2) return;
  // The cliff: load across, memory of the windows up.
  const named = (pattern, not) => axes.find((c) => c !== not && pattern.test(c.name));
  const across = named(/concurren|sessions|rate|time_scale|load/) ?? axes[0];
  const up =
    named(/memory|pool|gib|ratio|swa_slots/i, across) ??
    named(/policy/, across) ??
    axes.find((c) => c !== across);
  const figure = columnNamed(shownFirst, ['hit_rate', 'held']);
  const first = firstPair(axes, across, up, figure);
  state.hx = first.x.name;
  state.hy = first.y.name;
  state.figure = figure.name;
  state.fixed = first.fixed;
  const axisNames = axes.map((c) => [c.name, c.name]);
  const others = el('div', {class: 'choices'});
  // Whatever else the sweep varies is held at one value, or averaged.
  const drawOthers = () =>
    others.replaceChildren(
      ...axes
        .filter((c) => c.name !== state.hx && c.name !== state.hy)
        .map((c) =>
          choice(
            c.name,
            [
              ...distinct(c.values).map((v) => [String(v), String(v ?? '–')]),
              [MEAN, 'mean of all'],
            ],
            state.fixed[c.name],
            (value) => {
              state.fixed[c.name] = value;
              redraw(heat, drawHeat);
            },
          ),
        ),
    );
  const pickAxis = (key) => (value) => {
    state[key] = value;
    drawOthers();
    redraw(heat, drawHeat);
  };
  drawOthers();
  body.append(
    el('h3', {}, 'One figure over two axes'),
    el(
      'div',
      {class: 'choices'},
      choice(
        'Figure',
        numeric.map((c) => [c.name, c.name]),
        state.figure,
        pick('figure', heat, drawHeat),
      ),
      choice('Across', axisNames, state.hx, pickAxis('hx')),
      choice('Up', axisNames, state.hy, pickAxis('hy')),
    ),
    others,
    heat,
  );
  redraw(heat, drawHeat);
}

// What a user sees is not in an export as it is.
function withInteractivity(sweep) {
  const tpot = columnNamed(sweep.columns, ['tpot_ms.p50'], () => false);
  if (!tpot || !/^tpot_ms.p50$/.test(tpot.name) || sweep.columns.some((c) => c.name === USER_RATE))
    return;
  sweep.columns.push({
    name: USER_RATE,
    axis: false,
    values: tpot.values.map((ms) => (ms > 0 ? 1000 / ms : null)),
  });
}

views.push({
  id: 'sweep',
  title: 'Sweep',
  wants: (report) => report.sweeps.length > 0,
  draw(report, body) {
    for (const sweep of report.sweeps) {
      const host = el('div');
      if (report.sweeps.length > 1) body.append(el('h3', {}, sweep.label));
      body.append(host);
      drawSweep(sweep, host);
    }
  },
});
