/// What scripts of all pages have at hand:
///
/// ```
/// el('td', {class: 'number'}, 'text', child)    an element; texts are texts, whatever stands in them
/// fill(parent, child, …)                        instead of what was there
/// say('Saved'), say('No', true)                 the line that screen readers read out
/// await api('PUT', '/path', {…})                JSON; throws an Error with the problem's words
/// run(async () => …)                            whatever it throws is said
/// table(caption, ['A', …], rows)                rows of cells: texts, elements, numbers
/// ```
enum PageScript {
    static let common = """

        'use strict';
        function el(tag, properties, ...children) {
          const element = document.createElement(tag);
          for (const [name, value] of Object.entries(properties || {})) {
            if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
            else if (value === true) element.setAttribute(name, '');
            else if (value !== false && value != null) element.setAttribute(name, value);
          }
          element.append(...children.flat().filter(child => child != null));
          return element;
        }
        function fill(parent, ...children) {
          parent.replaceChildren(...children.flat().filter(child => child != null));
        }
        function say(text, isBad) {
          const line = document.getElementById('status');
          line.textContent = text;
          line.className = isBad ? 'bad' : '';
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
        function table(caption, titles, rows) {
          const cell = value => value instanceof Node
            ? el('td', {}, value) : el('td', { class: typeof value === 'number' ? 'number' : null }, String(value));
          return el('table', {}, el('caption', {}, caption),
            el('thead', {}, el('tr', {}, titles.map(title => el('th', { scope: 'col' }, title)))),
            el('tbody', {}, rows.map(row => el('tr', {}, row.map(cell)))));
        }

        """
}
