// Prefill interference: what decoding requests pay for the prompts that are read beside them.

// Tokens that prefill computed up to each time, at the edges of equal spans: each request's, spread
// evenly from its admission to its first token. A rate's beginning and end is shared by the two
// edges that it lies between. {first, width, work}
function prefillWork(requests) {
  const spans = 1 << 17;
  let first = Infinity,
    last = -Infinity;
  for (let i = 0; i < requests.kept; ++i) {
    const begin = requests.start_s[i],
      end = begin + requests.ttft_ms[i] / 1e3;
    if (begin < first) first = begin;
    if (end > last) last = end;
  }
  const width = (last - first) / spans || 1;
  const changes = new Float64Array(spans + 2);
  const change = (time, rate) => {
    const place = Math.min(spans, Math.max(0, (time - first) / width)),
      low = Math.floor(place);
    changes[low] += rate * (low + 1 - place);
    changes[low + 1] += rate * (place - low);
  };
  for (let i = 0; i < requests.kept; ++i) {
    const begin = requests.start_s[i] + (requests.queue_ms[i] || 0) / 1e3;
    const end = requests.start_s[i] + requests.ttft_ms[i] / 1e3;
    const tokens = (requests.computed[i] || 0) + (requests.rebuilt[i] || 0);
    if (!(end > begin) || !(tokens > 0)) continue;
    change(begin, tokens / (end - begin));
    change(end, -tokens / (end - begin));
  }
  const work = new Float64Array(spans + 2);
  let rate = 0;
  for (let i = 1; i < work.length; ++i) {
    rate += changes[i - 1];
    work[i] = work[i - 1] + rate * width;
  }
  return {first, width, work};
}

function workAt({first, width, work}, time) {
  const place = Math.min(work.length - 1, Math.max(0, (time - first) / width));
  const low = Math.floor(place),
    high = Math.min(low + 1, work.length - 1);
  return work[low] + (work[high] - work[low]) * (place - low);
}

// [prefill tok/s while it decoded, TPOT] of each request, at most `most`, evenly chosen.
function interference(requests, most) {
  const work = prefillWork(requests),
    points = [];
  const stride = Math.max(1, Math.ceil(requests.kept / most));
  for (let i = 0; i < requests.kept; i += stride) {
    const first = requests.start_s[i] + requests.ttft_ms[i] / 1e3;
    const end = requests.start_s[i] + requests.e2el_ms[i] / 1e3;
    if (!(end > first) || !(requests.tpot_ms[i] > 0)) continue;
    points.push([
      Math.max(0, workAt(work, end) - workAt(work, first)) / (end - first),
      requests.tpot_ms[i],
    ]);
  }
  return points;
}

// Medians of y over a dozen groups of equal size along x.
function medians(points) {
  const sorted = [...points].sort((a, b) => a[0] - b[0]),
    line = [];
  const groups = Math.min(12, Math.floor(sorted.length / 8));
  for (let g = 0; g < groups; ++g) {
    const part = sorted.slice(
      Math.floor((g * sorted.length) / groups),
      Math.floor(((g + 1) * sorted.length) / groups),
    );
    const ys = part.map((p) => p[1]).sort((a, b) => a - b);
    line.push([mean(part.map((p) => p[0])), quantile(ys, 0.5)]);
  }
  return line;
}

function drawInterference(host, run) {
  const points = interference(run.requests, 20000);
  if (points.length === 0) return host.append(note('No request decoded more than one token.'));
  const line = medians(points);
  chart(
    host,
    320,
    'TPOT of each request against the prefill that went on while it decoded',
    (t) => ({
      xAxis: axis('prefill beside it, tok/s', {min: 0}),
      yAxis: axis('TPOT, ms', {type: 'log', nameGap: 46}),
      tooltip: {
        formatter: (p) =>
          `${shown(p.value[0])} tok/s of prefill beside it\nTPOT ${shownMs(p.value[1])}`,
      },
      series: [
        {
          type: 'scatter',
          data: points,
          symbolSize: 4,
          large: points.length > 3000,
          color: color(run.place),
          itemStyle: {opacity: 0.45},
        },
        {
          type: 'line',
          data: line,
          symbol: 'circle',
          symbolSize: 7,
          color: t.text,
          lineStyle: {width: 2},
        },
      ],
    }),
  );
  if (line.length > 1 && run.steady.holds) {
    host.append(
      note(
        `The twelfth of the requests with the least prefill beside it has a median TPOT of ` +
          `${shownMs(line[0][1])}, that with the most ${shownMs(line.at(-1)[1])}.`,
      ),
    );
  }
}

views.push({
  id: 'interference',
  title: 'Prefill interference',
  wants: (report) => report.runs.some((run) => run.requests !== null && run.requests.computed),
  draw(report, body) {
    eachRun(report, body, (run) => run.requests !== null, drawInterference);
    body.append(
      note(
        "A dot a request. A prompt's computed and rebuilt tokens count as spread evenly between " +
          'its admission and its first token; the line joins medians of groups of equal size.',
      ),
    );
  },
});
