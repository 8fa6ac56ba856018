// Charts in the colours of the page. Each is drawn again when these change (light, dark, print) or
// its width does.

// Okabe and Ito's palette, told apart by people with any common colour blindness; beside it, runs
// differ in their symbols and dashes. Yellow is left out: it cannot be seen on white.
const PALETTES = {
  light: ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#5f5f5f'],
  dark: ['#56b4e9', '#e8853b', '#2fc49b', '#e2a0c4', '#f0b93a', '#3b8fd0', '#b0b0b0'],
};
const DASHES = [[], [6, 3], [2, 3], [9, 3, 2, 3], [4, 2], [12, 4], [1, 2]];
const SYMBOLS = [
  'circle',
  'rect',
  'triangle',
  'diamond',
  'path://M4 0h2v4h4v2H6v4H4V6H0V4h4z',
  'path://M0 1h10L5 10z',
  'path://M5 0L10 4L8 10H2L0 4z',
];
// Cividis, from little to much.
const RAMP = ['#00224e', '#35456c', '#666970', '#948e77', '#c8b866', '#fee838'];

let printing = false;
const darkQuery = matchMedia('(prefers-color-scheme: dark)');
const isDark = () => darkQuery.matches && !printing;

function theme() {
  const dark = isDark();
  return {
    dark,
    colors: dark ? PALETTES.dark : PALETTES.light,
    text: dark ? '#d7dbe0' : '#24292f',
    faint: dark ? '#8b949e' : '#66707a',
    grid: dark ? '#30363d' : '#e4e8ec',
    back: dark ? '#161b22' : '#ffffff',
  };
}

// After seven runs colours come again, with other symbols and dashes.
const shifted = (i) => (i + Math.floor(i / 7)) % 7;
const symbolOf = (i) => SYMBOLS[shifted(i)];
const dashOf = (i) => DASHES[shifted(i)];
const color = (i, colors = theme().colors) => colors[i % colors.length];

const drawn = new Set(); // charts: {host, draw(width), free()}
// Paper is narrower than most windows, and how wide is not known before it is laid out.
const PRINT_WIDTH = 680;
const widthOf = (host) => (printing ? PRINT_WIDTH : Math.max(200, Math.floor(host.clientWidth)));

function keep(chart) {
  chart.width = widthOf(chart.host);
  chart.draw(chart.width);
  drawn.add(chart);
  return chart;
}

function redrawAll(force) {
  for (const chart of [...drawn]) {
    if (!chart.host.isConnected) {
      chart.free();
      drawn.delete(chart);
      continue;
    }
    const width = widthOf(chart.host);
    if (!force && width === chart.width) continue;
    chart.width = width;
    chart.draw(width);
  }
}

let resizing = 0;
addEventListener('resize', () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => redrawAll(false), 120);
});
darkQuery.addEventListener('change', () => redrawAll(true));
addEventListener('beforeprint', () => {
  printing = true;
  redrawAll(true);
});
addEventListener('afterprint', () => {
  printing = false;
  redrawAll(true);
});

// What every axis of echarts has in common here.
function axis(name, more = {}) {
  const t = theme();
  return {
    name,
    nameLocation: 'middle',
    nameGap: 28,
    scale: true,
    nameTextStyle: {color: t.faint},
    axisLine: {show: true, lineStyle: {color: t.faint}},
    axisLabel: {color: t.faint, hideOverlap: true, formatter: (x) => (isNumber(x) ? short(x) : x)},
    splitLine: {lineStyle: {color: t.grid}},
    ...more,
  };
}

// A chart of echarts. `options(theme, width)` is asked again for each drawing. Tooltips are drawn
// on the canvas, where text is text. `description` is for those who do not see the chart.
function chart(host, height, description, options) {
  const box = el('div', {class: 'chart', role: 'img', 'aria-label': description});
  box.style.height = `${height}px`;
  host.append(box);
  let instance = null;
  box.options = () => instance.getOption(); // what a test can ask for
  return keep({
    host: box,
    draw(width) {
      if (instance === null)
        instance = Charts.echarts.init(box, null, {renderer: 'canvas', width, height});
      else instance.resize({width, height});
      const t = theme(),
        option = options(t, width);
      instance.setOption(
        {
          animation: false,
          backgroundColor: 'transparent',
          color: t.colors,
          textStyle: {fontFamily: 'system-ui, sans-serif', color: t.text},
          grid: {left: 56, right: 18, top: 34, bottom: 44},
          ...option,
          legend:
            option.legend === undefined
              ? undefined
              : {
                  type: 'plain',
                  top: 0,
                  left: 0,
                  itemWidth: 13,
                  itemHeight: 12,
                  textStyle: {color: t.text},
                  ...option.legend,
                },
          tooltip: {
            renderMode: 'richText',
            confine: true,
            backgroundColor: t.back,
            borderColor: t.faint,
            textStyle: {color: t.text, fontSize: 12},
            ...option.tooltip,
          },
        },
        {notMerge: true},
      );
    },
    free() {
      if (instance !== null) instance.dispose();
    },
  });
}

// Lines of a legend of that many characters, for charts that must leave room for it.
function legendHeight(labels, width) {
  let lines = 1,
    used = 0;
  for (const label of labels) {
    const wide = 44 + 7 * label.length;
    if (used > 0 && used + wide > width) {
      lines += 1;
      used = 0;
    }
    used += wide;
  }
  return 12 + 22 * lines;
}

// '#rrggbb' between two colours, nothing of it transparent: what lies below must not shine through.
function mixed(from, to, share) {
  const part = (c, i) => parseInt(c.slice(1 + 2 * i, 3 + 2 * i), 16);
  return (
    '#' +
    [0, 1, 2]
      .map((i) =>
        Math.round(part(from, i) * (1 - share) + part(to, i) * share)
          .toString(16)
          .padStart(2, '0'),
      )
      .join('')
  );
}

// A chart over time, of uPlot. `series`: [{label, values, color, pale, filled, dash, width,
// shown}], all over `times` in seconds; a stacked one is `filled` down to 0, drawn before those
// below it, and has what is said of it in `shown`; a `stepped` one holds each value until the next.
// `write` makes texts of values, `tick` those of the axis. `paint` draws in place of the series, on
// `rows` where they are names from the top down; `probe(time, y)` says what is under the pointer.
// `marks`: times at which something happened. Dragging zooms, a double click shows everything.
function timeChart(
  host,
  height,
  description,
  {times, series, write, tick = short, yLabel, range, paint, rows, probe, marks = []},
) {
  const box = el('div', {class: 'chart time', role: 'img', 'aria-label': description});
  const said = probe ? el('p', {class: 'note probe'}, '\u00a0') : null;
  host.append(box);
  if (said !== null) host.append(said);
  let plot = null;
  return keep({
    host: box,
    draw(width) {
      if (plot !== null) plot.destroy();
      const t = theme();
      const font = '12px system-ui, sans-serif';
      const axisStyle = {
        stroke: t.faint,
        font,
        labelFont: font,
        grid: {stroke: t.grid, width: 1},
        ticks: {stroke: t.grid},
      };
      plot = new Charts.uPlot(
        {
          width,
          height,
          legend: {show: !paint || series.length > 1, live: !paint},
          scales: {x: {time: false}, y: {range}},
          cursor: {drag: {x: true, y: false}, points: {show: !paint}},
          hooks: {
            draw: [
              (u) => {
                if (paint) paint(u, t);
                drawMarks(u, t, marks);
              },
            ],
            setCursor: [
              (u) => {
                if (said === null) return;
                const {left, top} = u.cursor;
                said.textContent =
                  (left >= 0 && probe(u.posToVal(left, 'x'), u.posToVal(top, 'y'))) || '\u00a0';
              },
            ],
          },
          axes: [
            {
              ...axisStyle,
              values: (_, ticks) => ticks.map(short),
              label: 'time, s',
              labelSize: 22,
              size: 36,
            },
            {
              ...axisStyle,
              values: (_, ticks) => ticks.map(tick),
              label: yLabel,
              labelSize: 22,
              size: 56,
              ...(rows ? rowAxis(rows, height) : {}),
            },
          ],
          series: [
            {label: 'time', value: (_, s) => (s == null ? '–' : `${shown(s)} s`)},
            ...series.map((s) => {
              const stroke =
                s.color === undefined
                  ? t.text
                  : mixed(color(s.color, t.colors), t.back, s.pale ?? 0);
              return {
                label: s.label,
                stroke,
                width: s.width ?? 1.5,
                dash: s.dash,
                points: {show: false},
                fill: s.filled ? mixed(stroke, t.back, 0.15) : undefined,
                value: (u, v, _, i) => (v == null ? '–' : write(s.shown ? s.shown[i] : v)),
                ...(paint ? {paths: () => null} : {}),
                ...(s.stepped ? {paths: Charts.uPlot.paths.stepped({align: 1})} : {}),
              };
            }),
          ],
        },
        [times, ...series.map((s) => s.values)],
        box,
      );
    },
    free() {
      if (plot !== null) plot.destroy();
    },
  });
}

// Row i of names lies between n - 1 - i and n - i of the y axis; as many are written as fit.
function rowAxis(rows, height) {
  const every = Math.max(1, Math.ceil((18 * rows.length) / height));
  const named = rows.map((_, i) => i).filter((i) => i % every === 0);
  return {
    splits: () => named.map((i) => rows.length - 0.5 - i),
    values: () => named.map((i) => rows[i]),
    grid: {show: false},
  };
}

// A dashed line at each time, with a small triangle on top.
function drawMarks(u, t, marks) {
  if (marks.length === 0) return;
  const {left, top, width, height} = u.bbox,
    size = 4 * devicePixelRatio,
    {ctx} = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top - 2 * size, width, height + 2 * size);
  ctx.clip();
  ctx.fillStyle = t.text;
  ctx.globalAlpha = marks.length > 60 ? 0.3 : 0.7;
  for (const time of marks) {
    const x = Math.round(u.valToPos(time, 'x', true)) + 0.5;
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, top + height);
    // Dashes of one colour on a line of the other are seen on whatever is painted below.
    for (const [ink, dash] of [
      [t.back, []],
      [t.text, [size, size]],
    ]) {
      ctx.strokeStyle = ink;
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash(dash);
      ctx.stroke();
    }
    ctx.beginPath();
    ctx.moveTo(x - size, top - 1.5 * size);
    ctx.lineTo(x + size, top - 1.5 * size);
    ctx.lineTo(x, top);
    ctx.fill();
  }
  ctx.restore();
}

// The colour of a share between 0 and 1 on the ramp.
function rampColor(share) {
  const place = Math.min(1, Math.max(0, share)) * (RAMP.length - 1),
    step = Math.min(RAMP.length - 2, Math.floor(place));
  return mixed(RAMP[step], RAMP[step + 1], place - step);
}

// What the ends of the ramp stand for.
const rampLegend = (low, high) =>
  el(
    'div',
    {class: 'ramp-legend'},
    el('span', {}, low),
    el('i', {class: 'ramp'}),
    el('span', {}, high),
  );

// Dots over time for any number of points: each small square of the chart is drawn once, the
// stronger the more dots are on it, so a million points take as long as the squares that they
// cover. For timeChart's `paint`; sets: [{values, color}].
function dots(sets, times) {
  return (u, t) => {
    const {left, top, width, height} = u.bbox;
    const size = Math.max(2, Math.round(2 * devicePixelRatio));
    const columns = Math.ceil(width / size),
      rows = Math.ceil(height / size);
    const x0 = u.scales.x.min,
      y0 = u.scales.y.min;
    const perX = columns / (u.scales.x.max - x0),
      perY = rows / (u.scales.y.max - y0);
    u.ctx.save();
    for (const set of sets) {
      const counts = new Uint32Array(columns * rows);
      let most = 0;
      for (let i = 0; i < times.length; ++i) {
        const x = Math.floor((times[i] - x0) * perX),
          y = Math.floor((set.values[i] - y0) * perY);
        if (x >= 0 && x < columns && y >= 0 && y < rows)
          most = Math.max(most, ++counts[y * columns + x]);
      }
      u.ctx.fillStyle = color(set.color, t.colors);
      const scale = most > 8 ? 0.75 / Math.log(most) : 0;
      for (let cell = 0; cell < counts.length; ++cell) {
        if (counts[cell] === 0) continue;
        u.ctx.globalAlpha = scale > 0 ? 0.25 + scale * Math.log(counts[cell]) : 1;
        u.ctx.fillRect(
          left + (cell % columns) * size,
          top + height - (Math.floor(cell / columns) + 1) * size,
          size,
          size,
        );
      }
    }
    u.ctx.restore();
  };
}
