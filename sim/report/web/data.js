// The report's data: the JSON block of the page, its columns opened.

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64),
    bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; ++i) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function openColumn(packed) {
  const stream = new Blob([bytesOf(packed)]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Float32Array(await new Response(stream).arrayBuffer());
}

// Columns that no chart shows; they are opened when somebody saves them.
const OPENED_LATER = new Set(['isl', 'osl', 'preemptions']);

// {rows, kept, names, packed, <name>: Float32Array}, or null where the run has no such file.
async function openSet(set) {
  if (set === null) return null;
  const names = Object.keys(set.columns);
  const opened = {rows: set.rows, kept: set.kept, names, packed: set.columns};
  await Promise.all(
    names
      .filter((name) => !OPENED_LATER.has(name))
      .map(async (name) => {
        opened[name] = await openColumn(set.columns[name]);
      }),
  );
  return opened;
}

const parsed = (text) => (text === '' ? null : JSON.parse(text));

async function openRun(run, place) {
  const names = ['requests', 'timeline', 'replicas', 'ranks', 'windows', 'steps'];
  const sets = await Promise.all(names.map((name) => openSet(run[name])));
  const opened = {
    ...run,
    place,
    summary: JSON.parse(run.summary),
    comparison: parsed(run.comparison),
    ...Object.fromEntries(names.map((name, i) => [name, sets[i]])),
  };
  opened.span = spanOf(opened);
  opened.lives = livesOf(opened);
  opened.marks = marksOf(opened);
  opened.units = unitsOf(opened);
  return opened;
}

async function openMeasured(run) {
  const samples = {};
  for (const [name, packed] of Object.entries(run.samples))
    samples[name] = await openColumn(packed);
  return {...run, samples};
}

async function openReport() {
  const text = document.getElementById('data').textContent;
  performance.mark('json begins');
  const report = JSON.parse(text);
  performance.measure('json', 'json begins');
  const runs = await Promise.all(report.runs.map(openRun));
  const measured = await Promise.all(report.measured.map(openMeasured));
  const comparisons = report.comparisons.map((c) => ({label: c.label, ...JSON.parse(c.text)}));
  for (const run of runs) {
    if (run.comparison) comparisons.push({label: run.label, ...run.comparison});
  }
  const plans = report.plans.map((p) => ({label: p.label, ...JSON.parse(p.text)}));
  return {...report, runs, measured, comparisons, plans};
}

// Names of the cache kinds that a time line has anything of.
function kindsOf(timeline) {
  return timeline.names
    .filter((name) => name.endsWith('_in_use_bytes'))
    .map((name) => name.slice(0, -'_in_use_bytes'.length))
    .filter((kind) =>
      [`${kind}_in_use_bytes`, `${kind}_cached_bytes`].some(
        (name) => timeline[name] && timeline[name].some((bytes) => bytes > 0),
      ),
    );
}

// Sessions that have begun and not ended: largest number and mean over the run. null without them.
// Times have seven digits here, so an end gives way to a beginning that close to it.
function sessionsHeld(requests) {
  if (!requests || !requests.session) return null;
  const spans = new Map();
  for (let i = 0; i < requests.kept; ++i) {
    const begin = requests.start_s[i],
      end = (begin + requests.e2el_ms[i] / 1e3) * (1 - 3e-7);
    if (requests.session[i] !== requests.session[i] || end !== end) continue;
    const span = spans.get(requests.session[i]);
    if (span === undefined) spans.set(requests.session[i], [begin, end]);
    else {
      span[0] = Math.min(span[0], begin);
      span[1] = Math.max(span[1], end);
    }
  }
  if (spans.size === 0) return null;
  const edges = [];
  for (const [begin, end] of spans.values()) edges.push([begin, 1], [end, -1]);
  edges.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  let held = 0,
    most = 0,
    area = 0,
    before = edges[0][0];
  for (const [time, change] of edges) {
    area += held * (time - before);
    before = time;
    held += change;
    most = Math.max(most, held);
  }
  const span = before - edges[0][0];
  return {sessions: spans.size, most, mean: span > 0 ? area / span : spans.size};
}
