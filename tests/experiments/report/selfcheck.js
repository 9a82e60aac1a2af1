'use strict';
// Checks a page from within, and returns what it found.
(function () {
  const problems = [];
  const all = (selector) => Array.from(document.querySelectorAll(selector));

  // Whether Plotly has drawn something in a place.
  function checkFigure(place) {
    const box = place.getBoundingClientRect();
    const drawn = place.querySelector('.main-svg') && place.data.length > 0;
    if (!drawn || box.width < 50 || box.height < 30) {
      problems.push('figure not drawn: ' + place.id);
    } else if (!place.getAttribute('aria-label')) {
      problems.push('figure without alternative text: ' + place.id);
    } else {
      return 1;
    }
    return 0;
  }

  // What a reader would say of two neighbours of a column, texts or numbers.
  function inOrder(a, b, ascending) {
    const [x, y] = [a, b].map((cell) => cell.getAttribute('data-n'));
    if (x === null) {
      const order = a.textContent.localeCompare(b.textContent, undefined, {numeric: true});
      return ascending ? order <= 0 : order >= 0;
    }
    if (x === '' || y === '') { return y === ''; }
    return ascending ? Number(x) <= Number(y) : Number(x) >= Number(y);
  }

  function checkOrder(table, heading, i) {
    const before = table.tBodies[0].rows.length;
    heading.querySelector('button').click();
    const ascending = heading.getAttribute('aria-sort') === 'ascending';
    const rows = Array.from(table.tBodies[0].rows);
    const pairs = rows.slice(1).map((row, r) => [rows[r].cells[i], row.cells[i]]);
    if (rows.length === before && pairs.every(([a, b]) => inOrder(a, b, ascending))) { return 1; }
    problems.push(table.id + ' not sorted by ' + i);
    return 0;
  }

  function checkFilter(table) {
    const input = document.getElementById('filter-' + table.id);
    const rows = Array.from(table.tBodies[0].rows);
    function shown(text) {
      input.value = text;
      input.dispatchEvent(new Event('input'));
      return rows.filter((row) => row.getClientRects().length).length;
    }
    const some = rows.length ? shown(rows[0].cells[0].textContent) : 1;
    const [none, every] = [shown('no row holds this text'), shown('')];
    const count = document.getElementById('count-' + table.id).textContent;
    const right = count === rows.length + ' of ' + rows.length + ' rows';
    if (none === 0 && every === rows.length && some >= 1 && right) { return 1; }
    problems.push(table.id + ' does not filter');
    return 0;
  }

  function checkLinks() {
    const ids = all('[id]').map((element) => element.id);
    ids.filter((id, i) => ids.indexOf(id) !== i).forEach((id) => problems.push('id twice: ' + id));
    all('a[href^="#"]').forEach((a) => {
      if (!ids.includes(decodeURIComponent(a.hash.slice(1)))) {
        problems.push('link to nowhere: ' + a.hash);
      }
    });
  }

  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
  const tables = all('table.data');
  const headings = (table) => Array.from(table.tHead.rows[0].cells);
  const twice = (table) => headings(table).flatMap((heading, i) => [[heading, i], [heading, i]]);
  const found = {
    figures: sum(all('.plot').map(checkFigure)),
    tables: tables.length,
    sorted: sum(tables.flatMap((t) => twice(t).map(([heading, i]) => checkOrder(t, heading, i)))),
    filtered: sum(tables.map(checkFilter)),
    problems: problems,
  };
  checkLinks();
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth + 1) {
    problems.push('the page is wider than the window: ' + root.scrollWidth);
  }
  return found;
}());
