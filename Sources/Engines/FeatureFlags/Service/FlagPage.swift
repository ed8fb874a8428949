import KernelPages

/// The page for people at `/`: makes flags, rolls them out, targets them, asks who sees them and why, and follows what
/// changes.
enum FlagPage {
    static let page = Page(title: "Feature flags", body: body, script: script)

    private static let body = """
        <form id="where" aria-label="Where">
        <label>Environment <select id="environment"></select></label>
        <label>Token <input id="token" type="password" autocomplete="off" placeholder="none"></label>
        </form>
        <section id="flags" aria-label="Flags"></section>
        <h2>A new flag</h2>
        <form id="create">
        <label>Name <input name="name" required maxlength="100" pattern="[A-Za-z0-9._~\\-]+"></label>
        <label>Type <select name="type"><option>boolean</option><option>variant</option></select></label>
        <label>Kind <select name="kind"><option>release</option><option>experiment</option><option>operational</option>
        <option>kill-switch</option><option>permission</option></select></label>
        <button>Create</button>
        </form>
        <h2>Audit log</h2>
        <section id="audit" aria-label="Audit log"></section>
        <dialog id="details" aria-labelledby="details-title"></dialog>
        """

    private static let script = #"""

        const at = id => document.getElementById(id);
        const environment = () => encodeURIComponent(at('environment').value);
        const of = (name, rest) => '/api/flags/' + encodeURIComponent(name) + rest + '?env=' + environment();
        let source = null;

        async function change(method, path, body) {
          await run(async () => {
            const answer = await api(method, path, body);
            say(((answer && answer.log) || ['Done']).join(' '));
            await show();
          });
        }

        function row(flag) {
          const isOn = flag.status === 'on';
          const percent = el('input', { type: 'number', min: 0, max: 100, value: flag.percent, required: true,
            'aria-label': 'Percent of ' + flag.name });
          const form = el('form', { onsubmit: event => {
            event.preventDefault();
            change('PUT', of(flag.name, '/rollout'), { percent: Number(percent.value) });
          } }, percent, el('button', { 'aria-label': 'Set percent of ' + flag.name }, 'Set'));
          return [
            el('button', { onclick: () => run(() => details(flag.name)) }, flag.name), flag.kind,
            el('button', { 'aria-pressed': String(isOn), 'aria-label': flag.name + ' is ' + flag.status,
              'data-key': 'switch ' + flag.name,
              onclick: () => change('POST', of(flag.name, isOn ? '/disable' : '/enable')) }, flag.status),
            form, flag.rules, (flag.variants || []).join(', '),
            el('button', { class: 'bad', 'aria-label': 'Kill ' + flag.name,
              onclick: () => change('POST', of(flag.name, '/kill')) }, 'Kill'),
          ];
        }

        async function show() {
          const [flags, audit] = await Promise.all([
            api('GET', '/api/flags?env=' + environment()), api('GET', '/api/audit?limit=20')]);
          fill(at('flags'), flags.length
            ? table(counted(flags.length, 'flag'), ['Flag', 'Kind', 'Status', 'Percent', 'Rules', 'Variants', ''],
              flags.map(row))
            : el('p', { class: 'faint' }, 'No flags yet.'));
          fill(at('audit'), table('The last changes', ['Time', 'Who', 'Flag', 'Where', 'What'], audit.reverse().map(
            one => [one.createdAt, one.createdBy, one.featureName || '', one.environment || '', one.text])));
        }

        async function details(name) {
          const [flag, stats] = await Promise.all([
            api('GET', of(name, '')), api('GET', of(name, '/stats'))]);
          const state = flag.environments[at('environment').value] || { strategies: [], variants: [] };
          const rules = [...new Set(state.strategies.map(one => one.title).filter(Boolean))];
          const rule = el('input', { name: 'rule', size: 40, required: true, placeholder: 'user.country == "US"' });
          const percent = el('input', { name: 'percent', type: 'number', min: 0, max: 100, value: 100 });
          const user = el('input', { name: 'user', size: 40, required: true, value: '{"id": "123"}' });
          const output = el('pre', { role: 'status', hidden: true });
          const again = async work => run(async () => { await work(); await show(); await details(name); });
          showDialog(at('details'),
            el('h2', { id: 'details-title' }, name),
            el('p', {}, counted(stats.evaluations, 'evaluation') + ' in 24 hours, ' + stats.enabled + ' enabled'),
            table('Rules', ['Who', ''], rules.map(text => [text, el('button', { class: 'bad', onclick: () => again(
              () => api('DELETE', of(name, '/rules') + '&rule=' + encodeURIComponent(text))) }, 'Remove')])),
            el('form', { onsubmit: event => {
              event.preventDefault();
              again(() => api('POST', of(name, '/rules'), { rule: rule.value, percent: Number(percent.value) }));
            } }, el('label', {}, 'Rule', rule), el('label', {}, 'Percent', percent), el('button', {}, 'Add')),
            state.variants.length ? table('Variants', ['Name', 'Weight'],
              state.variants.map(one => [one.name, one.weight])) : null,
            el('form', { onsubmit: event => {
              event.preventDefault();
              run(async () => {
                let context = user.value;
                try { context = JSON.parse(user.value); } catch (error) { context = { id: user.value }; }
                if (typeof context !== 'object') context = { id: user.value };
                const why = await api('POST', of(name, '/explain'), context);
                output.hidden = false;
                output.textContent = (why.enabled ? 'ENABLED' : 'DISABLED') + ', because ' + why.reason + '\n'
                  + why.strategies.map(one => (one.met ? 'met: ' : 'not met: ') + (one.title || one.name)
                    + (one.rollout ? ', bucket ' + one.rollout.bucket + ' of ' + one.rollout.percent + '%' : '')
                    + one.constraints.map(c => '\n  ' + (c.met ? 'met: ' : 'not met: ') + c.text).join('')).join('\n')
                  + (why.variant ? '\nvariant ' + why.variant.name : '');
              });
            } }, el('label', {}, 'User', user), el('button', {}, 'Explain')),
            output);
        }

        function follow() {
          if (source) source.close();
          source = live('/ofrep/v1/stream?environment=' + environment(), show);
        }

        async function begin() {
          const names = await api('GET', '/api/environments');
          const chosen = at('environment').value;
          fill(at('environment'), names.map(name => el('option', { selected: name === chosen }, name)));
          await show();
          follow();
        }

        at('where').onsubmit = event => event.preventDefault();
        at('environment').onchange = () => { run(show); follow(); };
        at('token').onchange = () => {
          credentials.token = at('token').value;
          sessionStorage.setItem('token', credentials.token);
          run(begin);
        };
        at('create').onsubmit = event => {
          event.preventDefault();
          const form = new FormData(at('create'));
          run(async () => {
            await api('POST', '/api/flags', Object.fromEntries(form));
            at('create').reset();
            say('Flag ' + form.get('name') + ' created, off everywhere');
            await show();
          });
        };
        run(begin);

        """#
}
