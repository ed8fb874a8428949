/// What the page of `export` does. `RunExport` says what its data is.
enum RunPageScript {
    static let all = reading + moments + topology + lanes + journal + beginning

    /// The columns become events; what was true at which moment is found by going over them.
    private static let reading = #"""

        const data = pageData();
        const kinds = data.kinds;
        const names = data.names;
        const events = [];
        {
          const c = data.events;
          let number = 0, time = 0;
          for (let i = 0; i < c.n.length; i++) {
            number += c.n[i];
            time += c.t[i];
            const target = c.b[i] < 0 ? null : names[c.b[i]], cause = c.c[i] ? number - c.c[i] : 0;
            events.push({ number, time, kind: kinds[c.k[i]], place: names[c.a[i]], target, text: data.texts[c.x[i]],
              cause });
          }
        }
        const places = new Map(events.map((event, index) => [event.number, index]));
        const byId = id => document.getElementById(id);
        let now = Math.max(0, events.length - 1);

        function clock(time) {
          const milliseconds = Math.round(time / 1000);
          const two = number => String(number).padStart(2, '0');
          const seconds = Math.floor(milliseconds / 1000);
          const rest = '.' + String(milliseconds % 1000).padStart(3, '0');
          const hours = Math.floor(seconds / 3600);
          return '+' + (hours ? hours + ':' : '') + two(Math.floor(seconds / 60) % 60) + ':' + two(seconds % 60) + rest;
        }
        function moment() { return events.length ? events[now].time : 0; }
        function label(event) {
          return where(event) + ': ' + event.text;
        }
        function where(event) { return event.target ? event.place + ' → ' + event.target : event.place; }
        function kept(text) { return el('span', { class: 'kept' }, text); }
        function endsOf(event) { return event.target ? [event.place, event.target] : [event.place]; }

        """#

    private static let moments = #"""
        function go(index) {
          now = Math.min(events.length - 1, Math.max(0, index));
          byId('moment').value = now;
          if (document.activeElement !== byId('seconds')) byId('seconds').value = (moment() / 1e6).toFixed(3);
          show();
        }
        function lastUpTo(time) {
          let low = 0, high = events.length;
          while (low < high) {
            const middle = (low + high) >> 1;
            if (events[middle].time <= time) low = middle + 1; else high = middle;
          }
          return low - 1;
        }
        function show() {
          if (!events.length) return;
          const event = events[now];
          const count = ' (' + (now + 1) + ' of ' + events.length + '): ';
          const words = clock(event.time) + ', event ' + event.number + count;
          fill(byId('at'), words + label(event));
          byId('moment').setAttribute('aria-valuetext', words + label(event));
          showTopology();
          showLanes();
          showJournal();
        }

        """#

    /// States by the newest change of each node; lines by the messages of the last ten seconds, or of one stretch.
    private static let topology = #"""
        const ends = new Set(['killed', 'exited', 'stopped', 'lost power']);
        function statesNow() {
          const states = new Map(), faults = new Map();
          for (let i = 0; i <= now; i++) {
            const event = events[i];
            if (event.kind === 'node') states.set(event.place, event.text);
            if (event.kind !== 'fault') continue;
            const [, number, change, text] = /^fault (\d+) (\w+): (.*)$/s.exec(event.text) || [];
            if (change === 'injected') faults.set(number, text); else faults.delete(number);
          }
          return { states, faults };
        }
        function exchangedNow() {
          const t = data.traffic, end = Math.floor(moment() / 1e6 / t.step_s);
          const span = Math.max(1, Math.ceil(10 / t.step_s)), counts = new Map();
          for (let i = t.slots.length - 1; i >= 0 && t.slots[i] > end - span; i--) {
            if (t.slots[i] <= end) counts.set(t.pair[i], (counts.get(t.pair[i]) || 0) + t.count[i]);
          }
          return { counts, seconds: span * t.step_s };
        }
        function showTopology() {
          const { states, faults } = statesNow(), { counts, seconds } = exchangedNow();
          const lines = [...counts].map(([pair, count]) => {
            const [from, to] = data.traffic.pairs[pair];
            return { from: names[from], to: names[to], count };
          }).sort((a, b) => b.count - a.count).slice(0, 80);
          const shown = [...new Set([...states.keys(), ...lines.flatMap(line => [line.from, line.to])])].slice(0, 24);
          const height = shown.length > 8 ? 460 : 320;
          const at = new Map(shown.map((name, index) => {
            const angle = 2 * Math.PI * index / Math.max(1, shown.length) - Math.PI / 2;
            return [name, { x: 400 + 300 * Math.cos(angle), y: height / 2 + (height / 2 - 50) * Math.sin(angle) }];
          }));
          const drawn = [];
          for (const line of lines) {
            const from = at.get(line.from), to = at.get(line.to);
            if (!from || !to || line.from === line.to) continue;
            const x = from.x + (to.x - from.x) * .35, y = from.y + (to.y - from.y) * .35;
            drawn.push(svg('line', { x1: from.x, y1: from.y, x2: to.x, y2: to.y }),
              svg('text', { x, y, class: 'middle small' }, line.count + '→'));
          }
          for (const [name, place] of at) {
            const state = states.get(name), isGone = ends.has(state) || state === 'frozen';
            const kind = isGone ? 'bad' : state ? 'good' : null;
            drawn.push(svg('circle', { cx: place.x, cy: place.y, r: 22, class: kind }),
              svg('text', { x: place.x, y: place.y + 38, class: isGone ? 'middle bad' : 'middle' },
                name + (isGone ? ' ' + state : '')));
          }
          const words = shown.map(name => name + (states.has(name) ? ' ' + states.get(name) : '')).join(', ')
            + '. Messages in ' + seconds + ' seconds: '
            + (lines.slice(0, 20).map(line => line.from + ' to ' + line.to + ' ' + line.count).join(', ') || 'none');
          fill(byId('topology'),
            svg('svg', { viewBox: '0 0 800 ' + height, role: 'img', 'aria-label': words }, drawn));
          const list = [...faults.values()].join(', ');
          fill(byId('faults'), list ? 'Faults in force: ' + list : 'No faults in force.');
        }

        """#

    private static let lanes = #"""
        function showLanes() {
          const chosen = [];
          for (let i = now; i >= 0 && chosen.length < 24; i--) if (isShown(events[i], true)) chosen.push(events[i]);
          chosen.reverse();
          const lanes = [...new Set(chosen.flatMap(endsOf))].slice(0, 8);
          const width = 900, left = 80, step = (width - left) / Math.max(1, lanes.length), row = 20;
          const x = name => left + step * (lanes.indexOf(name) + .5);
          const height = 40 + row * chosen.length;
          const drawn = lanes.flatMap(name => [
            svg('line', { class: 'lane', x1: x(name), x2: x(name), y1: 28, y2: height }),
            svg('text', { class: 'middle', x: x(name), y: 18 }, cut(name, step / 7))]);
          chosen.forEach((event, index) => {
            if (!lanes.includes(event.place)) return;
            const y = 42 + row * index;
            const kind = event === events[now] ? 'newest small' : event.kind === 'failure' ? 'bad small' : 'small';
            drawn.push(svg('text', { class: 'small', x: 2, y: y + 3 }, clock(event.time)));
            if (event.target && lanes.includes(event.target) && event.target !== event.place) {
              const from = x(event.place), to = x(event.target), way = Math.sign(to - from);
              drawn.push(svg('line', { x1: from, y1: y, x2: to, y2: y }),
                svg('line', { x1: to, y1: y, x2: to - way * 6, y2: y - 4 }),
                svg('line', { x1: to, y1: y, x2: to - way * 6, y2: y + 4 }),
                svg('text', { class: kind + ' middle', x: (from + to) / 2, y: y - 3 }, cut(event.text, 24)));
            } else {
              const room = (width - x(event.place)) / 5.5;
              drawn.push(svg('text', { class: kind, x: x(event.place) + 4, y: y + 3 }, cut(event.text, room)));
            }
          });
          const words = 'The last ' + chosen.length + ' events by node; the journal below has them as text';
          fill(byId('lanes'),
            svg('svg', { viewBox: '0 0 ' + width + ' ' + height, role: 'img', 'aria-label': words }, drawn));
        }
        function cut(text, limit) { return text.length > limit ? text.slice(0, Math.max(1, limit - 1)) + '…' : text; }

        """#

    private static let journal = #"""
        const rowLimit = 100;
        function isShown(event, ignoresText) {
          const node = byId('node').value, kind = byId('kind').value, text = byId('text').value.toLowerCase();
          if (kind === '' && event.kind === 'message') return false;
          if (kind !== '' && kind !== 'all' && event.kind !== kind) return false;
          if (node && event.place !== node && event.target !== node) return false;
          return ignoresText || !text || label(event).toLowerCase().includes(text);
        }
        function rowOf(event) {
          return [kept(clock(event.time)), where(event), event.text,
            el('button', { type: 'button', 'aria-label': 'Why event ' + event.number, onclick: () => why(event) },
              String(event.number))];
        }
        function showJournal() {
          const rows = [];
          let i = now;
          for (; i >= 0 && rows.length < rowLimit; i--) if (isShown(events[i], false)) rows.push(rowOf(events[i]));
          fill(byId('journal'), rows.length
            ? table(i >= 0 ? 'The last ' + rows.length + ', newest first' : 'Newest first',
                ['Time', 'Where', 'What', 'Why'], rows)
            : el('p', { class: 'faint' }, 'Nothing of that so far.'));
        }
        function why(event) {
          const chain = [event];
          while (chain.length < 200 && places.has(chain[0].cause)) chain.unshift(events[places.get(chain[0].cause)]);
          fill(byId('why'),
            table('What led to event ' + event.number + ', oldest first', ['Time', 'Where', 'What', 'Go there'],
              chain.map(one => [kept(clock(one.time)), where(one), one.text,
                el('button', { type: 'button', 'aria-label': 'Go to event ' + one.number,
                  onclick: () => go(places.get(one.number)) }, String(one.number))])));
          byId('why-title').focus();
        }

        """#

    private static let beginning = #"""
        {
          const start = new Date(data.epoch_ms).toISOString().slice(0, 19).replace('T', ' ');
          const first = events.length ? clock(events[0].time) : 'nothing';
          fill(byId('facts'), 'Begun at ' + start + ' UTC with seed ' + data.seed + '; ' + clock(data.elapsed_us)
            + ' of it, from ' + first + ' on; ' + events.length + ' events'
            + (data.left_out ? '; ' + data.left_out : '') + '.');
          byId('moment').max = Math.max(0, events.length - 1);
          for (const form of ['controls', 'filter']) byId(form).onsubmit = event => event.preventDefault();
          byId('moment').oninput = () => go(Number(byId('moment').value));
          byId('first').onclick = () => go(0);
          byId('last').onclick = () => go(events.length - 1);
          byId('previous').onclick = () => go(step(-1));
          byId('next').onclick = () => go(step(1));
          byId('seconds').onchange = () => go(lastUpTo(Number(byId('seconds').value) * 1e6));
          for (const id of ['text', 'node', 'kind']) byId(id).oninput = () => { showLanes(); showJournal(); };
          const seen = [...new Set(events.flatMap(endsOf))];
          byId('node').append(...seen.slice(0, 500).map(name => el('option', { value: name }, name)));
          byId('kind').append(...kinds.map(kind => el('option', { value: kind }, kind)));
          const typed = events.filter(event => event.kind === 'command').slice(-500);
          fill(byId('typed'), typed.length
            ? table('Commands, oldest first', ['Time', 'Command', 'Go there'], typed.map(event => [
                kept(clock(event.time)), event.text,
                el('button', { type: 'button', 'aria-label': 'Go to command ' + event.number,
                  onclick: () => go(places.get(event.number)) }, String(event.number))]))
            : el('p', { class: 'faint' }, 'Nothing.'));
          go(now);
          if (!events.length) fill(byId('at'), 'Nothing has happened.');
        }
        /* To the nearest event that the journal shows. */
        function step(way) {
          let index = now + way;
          while (index >= 0 && index < events.length && !isShown(events[index], true)) index += way;
          return index < 0 || index >= events.length ? now : index;
        }

        """#
}
