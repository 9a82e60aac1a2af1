'use strict';
// What all pages share: tables, the embedded data, architectures, figures, the chosen point.
const Page = (function () {
  // Tables sort by a click on a heading and show the rows that hold every word of their filter.
  function words(input) {
    return input.value.toLowerCase().split(/\s+/).filter(Boolean);
  }

  function holds(text, wanted) {
    return wanted.every((word) => text.toLowerCase().includes(word));
  }

  // Numbers stand in data-n; an empty one is NaN.
  function value(row, i) {
    const cell = row.cells[i];
    const number = cell.getAttribute('data-n');
    if (number === null) { return cell.textContent; }
    return number === '' ? NaN : Number(number);
  }

  function compare(a, b) {
    if (typeof a === 'string' || typeof b === 'string') {
      return String(a).localeCompare(String(b), undefined, {numeric: true});
    }
    return a - b;
  }

  // NaN comes last, in either order.
  function sort(table, i, ascending) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows).sort((x, y) => {
      const a = value(x, i), b = value(y, i);
      if (Number.isNaN(a) || Number.isNaN(b)) { return Number.isNaN(a) - Number.isNaN(b); }
      return ascending ? compare(a, b) : compare(b, a);
    });
    body.append(...rows);
    Array.from(table.tHead.rows[0].cells).forEach((heading, j) => {
      const order = ascending ? 'ascending' : 'descending';
      heading.setAttribute('aria-sort', j === i ? order : 'none');
    });
  }

  document.querySelectorAll('table.data').forEach((table) => {
    const input = document.getElementById('filter-' + table.id);
    const count = document.getElementById('count-' + table.id);
    const rows = Array.from(table.tBodies[0].rows);

    function filter() {
      const wanted = words(input);
      rows.forEach((row) => { row.hidden = !holds(row.textContent, wanted); });
      const shown = rows.filter((row) => !row.hidden).length;
      count.textContent = shown + ' of ' + rows.length + ' rows';
    }

    Array.from(table.tHead.rows[0].cells).forEach((heading, i) => {
      heading.querySelector('button').addEventListener('click', () => {
        sort(table, i, heading.getAttribute('aria-sort') !== 'ascending');
      });
    });
    input.addEventListener('input', filter);
    filter();
  });

  const element = (id) => document.getElementById(id);

  // The data: JSON, compressed, in base 64.
  function read() {
    if (!('DecompressionStream' in window)) {
      element('too-old').hidden = false;
      return new Promise(() => {});
    }
    const bytes = Uint8Array.from(atob(element('data').textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
    return new Response(stream).json();
  }

  // Architectures are texts: their group (embed_dim, num_layers, bias), then each layer's choices.
  function decode(space, text) {
    const {embed_dim: widths, num_layers: depths, mlp_ratio: ratios, num_heads: heads} =
      space.choices;
    const group = parseInt(text.slice(0, space.group), 36);
    const layers = [];
    for (let i = space.group; i < text.length; i += space.layer) {
      layers.push(parseInt(text.slice(i, i + space.layer), 36));
    }
    const place = Math.floor(group / 2);
    return {
      num_layers: depths[place % depths.length],
      embed_dim: widths[Math.floor(place / depths.length)],
      bias: group % 2 === 1,
      mlp_ratios: layers.map((code) => ratios[Math.floor(code / heads.length)]),
      num_heads: layers.map((code) => heads[code % heads.length]),
    };
  }

  // Layers that do not exist hold their smallest choices, as everywhere.
  function configuration(space, architecture) {
    const {mlp_ratio: ratios, num_heads: heads, num_layers: depths} = space.choices;
    const {num_layers, embed_dim, bias} = architecture;
    const found = {num_layers, embed_dim, bias};
    const count = depths[depths.length - 1];
    for (let i = 0; i < count; i++) {
      found['mlp_ratio_' + i] = architecture.mlp_ratios[i] ?? ratios[0];
    }
    for (let i = 0; i < count; i++) {
      found['num_heads_' + i] = architecture.num_heads[i] ?? heads[0];
    }
    return found;
  }

  function command(space, device, a) {
    return `hwgpt-blackbox query --space ${space} --device ${device} num_layers=${a.num_layers} ` +
      `embed_dim=${a.embed_dim} bias=${a.bias} mlp_ratio=${a.mlp_ratios} num_heads=${a.num_heads}`;
  }

  function builder(space, a) {
    const bias = a.bias ? 'True' : 'False';
    const parts = [a.num_layers, a.embed_dim, ...a.mlp_ratios, ...a.num_heads, bias];
    return `python -c "import hwgpt_blackbox as h; print(h.build_model('gpt-${space}-` +
      `${parts.join('-')}'))"`;
  }

  function number(value) {
    return Number(value.toPrecision(6)).toLocaleString('en', {maximumSignificantDigits: 6});
  }

  // Plotly reads a little HTML in its texts.
  function plain(text) {
    return String(text).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
  }

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Black would not be seen on a dark page.
  const ink = (colour) => (colour === '#000000' ? style('--fg') : colour);

  const LOG_RATIO = 8;

  // 1, 2 and 5 times every power of ten in a range and beside it.
  function ticksFrom(low, high) {
    const [first, last] = [low, high].map((value) => Math.floor(Math.log10(value)));
    const powers = Array.from({length: last - first + 2}, (_, i) => 10 ** (first + i));
    return powers.flatMap((power) => [1, 2, 5].map((digit) => Number((digit * power).toPrecision(1))));
  }

  // An axis; logarithmic where the largest value is many times the smallest.
  function axis(title, values, more) {
    const shown = values.filter((value) => value > 0);
    const low = shown.reduce((a, b) => Math.min(a, b), Infinity);
    const high = shown.reduce((a, b) => Math.max(a, b), -Infinity);
    const log = shown.length === values.length && high / low >= LOG_RATIO;
    const ticks = log ? {type: 'log', tickvals: ticksFrom(low, high)} : {type: 'linear'};
    return {
      title: {text: plain(title)},
      ...ticks,
      gridcolor: style('--line'),
      zeroline: false,
      automargin: true,
      exponentformat: 'SI',
      ...more,
    };
  }

  const touch = matchMedia('(pointer: coarse)');

  function draw(id, traces, layout) {
    const fg = style('--fg');
    return Plotly.react(id, traces, {
      paper_bgcolor: 'rgba(0,0,0,0)',
      plot_bgcolor: 'rgba(0,0,0,0)',
      font: {color: fg, size: 12},
      margin: {l: 50, r: 10, t: 30, b: 40},
      modebar: {bgcolor: 'rgba(0,0,0,0)', color: style('--soft'), activecolor: fg},
      height: 420,
      showlegend: false,
      hovermode: 'closest',
      dragmode: touch.matches ? false : 'zoom',
      hoverlabel: {align: 'left', bgcolor: style('--card'), font: {color: fg}},
      ...layout,
    }, {
      responsive: true,
      displaylogo: false,
      displayModeBar: touch.matches || layout.margin ? false : 'hover',
      modeBarButtonsToRemove: ['lasso2d', 'select2d'],
    });
  }

  const [ABOVE, BELOW, RIGHT] = [24, 36, 14];

  // Several panels: axes x, x2 ... with a title each, in as many columns as fit; all in pixels.
  function panels(titles, width, height, left) {
    const space = document.querySelector('main').clientWidth;
    const columns = Math.max(1, Math.min(titles.length, Math.floor(space / width)));
    const rows = Math.ceil(titles.length / columns);
    const pitch = [space / columns, height + ABOVE + BELOW];
    const found = titles.map((title, i) => {
      const [column, row] = [i % columns, Math.floor(i / columns)];
      const x = [column * pitch[0] + left, (column + 1) * pitch[0] - RIGHT].map((v) => v / space);
      const y = [(row + 1) * pitch[1] - BELOW, row * pitch[1] + ABOVE]
        .map((v) => 1 - v / (rows * pitch[1]));
      return {name: i ? String(i + 1) : '', first: column === 0, x, y, title};
    });
    const layout = {
      height: rows * pitch[1],
      margin: {l: 0, r: 0, t: 0, b: 0},
      annotations: found.map(({title, x, y}) => ({
        text: plain(title), showarrow: false, xref: 'paper', yref: 'paper', x: (x[0] + x[1]) / 2,
        y: y[1], xanchor: 'center', yanchor: 'bottom', font: {size: 12},
      })),
    };
    return [found, layout];
  }

  // The chosen point: {title, space, device, choices, architecture, values: [[label, text], ...]}.
  let chosen = null;

  function show(points, place, changed) {
    const point = points[place];
    const architecture = decode(point.choices, point.architecture);
    chosen = {...point, decoded: architecture, points, place, changed};
    element('detail-title').textContent = point.title;
    const rows = [
      ...point.values,
      ['layers', architecture.num_layers],
      ['width', architecture.embed_dim],
      ['bias', architecture.bias ? 'on' : 'off'],
      ['MLP ratios', architecture.mlp_ratios.join(' ')],
      ['heads', architecture.num_heads.join(' ')],
    ];
    element('detail-values').replaceChildren(...rows.map(([label, text]) => {
      const [row, term, value] = ['div', 'dt', 'dd'].map((tag) => document.createElement(tag));
      term.textContent = label;
      value.textContent = text;
      row.append(term, value);
      return row;
    }));
    element('detail-before').disabled = place === 0;
    element('detail-after').disabled = place === points.length - 1;
    element('detail').hidden = false;
    changed(point);
  }

  function step(by) {
    const {points, place, changed} = chosen;
    if (points[place + by]) { show(points, place + by, changed); }
  }

  // Points of a figure are chosen by a click, or by Enter and the arrows; `open` shows the first.
  function choosable(id, open, clicked) {
    element(id).tabIndex = 0;
    element(id).addEventListener('keydown', (event) => {
      const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (event.key === 'Enter') { open(); }
      if (by && chosen) {
        event.preventDefault();
        step(by);
      }
    });
    element(id).on('plotly_click', (event) => {
      const [{data: {customdata}, pointIndex}] = event.points;
      if (customdata) { clicked(customdata, pointIndex); }
    });
  }

  function close() {
    element('detail').hidden = true;
    const {changed} = chosen;
    chosen = null;
    changed(null);
  }

  async function copy(button, text) {
    const label = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch (error) {
      const area = document.createElement('textarea');
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand('copy');
      area.remove();
    }
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = label; }, 1500);
  }

  function onClick(id, action) {
    element(id).addEventListener('click', () => action(element(id)));
  }

  onClick('detail-before', () => step(-1));
  onClick('detail-after', () => step(1));
  onClick('detail-close', close);
  onClick('copy-json', (button) => copy(
    button, JSON.stringify(configuration(chosen.choices, chosen.decoded))));
  onClick('copy-command', (button) => copy(
    button, command(chosen.space, chosen.device, chosen.decoded)));
  onClick('copy-build', (button) => copy(button, builder(chosen.space, chosen.decoded)));
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && chosen) { close(); }
  });

  function fill(select, options, value) {
    select.replaceChildren(...options.map(([key, text]) => new Option(text, key)));
    select.value = value;
    select.closest('.control').hidden = options.length < 2;
  }

  return {element, read, decode, configuration, number, plain, style, ink, axis, draw, panels, show, choosable, ticksFrom,
    fill, current: () => chosen, dark: matchMedia('(prefers-color-scheme: dark)')};
}());
