// The explorer: exact fronts, limits, and one architecture on every device.
Page.read().then((data) => {
  const {element, number, plain, style} = Page;
  const LIMITS = 3; // Rows of limits.
  const STEPS = 400; // Of a slider.
  const {mlp_ratio: ratios, num_heads: heads, num_layers: depths} = data.choices.choices;

  // An architecture as numbers: its group and the choices of each layer.
  function parse(text) {
    const {group: first, layer: width} = data.choices;
    const group = parseInt(text.slice(0, first), 36);
    const place = Math.floor(group / 2);
    const codes = [];
    for (let i = first; i < text.length; i += width) {
      codes.push(parseInt(text.slice(i, i + width), 36));
    }
    return {text, e: Math.floor(place / depths.length), n: place % depths.length, b: group % 2,
      codes};
  }

  // Axes of an array are full or 1: those of length 1 are stepped over.
  function strides(array) {
    let step = 1;
    array.strides ??= array.shape.map((_, i) => {
      const size = array.shape[array.shape.length - 1 - i];
      const stride = size === 1 ? 0 : step;
      step *= size;
      return stride;
    }).reverse();
    return array.strides;
  }

  // The expected value of a target: a link of a sum over layers, and over pairs of them.
  function value(target, row) {
    const {link, intercept, effects, neighbours} = data.models[target];
    const [se, sn, sb] = strides(intercept);
    let sum = intercept.values[row.e * se + row.n * sn + row.b * sb];
    for (const part of effects) {
      const [e, n, b, l, m, h] = strides(part);
      const start = row.e * e + row.n * n + row.b * b;
      row.codes.forEach((code, i) => {
        const ratio = Math.floor(code / heads.length);
        sum += part.values[start + i * l + ratio * m + (code - ratio * heads.length) * h];
      });
    }
    neighbours.forEach((part, k) => {
      const [e, n, b, l, before, after] = strides(part);
      const start = row.e * e + row.n * n + row.b * b;
      for (let i = k + 1; i < row.codes.length; i++) {
        sum += part.values[start + i * l + row.codes[i - k - 1] * before + row.codes[i] * after];
      }
    });
    return link === 'log' ? Math.exp(sum) : sum;
  }

  const fronts = {};
  // The exact front of two objectives, ascending by the second.
  function front(name) {
    if (!fronts[name]) {
      const [up, across] = name.split(' ');
      const points = data.fronts[name].split(' ').map((text) => {
        const row = parse(text);
        return {row, up: value(up, row), across: value(across, row)};
      });
      fronts[name] = points.sort((p, q) => p.across - q.across);
    }
    return fronts[name];
  }

  // The pair that is chosen, on the device that is chosen where it has one.
  const kinds = new Map();
  for (const name of Object.keys(data.fronts)) {
    const targets = name.split(' ');
    const kind = targets.map((target) => data.metrics[target]).join(' and ');
    const device = targets.map((target) => target.split('@')[1]).find(Boolean) ?? '';
    if (!kinds.has(kind)) { kinds.set(kind, new Map()); }
    kinds.get(kind).set(device, name);
  }

  const pair = () => {
    const devices = kinds.get(element('pair').value);
    return devices.get(element('device').value) ?? devices.get('');
  };

  // Every architecture at hand, with columns of values that are computed when they are needed.
  const candidates = [...new Set([...Object.values(data.fronts), data.found].join(' ').split(' '))]
    .filter(Boolean).map(parse);
  const columns = {};
  const column = (target) => {
    columns[target] ??= candidates.map((row) => value(target, row));
    return columns[target];
  };

  const rows = Array.from({length: LIMITS}, () => {
    const [box, select, slider, output] = ['span', 'select', 'input', 'output']
      .map((tag) => document.createElement(tag));
    slider.type = 'range';
    slider.max = String(STEPS);
    slider.value = String(STEPS);
    box.append(select, slider, output);
    return {box, select, slider, output};
  });

  // The largest value that a row admits; null: no limit.
  function limit({select, slider}) {
    const step = Number(slider.value);
    if (!select.value || step === STEPS) { return null; }
    const [low, high] = range(select.value);
    const most = low * (high / low) ** (step / STEPS);
    const unit = 10 ** (Math.floor(Math.log10(most)) - 3);
    // As it is shown: four digits, rounded up, so that the smallest value is within the least limit.
    return Number((Math.ceil(most / unit) * unit).toPrecision(4));
  }

  const ranges = {};
  function range(target) {
    ranges[target] ??= column(target).reduce(
      ([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
    return ranges[target];
  }

  function point(row, title) {
    const device = element('device').value;
    const shown = Object.keys(data.models).filter(
      (target) => !target.includes('@') || target.endsWith('@' + device));
    return {
      title,
      row,
      space: data.space,
      device,
      choices: data.choices,
      architecture: row.text,
      values: shown.map((target) => [data.objectives[target], number(value(target, row))]),
    };
  }

  // What no architecture within one limit can undercut, by the exact front; null: not known.
  function bound(up, target, most) {
    const name = `${up} ${target}`;
    if (!data.fronts[name]) { return null; }
    const within = front(name).filter((p) => p.across <= most);
    return within.length ? within[within.length - 1].up : Infinity;
  }

  function search() {
    const [up] = pair().split(' ');
    const limits = rows.map((row) => [row.select.value, limit(row)])
      .filter(([, most]) => most !== null);
    const values = column(up);
    let best = -1;
    candidates.forEach((_, i) => {
      const within = limits.every(([target, most]) => column(target)[i] <= most);
      if (within && (best < 0 || values[i] < values[best])) { best = i; }
    });
    const bounds = limits.map(([target, most]) => bound(up, target, most));
    const least = Math.max(...bounds.filter((b) => b !== null), range(up)[0]);
    return {up, limits, row: candidates[best], value: values[best], least};
  }

  function explain({up, limits, row, value: found, least}) {
    const words = limits.map(([target, most]) => `${data.objectives[target]} at most ${number(most)}`);
    const under = words.length ? ` with ${words.join(' and ')}` : '';
    const command = `hwgpt-blackbox query --best --space ${data.space} --min ${up}` +
      (limits.length ? ` --max ${limits.map(([t, most]) => `${t}=${number(most).replace(/,/g, '')}`)
        .join(' ')}` : '');
    if (!row || !Number.isFinite(least)) {
      return `No architecture on this page is within these limits; the exact answer: ${command}`;
    }
    const text = `Smallest ${data.objectives[up]}${under}: ${number(found)}. `;
    if (found <= least * (1 + 1e-6)) { return text + 'It is exact: none is better.'; }
    return `${text}It is the best of the exact fronts on this page and of answers computed ` +
      `beforehand under some limits of latency and energy; none is below ${number(least)}. The exact answer: ${command}`;
  }

  const steps = (points, more) => ({
    x: points.map((p) => p.across), y: points.map((p) => p.up), mode: 'lines',
    line: {shape: 'hv', width: 1.5, color: style('--fg')}, ...more});

  const ring = (name, row, more) => {
    const [up, across] = name.split(' ');
    return {x: [value(across, row)], y: [value(up, row)], mode: 'markers', hoverinfo: 'skip',
      marker: {size: 16, symbol: 'circle-open', line: {width: 3}, color: style('--accent')},
      ...more};
  };

  let best = null;

  function drawFront() {
    const name = pair();
    const [up, across] = name.split(' ');
    const points = front(name);
    const customdata = points.map((p) => p.row);
    const traces = [steps(points, {
      name: 'exact front',
      mode: points.length < 40 ? 'lines+markers' : 'lines',
      customdata,
      hovertemplate: `${plain(data.objectives[up])}: %{y:.6~g}<br>` +
        `${plain(data.objectives[across])}: %{x:.6~g}<extra></extra>`,
    })];
    const chosen = Page.current()?.row ?? best.row;
    if (chosen) { traces.push(ring(name, chosen, {name: 'chosen'})); }
    const layout = {
      height: 480,
      xaxis: Page.axis(data.objectives[across], traces[0].x, {}),
      yaxis: Page.axis(data.objectives[up], traces[0].y, {}),
      shapes: best.limits.filter(([target]) => target === across).map(([, most]) => ({
        type: 'line', yref: 'paper', y0: 0, y1: 1, x0: most, x1: most,
        line: {dash: 'dot', color: style('--accent')}})),
    };
    Page.draw('plot-front', traces, layout);
  }

  function drawDevices() {
    const chosen = Page.current()?.row ?? best.row;
    const devices = [...kinds.get(element('pair').value)];
    const [grid, layout] = Page.panels(devices.map(([device, name]) => device || name), 200,
      devices.length > 6 ? 140 : 240, 46);
    const traces = devices.flatMap(([, name], i) => {
      const {name: suffix, x, y} = grid[i];
      const found = front(name);
      const thin = found.filter((_, k) => k % Math.ceil(found.length / 300) === 0);
      const small = {title: {text: ''}, tickfont: {size: 10}, nticks: 4, automargin: false};
      const mine = [
        steps(thin, {hoverinfo: 'skip', mode: thin.length < 40 ? 'lines+markers' : 'lines'}),
        ...(chosen ? [ring(name, chosen, {marker: {size: 10, symbol: 'circle-open',
          line: {width: 2.5}, color: style('--accent')}, hoverinfo: 'x+y'})] : []),
      ];
      layout['xaxis' + suffix] = Page.axis('', mine.flatMap((t) => t.x), {
        ...small, domain: x, anchor: 'y' + suffix});
      layout['yaxis' + suffix] = Page.axis('', mine.flatMap((t) => t.y), {
        ...small, domain: y, anchor: 'x' + suffix});
      return mine.map((t) => ({...t, xaxis: 'x' + suffix, yaxis: 'y' + suffix}));
    });
    Page.draw('plot-devices', traces, layout);
  }

  function draw() {
    drawFront();
    drawDevices();
  }

  function showLimits() {
    for (const row of rows) {
      const most = limit(row);
      const text = most === null ? 'no limit' : `at most ${number(most)}`;
      row.output.textContent = text;
      row.slider.setAttribute('aria-valuetext', text);
      row.slider.disabled = !row.select.value;
    }
  }

  function answer(shown) {
    showLimits();
    best = search();
    element('statement').textContent = explain(best);
    if (shown && best.row) {
      Page.show([point(best.row, 'Best within the limits')], 0, draw);
    } else {
      draw();
    }
  }

  // The first limit is on the chosen pair, where it is exact.
  function reset() {
    const [, across] = pair().split(' ');
    rows[0].select.value = across;
    element('device').closest('.control').hidden = kinds.get(element('pair').value).has('');
    answer(Page.current() !== null);
  }

  const legend = document.createElement('legend');
  legend.textContent = 'Limits';
  element('limits').replaceChildren(legend, ...rows.map((row) => row.box));
  rows.forEach(({select, slider}, i) => {
    select.setAttribute('aria-label', `Limited objective ${i + 1}`);
    slider.setAttribute('aria-label', `Limit ${i + 1}`);
    const options = Object.keys(data.models).map((target) => new Option(target, target));
    select.replaceChildren(new Option('none', ''), ...options);
    select.addEventListener('change', () => {
      slider.value = String(STEPS);
      answer(true);
    });
    slider.addEventListener('input', () => answer(true));
  });
  const names = [...kinds.keys()];
  Page.fill(element('pair'), names.map((kind) => [kind, kind]), names[0]);
  Page.fill(element('device'), data.devices.map((device) => [device, device]), data.devices[0]);
  element('pair').addEventListener('change', reset);
  element('device').addEventListener('change', reset);
  reset();
  function choose(found, place) {
    const title = (i) => `Point ${i + 1} of ${found.length} on the exact front`;
    Page.show(found.map((row, i) => point(row, title(i))), place, draw);
  }

  Page.choosable('plot-front', () => choose(front(pair()).map((p) => p.row), 0), choose);
  Page.dark.addEventListener('change', draw);
});
