// The figures of a run: where summary.json has each, what it is called, and how it is written for
// people. `steady` marks those that describe a steady state only, which are withheld where a run
// had none.

const at = (object, path) =>
  path.split('.').reduce((inner, key) => (inner == null ? undefined : inner[key]), object);

const isNumber = (x) => typeof x === 'number' && Number.isFinite(x);

// 1234.5678 -> "1,235", 12.345 -> "12.3", 0.01234 -> "0.0123".
function shown(number) {
  if (!isNumber(number)) return '–';
  const size = Math.abs(number);
  if (size !== 0 && (size < 1e-3 || size >= 1e15)) return number.toExponential(2);
  const digits = size >= 100 || size === 0 ? 0 : Math.min(6, 2 - Math.floor(Math.log10(size)));
  return number.toLocaleString('en-US', {maximumFractionDigits: digits});
}

// Ticks of axes: 12 k, 3.4 M, 100.5. They are round numbers, so that all of their digits can be
// written; rounded to three as `shown` does, those of a short range would read alike.
function short(number) {
  const written = (x) => {
    const value = Number(x.toPrecision(9));
    return value !== 0 && Math.abs(value) < 1e-3
      ? value.toExponential()
      : value.toLocaleString('en-US', {maximumFractionDigits: 9});
  };
  if (!isNumber(number)) return '–';
  for (const [size, unit] of [
    [1e12, ' T'],
    [1e9, ' G'],
    [1e6, ' M'],
    [1e3, ' k'],
  ]) {
    if (Math.abs(number) >= size) return `${written(number / size)}${unit}`;
  }
  return written(number);
}

function shownMs(ms) {
  if (!isNumber(ms)) return '–';
  return Math.abs(ms) >= 1000 ? `${shown(ms / 1000)} s` : `${shown(ms)} ms`;
}

const GIB = 2 ** 30;

const latencyFigures = (name, label) =>
  ['p50', 'p90', 'p99', 'mean'].map((statistic) => ({
    name: `${name}.${statistic}`,
    group: 'Latency',
    label: `${label} ${statistic}`,
    unit: 'ms',
    steady: true,
    lower: true,
  }));

const FIGURES = [
  {name: 'request_s', group: 'Load', label: 'requests', unit: '1/s', steady: true},
  {name: 'mean_in_system', group: 'Load', label: 'requests in the system', steady: true},
  {name: 'running_mean', group: 'Load', label: 'running', steady: true},
  {name: 'waiting_mean', group: 'Load', label: 'waiting', steady: true},
  {name: 'mean_batch', group: 'Load', label: 'sequences per step', steady: true},
  ...latencyFigures('ttft_ms', 'TTFT'),
  ...latencyFigures('tpot_ms', 'TPOT'),
  ...latencyFigures('e2el_ms', 'E2EL'),
  {name: 'output_tok_s', group: 'Throughput', label: 'output', unit: 'tok/s', steady: true},
  {
    name: 'total_tok_s',
    group: 'Throughput',
    label: 'input and output',
    unit: 'tok/s',
    steady: true,
  },
  {
    name: 'tok_s_per_gpu.output',
    group: 'Throughput',
    label: 'output per GPU',
    unit: 'tok/s',
    steady: true,
  },
  {
    name: 'tok_s_per_gpu.computed',
    group: 'Throughput',
    label: 'computed per GPU',
    unit: 'tok/s',
    steady: true,
  },
  {
    name: 'tok_s_per_gpu.cached',
    group: 'Throughput',
    label: 'cached per GPU',
    unit: 'tok/s',
    steady: true,
  },
  {name: 'hit_rate', group: 'Cache', label: 'hit rate', unit: '%', factor: 100},
  {
    name: 'ideal_hit_rate',
    group: 'Cache',
    label: 'hit rate of an infinite cache',
    unit: '%',
    factor: 100,
  },
  {name: 'prompt_tokens', group: 'Cache', label: 'prompted', unit: 'tokens'},
  {name: 'hit_tokens', group: 'Cache', label: 'hit', unit: 'tokens'},
  {name: 'computed_tokens', group: 'Cache', label: 'computed', unit: 'tokens'},
  {name: 'rebuilt_tokens', group: 'Cache', label: 'rebuilt', unit: 'tokens'},
  {name: 'net_saved_tokens', group: 'Cache', label: 'net saved', unit: 'tokens'},
  {
    name: 'recomputed_after_preemption',
    group: 'Cache',
    label: 'recomputed after preemption',
    unit: 'tokens',
  },
  {name: 'tiers.gpu_hit_tokens', group: 'Cache', label: 'hit in GPU memory', unit: 'tokens'},
  {name: 'tiers.load_wait_s', group: 'Cache', label: 'steps waited for tiers', unit: 's'},
  {
    name: 'kv_capacity_gib',
    group: 'Memory, one GPU of each KV cache',
    label: 'KV capacity',
    unit: 'GiB',
  },
  {name: 'cluster.gpu_hours', group: 'Replicas', label: 'GPUs held', unit: 'GPU h'},
  {name: 'cluster.disturbances', group: 'Replicas', label: 'faults and planned restarts'},
  {name: 'cluster.lost_requests', group: 'Replicas', label: 'requests lost with a replica'},
  {name: 'cluster.lost_tokens', group: 'Replicas', label: 'computed for these', unit: 'tokens'},
  {name: 'cluster.retried', group: 'Replicas', label: 'sent again'},
  {name: 'cluster.failed', group: 'Replicas', label: 'failed'},
  {
    name: 'cluster.transfer.moved_bytes',
    group: 'Replicas',
    label: 'handed over, over links',
    unit: 'GB',
    factor: 1e-9,
  },
  {
    name: 'cluster.transfer.memory_wait_ms.p99',
    group: 'Replicas',
    label: 'handed over: waited for memory, p99',
    unit: 'ms',
  },
  {
    name: 'cluster.transfer.after_prompt_ms.p99',
    group: 'Replicas',
    label: 'handed over: time after the prompt, p99',
    unit: 'ms',
  },
  {
    name: 'cluster.transfer.in_utilisation',
    group: 'Replicas',
    label: 'links into those that generate, used',
    unit: '%',
    factor: 100,
  },
  {
    name: 'cluster.transfer.out_utilisation',
    group: 'Replicas',
    label: 'links out of those that read, used',
    unit: '%',
    factor: 100,
  },
  {name: 'requests', group: 'Run', label: 'requests'},
  {name: 'finished', group: 'Run', label: 'finished'},
  {name: 'refused', group: 'Run', label: 'refused'},
  {name: 'preemptions', group: 'Run', label: 'preemptions'},
  {name: 'steps', group: 'Run', label: 'steps'},
  {name: 'duration_s', group: 'Run', label: 'duration', unit: 's'},
];

const FIGURE_BY_NAME = new Map(FIGURES.map((figure) => [figure.name, figure]));

// undefined when it was not recorded; what is withheld is for the caller to say.
function figureOf(run, figure) {
  const value = at(run.summary, figure.name);
  return isNumber(value) ? value * (figure.factor || 1) : undefined;
}

const titleOf = (figure) => (figure.unit ? `${figure.label}, ${figure.unit}` : figure.label);

// Exact, linearly interpolated, of an ascending array.
function quantile(sorted, share) {
  if (sorted.length === 0) return undefined;
  const place = share * (sorted.length - 1);
  const low = Math.floor(place),
    high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (place - low);
}

// In ascending order. Floats that are not negative have the order of their bits, so long columns of
// them are sorted by three times eleven bits, which takes a fifth of the time.
function sortFigures(figures) {
  if (figures.length < 50000 || figures.some((x) => x < 0)) return figures.sort();
  let from = new Uint32Array(figures.buffer),
    to = new Uint32Array(from.length);
  for (const shift of [0, 11, 22]) {
    const places = new Uint32Array(2049);
    for (let i = 0; i < from.length; ++i) places[((from[i] >>> shift) & 2047) + 1] += 1;
    for (let d = 1; d < 2048; ++d) places[d] += places[d - 1];
    for (let i = 0; i < from.length; ++i) to[places[(from[i] >>> shift) & 2047]++] = from[i];
    [from, to] = [to, from];
  }
  return new Float32Array(from.buffer);
}

// A column in ascending order without what is not there; each is sorted once.
const sortedColumns = new WeakMap();
function ascending(column) {
  if (!sortedColumns.has(column)) {
    const known = new Float32Array(column.length);
    let count = 0;
    for (let i = 0; i < column.length; ++i) if (column[i] === column[i]) known[count++] = column[i];
    sortedColumns.set(column, sortFigures(known.slice(0, count)));
  }
  return sortedColumns.get(column);
}
