// Prefill interference: what decoding requests pay for the prompts that are read beside them.

// Tokens that prefill computed up to each time: each request's, spread evenly from its admission to
// its first token. [times, tokens], to be interpolated between.
function prefillWork(requests) {
  const edges = [];
  for (let i = 0; i < requests.kept; ++i) {
    const begin = requests.start_s[i] + (requests.queue_ms[i] || 0) / 1e3;
    const end = requests.start_s[i] + requests.ttft_ms[i] / 1e3;
    const tokens = (requests.computed[i] || 0) + (requests.rebuilt[i] || 0);
    if (!(end > begin) || !(tokens > 0)) continue;
    edges.push([begin, tokens / (end - begin)], [end, -tokens / (end - begin)]);
  }
  edges.sort((a, b) => a[0] - b[0]);
  const times = new Float64Array(edges.length), work = new Float64Array(edges.length);
  let rate = 0, done = 0, before = edges.length > 0 ? edges[0][0] : 0;
  edges.forEach(([time, change], i) => {
    done += rate * (time - before);
    before = time;
    rate += change;
    times[i] = time;
    work[i] = done;
  });
  return {times, work};
}

function workAt({times, work}, time) {
  if (times.length === 0 || time <= times[0]) return 0;
  let low = 0, high = times.length - 1;
  if (time >= times[high]) return work[high];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle; else high = middle;
  }
  const span = times[high] - times[low];
  return span > 0 ? work[low] + (work[high] - work[low]) * (time - times[low]) / span : work[low];
}

// [prefill tok/s while it decoded, TPOT] of each request, at most `most`, evenly chosen.
function interference(requests, most) {
  const work = prefillWork(requests), points = [];
  const stride = Math.max(1, Math.ceil(requests.kept / most));
  for (let i = 0; i < requests.kept; i += stride) {
    const first = requests.start_s[i] + requests.ttft_ms[i] / 1e3;
    const end = requests.start_s[i] + requests.e2el_ms[i] / 1e3;
    if (!(end > first) || !(requests.tpot_ms[i] > 0)) continue;
    points.push([Math.max(0, workAt(work, end) - workAt(work, first)) / (end - first), requests.tpot_ms[i]]);
  }
  return points;
}

// Medians of y over a dozen groups of equal size along x.
function medians(points) {
  const sorted = [...points].sort((a, b) => a[0] - b[0]), line = [];
  const groups = Math.min(12, Math.floor(sorted.length / 8));
  for (let g = 0; g < groups; ++g) {
    const part = sorted.slice(Math.floor(g * sorted.length / groups), Math.floor((g + 1) * sorted.length / groups));
    const ys = part.map((p) => p[1]).sort((a, b) => a - b);
    line.push([mean(part.map((p) => p[0])), quantile(ys, 0.5)]);
  }
  return line;
}

function drawInterference(host, run) {
  const points = interference(run.requests, 20000);
  if (points.length === 0) return host.append(note('No request decoded more than one token.'));
  const line = medians(points);
  chart(host, 320, 'TPOT of each request against the prefill that went on while it decoded', (t) => ({
    xAxis: axis('prefill beside it, tok/s', {min: 0}),
    yAxis: axis('TPOT, ms', {type: 'log', nameGap: 46}),
    tooltip: {formatter: (p) => `${shown(p.value[0])} tok/s of prefill beside it\nTPOT ${shownMs(p.value[1])}`},
    series: [
      {type: 'scatter', data: points, symbolSize: 4, large: points.length > 3000, color: color(run.place), itemStyle: {opacity: 0.45}},
      {type: 'line', data: line, symbol: 'circle', symbolSize: 7, color: t.text, lineStyle: {width: 2}},
    ],
  }));
  if (line.length > 1 && run.steady.holds) {
    host.append(note(`The twelfth of the requests with the least prefill beside it has a median TPOT of ` +
      `${shownMs(line[0][1])}, that with the most ${shownMs(line.at(-1)[1])}.`));
  }
}

views.push({
  id: 'interference', title: 'Prefill interference',
  wants: (report) => report.runs.some((run) => run.requests !== null && run.requests.computed),
  draw(report, body) {
    eachRun(report, body, (run) => run.requests !== null, drawInterference);
    body.append(note('A dot a request. A prompt\'s computed and rebuilt tokens count as spread evenly between its ' +
      'admission and its first token; the line joins medians of groups of equal size.'));
  },
});
