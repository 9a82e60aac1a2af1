// The figures of a report, drawn from the embedded data.
Page.read().then((data) => {
  const {element, number, plain, style, ink} = Page;
  const EXACT = 'exact front';
  const SYMBOLS = {
    o: 'circle', s: 'square', '^': 'triangle-up', D: 'diamond', v: 'triangle-down', P: 'cross',
    X: 'x', '*': 'star',
  };
  const LINES = {25: 'dot', 50: 'solid', 75: 'dash'};
  const SHOWN = 10; // Methods that are shown at first.
  const on = data.methods.map((method, i) => i < SHOWN);
  const problemOf = () => data.problems[Number(element('problem').value)];

  const exists = (id) => element(id) !== null;
  const shown = (entries) => entries.filter((entry) => on[entry.method])
    .sort((a, b) => a.method - b.method);
  const name = (entry) => data.methods[entry.method].name;
  const colour = (entry) => ink(data.methods[entry.method].colour);
  const symbol = (entry) => SYMBOLS[data.methods[entry.method].marker];

  function point(problem, title, architecture, values) {
    return {
      title,
      problem: problem.name,
      space: problem.space,
      device: problem.device,
      choices: data.spaces[problem.space],
      architecture,
      numbers: values,
      values: problem.targets.map((target, i) => [data.objectives[target], number(values[i])]),
    };
  }

  function points(problem, titles, architectures, columns) {
    const texts = architectures ? architectures.split(' ') : [];
    return texts.map((text, i) => point(
      problem, titles(i), text, columns.map((column) => column[i])));
  }

  // The front of all runs of a method.
  function pooled(problem, entry) {
    const {seeds, trials, architectures, values} = entry.front;
    entry.points ??= points(
      problem, (i) => `${name(entry)}, seed ${seeds[i]}, trial ${trials[i]}`, architectures, values);
    return entry.points;
  }

  function pair() {
    return element('pair').value.split(' ').map(Number);
  }

  function hover(p) {
    const a = Page.decode(p.choices, p.architecture);
    const bias = a.bias ? 'bias' : 'no bias';
    const lines = [
      p.title, ...p.values.map(([label, text]) => `${label}: ${text}`),
      `${a.num_layers} layers, width ${a.embed_dim}, ${bias}`,
      `MLP ${a.mlp_ratios.join(' ')}`, `heads ${a.num_heads.join(' ')}`,
    ];
    const wrapped = lines.flatMap((line) => plain(line).match(/.{1,60}(?: |$)|.{1,60}/g));
    return wrapped.join('<br>');
  }

  // A trace of points that can be chosen.
  function trace(found, [up, across], look) {
    return {x: found.map((p) => p.numbers[across]), y: found.map((p) => p.numbers[up]),
      customdata: found, ...look};
  }

  const explained = (t) => ({
    ...t, text: t.customdata.map(hover), hovertemplate: '%{text}<extra></extra>'});

  const exactOf = (problem) => (problem.exact ? points(
    problem, () => EXACT, problem.exact.architectures, problem.exact.values) : []);

  function frontTraces(problem, axes, small) {
    const steps = problem.targets.length === 2;
    const line = {shape: 'hv', width: 1};
    const mode = small && steps ? 'lines' : steps ? 'lines+markers' : 'markers';
    const along = (p, q) => p.numbers[axes[1]] - q.numbers[axes[1]];
    const sorted = (found) => [...found].sort(along);
    const traces = shown(problem.methods).map((entry) => trace(sorted(pooled(problem, entry)), axes, {
      name: plain(name(entry)),
      mode,
      line: {...line, color: colour(entry)},
      marker: {color: colour(entry), symbol: symbol(entry), size: small ? 4 : 7},
    }));
    traces.push(trace(sorted(exactOf(problem)), axes, {
      name: EXACT,
      mode: steps ? 'lines' : 'markers',
      line: {...line, width: 1.5, color: style('--fg')},
      marker: {size: steps ? 5 : 3, color: style('--fg')},
    }));
    return traces;
  }

  const label = (problem, i) => data.objectives[problem.targets[i]];
  const every = (traces, key) => traces.flatMap((t) => t[key]);

  function drawOverview() {
    const mine = data.problems.filter((problem) => problem.space === element('space').value);
    const [first] = mine[0].targets;
    const common = mine.every((problem) => problem.targets[0] === first);
    const titles = mine.map((problem) => problem.targets.slice(common ? 1 : 0).join(', '));
    const [grid, layout] = Page.panels(titles, 180, titles.length > 6 ? 140 : 240, 46);
    const traces = mine.flatMap((problem, i) => {
      const {name: suffix, x, y} = grid[i];
      const found = frontTraces(problem, [0, 1], true);
      const small = {title: {text: ''}, tickfont: {size: 10}, nticks: 4, automargin: false};
      layout['xaxis' + suffix] = Page.axis('', every(found, 'x'), {
        ...small, domain: x, anchor: 'y' + suffix});
      layout['yaxis' + suffix] = Page.axis('', every(found, 'y'), {
        ...small, domain: y, anchor: 'x' + suffix});
      return found.map(({customdata, ...t}) => ({...t, hoverinfo: 'name', xaxis: 'x' + suffix,
        yaxis: 'y' + suffix, meta: data.problems.indexOf(problem)}));
    });
    Page.draw('plot-overview', traces, layout);
  }

  function drawConvergence(problem) {
    const [measure, over] = ['measure', 'axis'].map((id) => element(id).value);
    const regret = measure === 'regret' && problem.optimum !== null;
    const value = (v) => (regret ? Math.max(problem.optimum - v, 1e-5) : v);
    const traces = [];
    for (const entry of shown(problem.methods)) {
      const curve = entry.curves[over];
      const [low, middle, high] = [curve.q25, curve.median, curve.q75].map((c) => c.map(value));
      const line = {shape: 'hv', color: colour(entry)};
      if (entry.runs.length > 1) {
        const band = {x: curve.at, mode: 'lines', line: {...line, width: 0}, hoverinfo: 'skip'};
        traces.push({...band, y: low}, {
          ...band, y: high, fill: 'tonexty', fillcolor: colour(entry) + '2e'});
      }
      traces.push({
        x: curve.at,
        y: middle,
        name: plain(name(entry)),
        mode: 'lines',
        line: {...line, width: 2},
        hovertemplate: `${plain(name(entry))}<br>%{y:.5f} at %{x:.4~g}<extra></extra>`,
      });
    }
    const layout = {
      xaxis: Page.axis(over === 'trials' ? 'trials' : 'simulated time (h)', [], {}),
      yaxis: Page.axis(regret ? 'regret' : 'normalised hypervolume', [], regret ? {
        type: 'log', tickvals: Page.ticksFrom(1e-5, problem.optimum)} : {}),
    };
    if (!regret && problem.optimum !== null) {
      const y = problem.optimum;
      layout.shapes = [{type: 'line', xref: 'paper', x0: 0, x1: 1, y0: y, y1: y,
        line: {dash: 'dot', width: 1, color: style('--fg')}}];
      layout.annotations = [{text: `exact optimum ${y.toFixed(4)}`, showarrow: false,
        xref: 'paper', x: 1, xanchor: 'right', y, yanchor: 'bottom'}];
      const late = traces.flatMap((t) => t.y.slice(Math.floor(t.y.length / 10)));
      const low = Math.min(...late);
      layout.yaxis.range = [low - 0.02, y + 0.08 * (y - low) + 0.01];
    }
    Page.draw('plot-convergence', traces, layout);
  }

  function drawFronts(problem) {
    const axes = pair();
    const traces = frontTraces(problem, axes, false);
    const cloud = data.clouds[problem.cloud];
    if (cloud) {
      const found = points(problem, () => `${cloud.kind} architecture`, cloud.architectures,
        problem.targets.map((target) => cloud.values[target]));
      traces.unshift(trace(found, axes, {
        name: cloud.kind, mode: 'markers', marker: {size: 3, color: style('--soft'), opacity: 0.5}}));
    }
    const layout = {
      height: 520,
      xaxis: Page.axis(label(problem, axes[1]), every(traces, 'x'), {}),
      yaxis: Page.axis(label(problem, axes[0]), every(traces, 'y'), {}),
    };
    const chosen = Page.current();
    if (chosen?.problem === problem.name) {
      traces.push({x: [chosen.numbers[axes[1]]], y: [chosen.numbers[axes[0]]], mode: 'markers',
        hoverinfo: 'skip',
        marker: {size: 16, symbol: 'circle-open', line: {width: 3}, color: style('--accent')}});
    }
    Page.draw('plot-fronts', traces.map((t) => (t.customdata ? explained(t) : t)), layout);
  }

  // What a run attains: pairs [across, upright], the one ascending, the other descending.
  function stairs(columns, [up, across]) {
    const sorted = columns[up].map((value, i) => [columns[across][i], value])
      .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const kept = [];
    for (const step of sorted) {
      if (!kept.length || step[1] < kept[kept.length - 1][1]) { kept.push(step); }
    }
    return kept;
  }

  const ascending = (values) => [...new Set(values)].sort((a, b) => a - b);

  // The best value upright of each run, at each value across.
  function sweep(sets, across) {
    const places = sets.map(() => 0);
    const best = sets.map(() => Infinity);
    return across.map((x) => {
      sets.forEach((steps, i) => {
        while (places[i] < steps.length && steps[places[i]][0] <= x) {
          best[i] = steps[places[i]][1];
          places[i] += 1;
        }
      });
      return [...best];
    });
  }

  // The points that so many of the runs attain.
  function surface(sets, count) {
    const xs = ascending(sets.flat().map((step) => step[0]));
    const found = [];
    sweep(sets, xs).forEach((best, i) => {
      const y = best.sort((a, b) => a - b)[count - 1];
      if (y < Infinity && (!found.length || y < found[found.length - 1][1])) {
        found.push([xs[i], y]);
      }
    });
    return found;
  }

  function drawAttainment(problem) {
    const axes = pair();
    const traces = shown(problem.methods).flatMap((entry) => {
      const sets = entry.runs.map((columns) => stairs(columns, axes));
      const levels = sets.length > 1 ? [25, 50, 75] : [50];
      return levels.map((level) => {
        const found = surface(sets, Math.ceil(sets.length * level / 100));
        const text = `${plain(name(entry))}, ${level} % of the runs`;
        return {
          x: found.map((step) => step[0]),
          y: found.map((step) => step[1]),
          name: text,
          mode: 'lines',
          line: {shape: 'hv', dash: LINES[level], width: level === 50 ? 2 : 1,
            color: colour(entry)},
          hovertemplate: `${text}<br>%{x:.5~g}, %{y:.5~g}<extra></extra>`,
        };
      });
    });
    Page.draw('plot-attainment', traces, {
      xaxis: Page.axis(label(problem, axes[1]), every(traces, 'x'), {}),
      yaxis: Page.axis(label(problem, axes[0]), every(traces, 'y'), {}),
    });
  }

  function drawDifferences(problem) {
    const axes = pair();
    const chosen = ['first', 'second'].map((id) => problem.methods.find(
      (entry) => entry.method === Number(element(id).value)));
    if (chosen.includes(undefined)) { return; }
    const seeds = Math.min(...chosen.map((entry) => entry.runs.length));
    const sets = chosen.map((entry) => entry.runs.slice(0, seeds)
      .map((columns) => stairs(columns, axes)));
    const steps = sets.flat(2);
    const [xs, ys] = [0, 1].map((k) => ascending(steps.map((step) => step[k])));
    const best = sets.map((mine) => sweep(mine, xs));
    const z = ys.map((y) => xs.map((x, i) => {
      const [a, b] = best.map((found) => found[i].filter((value) => value <= y).length);
      return (a - b) / seeds;
    }));
    const ends = [xs, ys].map((v) => [...v, v[v.length - 1] + 0.05 * (v[v.length - 1] - v[0] || 1)]);
    const names = chosen.map((entry) => plain(name(entry)));
    Page.draw('plot-differences', [{
      type: 'heatmap',
      x: ends[0],
      y: ends[1],
      z,
      zmin: -1,
      zmax: 1,
      colorscale: [[0, '#D55E00'], [0.5, style('--bg')], [1, '#0072B2']],
      colorbar: {thickness: 12, tickvals: [-1, 0, 1]},
      hovertemplate: `${names.join(' less ')}: %{z:.0%}<extra></extra>`,
    }], {
      xaxis: Page.axis(label(problem, axes[1]), [], {}),
      yaxis: Page.axis(label(problem, axes[0]), [], {}),
    });
  }

  // Colours of ascending choices, from light to dark.
  function shade(i, count) {
    const [light, dark] = [[207, 227, 243], [8, 81, 156]];
    const part = count > 1 ? i / (count - 1) : 1;
    return `rgb(${light.map((v, k) => Math.round(v + part * (dark[k] - v)))})`;
  }

  const choiceText = (key, value) => (key === 'bias' ? ['off', 'on'][value] : String(value));

  function drawChoices(problem) {
    const {fronts, sizes, shares} = problem.choices;
    const kept = fronts.map((method, i) => ({method, i}))
      .filter(({method}) => method < 0 || on[method])
      .sort((a, b) => a.method - b.method);
    const names = kept.map(({method, i}) =>
      `${method < 0 ? EXACT : plain(data.methods[method].name)} (${sizes[i].toLocaleString('en')})`);
    const keys = Object.keys(shares);
    const [grid, layout] = Page.panels(keys, 320, 24 * kept.length, 14);
    layout.barmode = 'stack';
    const traces = keys.flatMap((key, k) => {
      const {name: suffix, first, x, y} = grid[k];
      const more = {gridcolor: style('--line'), automargin: true};
      layout['xaxis' + suffix] = {...more, domain: x, anchor: 'y' + suffix, range: [0, 1],
        tickformat: '.0%', nticks: 3};
      layout['yaxis' + suffix] = {...more, domain: y, anchor: 'x' + suffix,
        autorange: 'reversed', showticklabels: first, tickvals: names.map((_, i) => i),
        ticktext: names};
      const {values, of} = shares[key];
      return values.map((value, j) => ({
        type: 'bar',
        orientation: 'h',
        x: kept.map(({i}) => of[i][j]),
        y: kept.map((_, i) => i),
        xaxis: 'x' + suffix,
        yaxis: 'y' + suffix,
        marker: {color: shade(j, values.length)},
        text: kept.map(() => choiceText(key, value)),
        textposition: 'inside',
        insidetextanchor: 'middle',
        textangle: 0,
        hovertemplate: `${key} ${choiceText(key, value)}: %{x:.0%}<extra></extra>`,
      }));
    });
    Page.draw('plot-choices', traces, layout);
  }

  function drawRanks() {
    if (!exists('plot-ranks')) { return; }
    const kept = data.methods.map((method, i) => i).filter((i) => on[i]);
    const traces = kept.map((i, y) => ({
      x: [data.ranks.ranks[i]],
      y: [y],
      mode: 'markers+text',
      text: [data.ranks.ranks[i].toFixed(2)],
      textposition: 'middle right',
      marker: {size: 10, color: colour({method: i}), symbol: symbol({method: i})},
      hovertemplate: `${plain(name({method: i}))}: %{x:.2f}<extra></extra>`,
    }));
    const distance = data.ranks.critical_difference;
    if (distance !== null) {
      traces.push({
        x: [1, 1 + distance], y: [-1, -1], mode: 'lines+markers+text', line: {color: style('--fg')},
        marker: {symbol: 'line-ns-open', size: 10}, textposition: 'middle right',
        text: ['', `critical difference ${distance.toFixed(2)}`], hoverinfo: 'skip'});
    }
    Page.draw('plot-ranks', traces, {
      height: 110 + 28 * kept.length,
      xaxis: Page.axis('average rank (1 is best)', [], {range: [0.8, data.methods.length + 0.6]}),
      yaxis: {tickvals: kept.map((_, y) => y), ticktext: kept.map((i) => plain(name({method: i}))),
        range: [kept.length - 0.4, -1.6], automargin: true, gridcolor: style('--line'),
        zeroline: false},
    });
  }

  function drawLaw(space, {perplexity, ...laws}) {
    const titles = {coefficient: 'fitted here', authors: "the authors' coefficients"};
    const ends = [Math.min(...perplexity), Math.max(...perplexity)];
    const colours = ['#0072B2', '#D55E00'];
    const traces = Object.entries(laws).map(([key, values], i) => ({
      x: perplexity, y: values, mode: 'markers', name: titles[key],
      marker: {size: 4, opacity: 0.5, color: colours[i]}, hovertemplate: '%{x}, law %{y}'}));
    traces.push({x: ends, y: ends, mode: 'lines', showlegend: false, hoverinfo: 'skip',
      line: {dash: 'dot', width: 1, color: style('--fg')}});
    Page.draw('power-law-' + space, traces, {
      showlegend: true,
      legend: {orientation: 'h', y: 1.1},
      xaxis: Page.axis('perplexity', [], {}),
      yaxis: Page.axis('perplexity by the law', [], {}),
    });
  }

  function drawCorrelations(space, {names, tau}) {
    const ticks = {tickfont: {size: 9}, automargin: true, dtick: 1};
    Page.draw('correlations-' + space, [{
      type: 'heatmap', x: names, y: names, z: tau, zmin: -1, zmax: 1,
      colorscale: [[0, '#D55E00'], [0.5, style('--bg')], [1, '#0072B2']],
      colorbar: {thickness: 12}, hovertemplate: '%{y}<br>%{x}<br>tau %{z:.3f}<extra></extra>',
    }], {height: 720, xaxis: {...ticks, tickangle: 90}, yaxis: {...ticks, autorange: 'reversed'}});
  }

  function drawDistributions(space, distributions) {
    if (!exists('distributions-' + space)) { return; }
    const objective = element('objective-' + space).value;
    const groups = Object.entries(distributions[objective]);
    const [grid, layout] = Page.panels(groups.map(([key]) => key), 220, 220, 40);
    const traces = groups.flatMap(([key, rows], k) => {
      const {name: suffix, x, y} = grid[k];
      const values = Object.entries(rows);
      const all = values.flatMap(([, quantiles]) => quantiles);
      layout['xaxis' + suffix] = Page.axis('', all, {
        domain: x, anchor: 'y' + suffix, nticks: 4, tickfont: {size: 10}, automargin: false});
      layout['yaxis' + suffix] = Page.axis('', [], {
        domain: y, anchor: 'x' + suffix, tickformat: '.0%', tickfont: {size: 10},
        automargin: false});
      return values.map(([value, quantiles], i) => {
        const text = `${key} ${choiceText(key, value)}`;
        return {
          x: quantiles,
          y: quantiles.map((_, q) => q / (quantiles.length - 1)),
          mode: 'lines',
          line: {color: shade(i + 1, values.length + 1)},
          xaxis: 'x' + suffix,
          yaxis: 'y' + suffix,
          hovertemplate: `${plain(text)}<br>%{y:.0%} up to %{x:.5~g}<extra></extra>`,
        };
      });
    });
    Page.draw('distributions-' + space, traces, layout);
  }

  function drawProblem() {
    const problem = problemOf();
    element('statement').textContent = `${problem.name}: ${problem.statement}`;
    drawConvergence(problem);
    drawFronts(problem);
    drawAttainment(problem);
    drawDifferences(problem);
    drawChoices(problem);
  }

  function drawSpaces() {
    for (const [space, drawn] of Object.entries(data.spaces)) {
      if (!drawn.correlations) { continue; }
      if (drawn.law) { drawLaw(space, drawn.law); }
      drawCorrelations(space, drawn.correlations);
      drawDistributions(space, drawn.distributions);
    }
  }

  function drawMethods() {
    drawOverview();
    drawRanks();
    drawProblem();
  }

  function fillPairs() {
    const {targets} = problemOf();
    const pairs = targets.flatMap((a, i) => targets.slice(i + 1).map(
      (b, j) => [`${i} ${i + 1 + j}`, `${a} over ${b}`]));
    Page.fill(element('pair'), pairs, pairs[0][0]);
    const methods = [...problemOf().methods].sort((a, b) => a.method - b.method)
      .map((entry) => [String(entry.method), name(entry)]);
    Page.fill(element('first'), methods, methods[0][0]);
    Page.fill(element('second'), methods, methods[Math.min(1, methods.length - 1)][0]);
    const known = problemOf().optimum !== null;
    element('measure').disabled = !known;
    if (!known) { element('measure').value = 'hypervolume'; }
  }

  function fillProblems() {
    const mine = data.problems.map((problem, i) => [String(i), problem.name, problem.space])
      .filter(([, , space]) => space === element('space').value);
    Page.fill(element('problem'), mine, mine[0][0]);
    fillPairs();
  }

  function swatch(method) {
    const mark = document.createElement('span');
    mark.className = 'swatch';
    mark.style.background = ink(method.colour);
    return mark;
  }

  const boxes = data.methods.map((method, i) => {
    const box = document.createElement('input');
    box.type = 'checkbox';
    box.checked = on[i];
    box.addEventListener('change', () => {
      on[i] = box.checked;
      drawMethods();
    });
    return box;
  });

  function fillMethods() {
    const legend = document.createElement('legend');
    legend.textContent = 'Methods, best first';
    const switches = data.methods.map((method, i) => {
      const row = document.createElement('label');
      row.append(boxes[i], swatch(method), method.name);
      return row;
    });
    const all = ['All', 'None'].map((text, k) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = text;
      button.addEventListener('click', () => {
        boxes.forEach((box, i) => { box.checked = on[i] = k === 0; });
        drawMethods();
      });
      return button;
    });
    element('methods').replaceChildren(legend, ...switches, ...all);
  }

  function drawAll() {
    fillMethods();
    drawMethods();
    drawSpaces();
  }

  const onChange = (id, action) => element(id).addEventListener('change', action);
  const spaces = Object.keys(data.spaces);
  Page.fill(element('space'), spaces.map((space) => [space, space]), spaces[0]);
  fillProblems();
  onChange('space', () => { fillProblems(); drawMethods(); });
  onChange('problem', () => { fillPairs(); drawProblem(); });
  for (const id of ['measure', 'axis']) { onChange(id, () => drawConvergence(problemOf())); }
  for (const id of ['first', 'second']) { onChange(id, () => drawDifferences(problemOf())); }
  onChange('pair', drawProblem);
  for (const space of spaces) {
    if (exists('objective-' + space)) {
      onChange('objective-' + space, () => drawDistributions(
        space, data.spaces[space].distributions));
    }
  }
  drawAll();
  element('plot-overview').on('plotly_click', (event) => {
    element('problem').value = String(event.points[0].data.meta);
    fillPairs();
    drawProblem();
  });
  const choose = (found, place) => Page.show(found, place, () => drawFronts(problemOf()));
  Page.choosable('plot-fronts', () => {
    const [first] = frontTraces(problemOf(), pair(), false).filter((t) => t.customdata.length);
    if (first) { choose(first.customdata, 0); }
  }, choose);
  Page.dark.addEventListener('change', drawAll);
});
