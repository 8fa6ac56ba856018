// Opens the data, makes a section for each view that wants to be, and draws them one after the
// other, the first at once.

function titleWords(report) {
  const names = new Set(report.runs.map((run) => run.summary.scenario ?? ''));
  if (report.runs.length === 0 && report.plans.length > 0)
    return `Plan: ${report.plans.map((plan) => plan.plan ?? plan.label).join(', ')}`;
  if (report.runs.length === 0)
    return report.sweeps.map((sweep) => sweep.label).join(', ') || 'comparison';
  return [...names].join(', ');
}

function subtitleWords(report) {
  const words = [];
  const one = (name) => {
    const values = new Set(report.runs.map((run) => run.summary[name]));
    return values.size === 1 ? [...values][0] : undefined;
  };
  if (report.runs.length > 0) {
    const gpus = one('gpus');
    words.push(one('model') ?? 'several models');
    words.push(
      (isNumber(gpus) ? `${gpus} GPU${gpus === 1 ? '' : 's'} of ` : '') +
        (one('hardware') ?? 'several nodes'),
    );
    words.push(`times of ${one('times') ?? 'several profiles'}`);
    if (report.runs.length > 1) words.push(`${report.runs.length} runs`);
  }
  words.push(`v4cap ${report.simulator_version}`);
  return words.join(' · ');
}

// A file that is odd in one place costs that view and no other.
function drawView(view, report, body) {
  try {
    view.draw(report, body);
  } catch (error) {
    body.append(el('p', {class: 'warning'}, `This view could not be shown: ${error.message}`));
    document.documentElement.dataset.failed = `${view.id}: ${error.message}`;
    console.error(error);
  }
}

const nextTask = () => new Promise((go) => setTimeout(go, 0));

async function main() {
  const began = performance.now();
  const root = document.getElementById('report');
  performance.mark('data begins');
  const report = await openReport();
  performance.measure('data', 'data begins');
  document.title = `${titleWords(report)}: v4cap report`;
  root.append(
    el(
      'header',
      {},
      el('h1', {}, titleWords(report)),
      el('p', {class: 'subtitle'}, subtitleWords(report)),
    ),
  );
  const wanted = views.filter((view) => view.wants(report));
  root.append(
    el(
      'nav',
      {},
      wanted.map((view) => el('a', {href: `#${view.id}`}, view.title)),
    ),
  );
  const bodies = wanted.map((view) => {
    const body = el('div', {class: 'body'});
    root.append(el('section', {id: view.id}, el('h2', {}, view.title), body));
    return body;
  });
  for (const [i, view] of wanted.entries()) {
    performance.mark(`${view.id} begins`);
    drawView(view, report, bodies[i]);
    performance.measure(view.id, `${view.id} begins`);
    await nextTask();
  }
  // The section that an address names exists only now.
  if (location.hash.length > 1) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  // What a test and a person with the developer tools open can ask for.
  document.documentElement.dataset.drawnMs = (performance.now() - began).toFixed(0);
  document.documentElement.dataset.loadedMs = performance.now().toFixed(0);
}

main().catch((error) => {
  document
    .getElementById('report')
    .append(el('p', {class: 'warning'}, `This report could not be shown: ${error.message}`));
  document.documentElement.dataset.failed = error.message;
  throw error;
});
