'use strict';
// Tables sort by a click on a heading and show the rows that hold every word of their filter.
(function () {
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

  const find = document.getElementById('find-problem');
  if (find) {
    find.addEventListener('input', () => {
      const wanted = words(find);
      document.querySelectorAll('section.problem').forEach((section) => {
        section.hidden = !holds(section.querySelector('h3').textContent, wanted);
      });
    });
  }
}());
