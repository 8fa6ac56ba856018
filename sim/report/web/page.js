// Elements of the page. Text that came from a file goes through `el`, which makes text nodes and
// nothing else, or onto a canvas.

function el(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'class') node.className = value;
    else node.setAttribute(name, value);
  }
  for (const child of children.flat()) {
    if (child != null) node.append(child instanceof Node ? child : String(child));
  }
  return node;
}

// A table with a heading column. Cells are texts; rows may be {group: title}.
function table(header, rows, className = '') {
  const wide = header.length;
  const body = rows.map((row) =>
    row.group !== undefined
      ? el('tr', {class: 'group'}, el('th', {colspan: wide}, row.group))
      : el(
          'tr',
          {},
          row.map((cell, i) => el(i === 0 ? 'th' : 'td', {}, cell)),
        ),
  );
  return el(
    'div',
    {class: 'scroll'},
    el(
      'table',
      {class: className},
      el(
        'thead',
        {},
        el(
          'tr',
          {},
          header.map((cell) => el('th', {}, cell)),
        ),
      ),
      el('tbody', {}, body),
    ),
  );
}

// A labelled choice; `changed` is called with the value, not at the start.
function choice(label, options, value, changed) {
  const select = el(
    'select',
    {onchange: () => changed(select.value)},
    options.map(([key, text]) => el('option', {value: key}, text)),
  );
  select.value = value;
  return el('label', {class: 'choice'}, el('span', {}, label), select);
}

const note = (...text) => el('p', {class: 'note'}, ...text);

// Text for a canvas tooltip, in which a brace would begin markup of the chart library.
const plain = (text) => text.replaceAll('{', '{\u200b');

const shortened = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);

function csvField(value) {
  let text = value === undefined || value === null || value !== value ? '' : String(value);
  // A spreadsheet takes what begins so for a formula.
  if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], {type}));
  el('a', {href: url, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function downloadCsv(name, header, rows) {
  const lines = [header, ...rows].map((row) => row.map(csvField).join(','));
  download(name, 'text/csv', lines.join('\n') + '\n');
}

// A name for a file, made of a label.
const fileName = (label) => label.replace(/[^A-Za-z0-9._=+-]+/g, '_').slice(0, 80) || 'run';

// Views: {id, title, wants(report), draw(report, body)}; main.js draws those that want to be.
const views = [];
