/// What scripts of all pages have at hand:
///
/// ```
/// el('td', {class: 'number'}, 'text', child)    an element; texts are texts, whatever stands in them
/// svg('rect', {x: 1}, child)                    the same in a drawing
/// fill(parent, child, …)                        instead of what was there; the focus stays where it was: on what has
///                                               the same `data-key`, or the same name and text
/// say('Saved'), say('No', true)                 the line that screen readers read out
/// await api('PUT', '/path', {…})                JSON; throws an Error with the problem's words
/// run(async () => …)                            whatever it throws is said
/// table(caption, ['A', …], rows)                rows of cells: texts, elements, numbers
/// chart(caption, [['Mon', 3], …])               columns over time, with the numbers for those who do not see them
/// bars(caption, 'Name', [['a', 3], …])          a table whose numbers have a bar
/// showDialog(dialog, child, …)                  fills a <dialog> and shows it; Escape and Close end it
/// live('/stream', work), every(2000, work)      again whenever the server says so; or every so often while it is seen
/// counted(1, 'link')                           1 link, 2 links
/// pageData()                                    what a file has brought along
/// ```
enum PageScript {
    static let common = elements + talking + drawing + following

    private static let elements = """

        'use strict';
        function make(element, properties, children) {
          for (const [name, value] of Object.entries(properties || {})) {
            if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
            else if (value === true) element.setAttribute(name, '');
            else if (value !== false && value != null) element.setAttribute(name, value);
          }
          element.append(...children.flat().filter(child => child != null));
          return element;
        }
        function el(tag, properties, ...children) { return make(document.createElement(tag), properties, children); }
        function svg(tag, properties, ...children) {
          return make(document.createElementNS('http://www.w3.org/2000/svg', tag), properties, children);
        }
        const focusName = one => one.dataset.key || [one.tagName, one.id, one.name, one.getAttribute('aria-label'),
          one.tagName === 'INPUT' ? '' : one.textContent].join('|');
        function fill(parent, ...children) {
          const old = parent.contains(document.activeElement) ? document.activeElement : null;
          const name = old && focusName(old);
          parent.replaceChildren(...children.flat().filter(child => child != null));
          if (!old) return;
          const same = [...parent.querySelectorAll(old.tagName)].find(one => focusName(one) === name);
          if (!same) return;
          if (old.tagName === 'INPUT' && old.value !== old.defaultValue) same.value = old.value;
          same.focus({ preventScroll: true });
        }
        function table(caption, titles, rows) {
          const cell = value => value instanceof Node
            ? el('td', {}, value)
            : el('td', { class: typeof value === 'number' ? 'number' : null }, String(value == null ? '' : value));
          return el('div', { class: 'wide', tabindex: 0, role: 'region', 'aria-label': caption }, el('table', {},
            el('caption', {}, caption),
            el('thead', {}, el('tr', {}, titles.map(title => el('th', { scope: 'col' }, title)))),
            el('tbody', {}, rows.map(row => el('tr', {}, row.map(cell))))));
        }
        function showDialog(dialog, ...children) {
          fill(dialog, ...children, el('p', { role: 'status', class: 'said' }),
            el('form', { method: 'dialog' }, el('button', {}, 'Close')));
          if (!dialog.open) dialog.showModal();
        }
        function counted(number, word) { return number + ' ' + word + (number === 1 ? '' : 's'); }
        function pageData() { return JSON.parse(document.getElementById('data').textContent); }

        """

    private static let talking = """
        function say(text, isBad) {
          // What lies behind a dialog is neither seen nor read out.
          const inner = document.querySelector('dialog:modal .said');
          for (const line of [document.getElementById('status'), inner]) {
            if (!line) continue;
            line.textContent = text;
            line.classList.toggle('bad', Boolean(isBad));
          }
        }
        const credentials = { token: sessionStorage.getItem('token') || '' };
        async function api(method, path, body) {
          const headers = { Accept: 'application/json' };
          if (credentials.token) headers.Authorization = credentials.token;
          if (body !== undefined) headers['Content-Type'] = 'application/json';
          const sent = body === undefined ? undefined : JSON.stringify(body);
          const answer = await fetch(path, { method, headers, body: sent });
          const text = await answer.text();
          let value = null;
          try { value = text ? JSON.parse(text) : null; } catch (error) { value = text; }
          if (!answer.ok) {
            const problem = value && value.detail ? value.detail + (value.remedy ? '; ' + value.remedy : '') : text;
            throw new Error(problem || answer.status + ' ' + answer.statusText);
          }
          return value;
        }
        async function run(work) { try { return await work(); } catch (error) { say(error.message, true); } }

        """

    private static let drawing = """
        function chart(caption, points) {
          const most = Math.max(1, ...points.map(point => point[1]));
          const step = 100 / Math.max(1, points.length);
          const columns = points.map(([name, value], index) => svg('rect', { class: 'mark',
            x: index * step + step * .1, width: Math.min(step * .8, 8), y: 40 - value / most * 40,
            height: value / most * 40 }, svg('title', {}, name + ': ' + value)));
          const ends = points.length ? [points[0][0], points[points.length - 1][0]] : [];
          return el('figure', { class: 'chart' }, el('figcaption', {}, caption, ', at most ' + most),
            svg('svg', { viewBox: '0 0 100 40', preserveAspectRatio: 'none', role: 'img',
              'aria-label': caption + ': ' + points.slice(-31).map(point => point.join(' ')).join(', ') },
              columns),
            el('div', { class: 'ends' }, [...new Set(ends)].map(name => el('span', {}, name))));
        }
        function bars(caption, title, points) {
          const most = Math.max(1, ...points.map(point => point[1]));
          return table(caption, [title, 'Number', ''], points.map(([name, value]) => [name, value,
            svg('svg', { class: 'bar', viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
              svg('rect', { class: 'mark', width: value / most * 100, height: 10 }))]));
        }

        """

    private static let following = """
        function live(path, work) {
          const source = new EventSource(path);
          source.onmessage = () => run(work);
          return source;
        }
        function every(milliseconds, work) {
          let isBusy = false;
          return setInterval(async () => {
            if (document.hidden || isBusy) return;
            isBusy = true;
            await run(work);
            isBusy = false;
          }, milliseconds);
        }

        """
}
