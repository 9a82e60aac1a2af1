"""Style and script of the page. Both are inline, and the page's policy admits nothing else."""

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#5c6570;--line:#d9dee4;--card:#f6f8fa;
--accent:#0b62a8;--mark:#fff3cd;--best:#e3f2e1}
@media (prefers-color-scheme:dark){:root{--bg:#141414;--fg:#e6e8ea;--soft:#a3abb4;--line:#3a4046;
--card:#1e2124;--accent:#7cbcf2;--mark:#453a12;--best:#1f3a22}
figure img{filter:invert(.92) hue-rotate(180deg)}}
*{box-sizing:border-box}
body{margin:0 auto;padding:0 1rem 4rem;max-width:72rem;background:var(--bg);color:var(--fg);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:break-word}
h1{font-size:1.6rem;line-height:1.25;margin:1.2rem 0 .3rem}
h2{font-size:1.3rem;margin:2.2rem 0 .5rem;border-bottom:1px solid var(--line);padding-bottom:.2rem}
h3{font-size:1.05rem;margin:1.6rem 0 .4rem}
h4{font-size:.95rem;margin:1.2rem 0 .3rem}
a{color:var(--accent)}
.skip{position:absolute;left:-9999px}.skip:focus{left:1rem;top:.5rem}
p.lead,figcaption,.count,footer{color:var(--soft);font-size:.9rem}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1rem;list-style:none;padding:0;margin:.6rem 0}
ul.notes{background:var(--mark);border-radius:.4rem;padding:.6rem 1rem .6rem 2rem}
figure{display:inline-block;vertical-align:top;max-width:100%;margin:.8rem 1rem .8rem 0}
figcaption{contain:inline-size}
figure img{display:block;max-width:100%;height:auto;background:#fff}
.scroll{overflow-x:auto;max-height:32rem;border:1px solid var(--line);border-radius:.4rem}
.scroll:focus-visible{outline:2px solid var(--accent)}
table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .6rem;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}
td.n,th.n{text-align:right}
thead th{position:sticky;top:0;background:var(--card)}
th button{all:unset;cursor:pointer;font-weight:600}
th button:focus-visible{outline:2px solid var(--accent)}
th button::after{content:" \\2195";color:var(--soft)}
th[aria-sort=ascending] button::after{content:" \\2191";color:var(--accent)}
th[aria-sort=descending] button::after{content:" \\2193";color:var(--accent)}
.filter{display:flex;flex-wrap:wrap;gap:.3rem .8rem;align-items:center;margin:.5rem 0}
input[type=search]{font:inherit;padding:.3rem .5rem;border:1px solid var(--line);
border-radius:.3rem;background:var(--bg);color:inherit;min-width:0;width:16rem;max-width:100%}
pre{overflow-x:auto;background:var(--card);padding:.8rem;border-radius:.4rem;font-size:.8rem}
.files{columns:20rem auto}
[hidden]{display:none!important}
@media (max-width:40rem){body{padding:0 .7rem 3rem}h1{font-size:1.3rem}
figure{margin-right:0}figure.wide{overflow-x:auto}figure.wide img{width:44rem;max-width:none}
td:first-child,th:first-child{white-space:normal;min-width:7rem;max-width:9rem}}
@media print{.filter,nav{display:none}.scroll{max-height:none;overflow:visible}}
"""

SCRIPT = """
'use strict';
(function () {
  var problems = [];
  window.addEventListener('error', function (e) { problems.push(String(e.message)); });
  function value(row, i) {
    var cell = row.cells[i];
    var n = cell.getAttribute('data-n');
    return n === null ? cell.textContent : (n === '' ? NaN : Number(n));
  }
  function compare(a, b) {
    if (typeof a === 'string' || typeof b === 'string') {
      return String(a).localeCompare(String(b), undefined, {numeric: true});
    }
    return a - b;
  }
  function sort(table, i, ascending) {
    var body = table.tBodies[0];
    var rows = Array.prototype.slice.call(body.rows);
    rows.sort(function (x, y) {
      var a = value(x, i), b = value(y, i);
      var c = a !== a, d = b !== b;
      if (c || d) { return c - d; }
      return ascending ? compare(a, b) : compare(b, a);
    });
    rows.forEach(function (row) { body.appendChild(row); });
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (th, j) {
      th.setAttribute('aria-sort', j !== i ? 'none' : ascending ? 'ascending' : 'descending');
    });
  }
  function filter(table, text, count) {
    var words = text.toLowerCase().split(/\\s+/).filter(Boolean), shown = 0;
    Array.prototype.forEach.call(table.tBodies[0].rows, function (row) {
      var content = row.textContent.toLowerCase();
      row.hidden = !words.every(function (word) { return content.indexOf(word) >= 0; });
      shown += row.hidden ? 0 : 1;
    });
    count.textContent = shown + ' of ' + table.tBodies[0].rows.length + ' rows';
  }
  document.querySelectorAll('table.data').forEach(function (table) {
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (th, i) {
      th.querySelector('button').addEventListener('click', function () {
        sort(table, i, th.getAttribute('aria-sort') !== 'ascending');
      });
    });
    var input = document.getElementById('filter-' + table.id);
    var count = document.getElementById('count-' + table.id);
    input.addEventListener('input', function () { filter(table, input.value, count); });
    filter(table, '', count);
  });
  var find = document.getElementById('find-problem');
  if (find) {
    find.addEventListener('input', function () {
      var words = find.value.toLowerCase().split(/\\s+/).filter(Boolean);
      document.querySelectorAll('section.problem').forEach(function (section) {
        var name = section.querySelector('h3').textContent.toLowerCase();
        section.hidden = !words.every(function (word) { return name.indexOf(word) >= 0; });
      });
    });
  }
  // The page checks itself when it is opened with #selfcheck: see tests/experiments.
  function check() {
    var out = {figures: 0, tables: 0, sorted: 0, filtered: 0};
    document.querySelectorAll('figure img').forEach(function (img) {
      var box = img.getBoundingClientRect();
      if (!img.complete || !img.naturalWidth || box.width < 50 || box.height < 30) {
        problems.push('figure not visible: ' + img.alt);
      } else if (!img.alt) { problems.push('figure without alternative text'); }
      else { out.figures += 1; }
    });
    document.querySelectorAll('table.data').forEach(function (table) {
      out.tables += 1;
      var rows = table.tBodies[0].rows, total = rows.length;
      Array.prototype.forEach.call(table.tHead.rows[0].cells, function (th, i) {
        [0, 1].forEach(function () {
          th.querySelector('button').click();
          var up = th.getAttribute('aria-sort') === 'ascending', good = rows.length === total;
          for (var r = 1; r < rows.length; r += 1) {
            var a = value(rows[r - 1], i), b = value(rows[r], i);
            if (a === a && b === b && (up ? compare(a, b) : compare(b, a)) > 0) { good = false; }
            if (a !== a && b === b) { good = false; }
          }
          if (good) { out.sorted += 1; } else { problems.push(table.id + ' not sorted by ' + i); }
        });
      });
      var input = document.getElementById('filter-' + table.id);
      function type(text) {
        input.value = text;
        input.dispatchEvent(new Event('input'));
        return Array.prototype.filter.call(rows, function (row) { return !row.hidden; }).length;
      }
      var none = type('no row holds this text'), all = type('');
      var some = total ? type(rows[0].cells[0].textContent) : 1;
      type('');
      if (none === 0 && all === total && some >= 1) { out.filtered += 1; }
      else { problems.push(table.id + ' does not filter'); }
    });
    var root = document.documentElement;
    if (root.scrollWidth > root.clientWidth + 1) {
      problems.push('the page is wider than the window: ' + root.scrollWidth);
    }
    var ids = {};
    document.querySelectorAll('[id]').forEach(function (e) {
      if (ids[e.id]) { problems.push('id twice: ' + e.id); }
      ids[e.id] = true;
    });
    document.querySelectorAll('a[href^="#"]').forEach(function (a) {
      if (!ids[decodeURIComponent(a.getAttribute('href').slice(1))]) {
        problems.push('link to nowhere: ' + a.getAttribute('href'));
      }
    });
    out.problems = problems;
    var element = document.createElement('output');
    element.id = 'selfcheck';
    element.textContent = JSON.stringify(out);
    document.body.appendChild(element);
  }
  window.addEventListener('load', function () {
    if (location.hash === '#selfcheck') { check(); }
  });
}());
"""
