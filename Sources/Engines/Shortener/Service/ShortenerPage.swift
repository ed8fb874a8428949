import KernelPages

/// The page for people at `/`: makes links, finds them, and shows what has become of each.
enum ShortenerPage {
    static let page = Page(title: "Short links", body: body, style: style, script: listing + details)

    private static let style = """

        img.code { background: #fff; width: 10rem; height: 10rem; display: block; }

        """

    private static let body = """
        <form id="who" aria-label="Who">
        <label>API key <input id="token" type="password" autocomplete="off" placeholder="none"></label>
        </form>
        <form id="shorten" aria-label="A new link">
        <label>Address <input name="url" size="40" required maxlength="8000" placeholder="https://example.com/"></label>
        <label>Alias <input name="alias" maxlength="64" pattern="[A-Za-z0-9_\\-]+"></label>
        <label>Over at <input name="expires_at" type="datetime-local"></label>
        <label>Visits at most <input name="max_visits" type="number" min="1"></label>
        <label>Status <select name="redirect"><option value="">usual</option><option>301</option><option>302</option>
        <option>307</option><option>308</option></select></label>
        <label>Title <input name="title" maxlength="512"></label>
        <label>Tags <input name="tags"></label>
        <button>Shorten</button>
        </form>
        <h2>Links</h2>
        <form id="find" role="search"><label>Find <input name="searchTerm" type="search"></label>
        <button>Find</button></form>
        <section id="links" aria-label="Links"></section>
        <p id="pages"></p>
        <dialog id="details" aria-labelledby="details-title"></dialog>
        """

    private static let listing = #"""

        const at = id => document.getElementById(id);
        let page = 1;
        let shown = '';

        const link = address => el('a', { href: address, rel: 'noreferrer' }, address);
        const when = text => text ? text.replace('T', ' ').replace(/(\.\d+)?Z$/, '') : '';

        function row(one) {
          return [
            el('button', { 'data-key': 'open ' + one.shortCode, onclick: () => run(() => details(one.shortCode)) },
              one.shortCode),
            link(one.longUrl), one.title, one.tags.join(', '), when(one.dateCreated), one.visitsSummary.total];
        }

        async function show() {
          const term = encodeURIComponent(at('find').elements.searchTerm.value);
          const answer = await api('GET', '/rest/v3/short-urls?itemsPerPage=20&page=' + page + '&searchTerm=' + term);
          const { data, pagination } = answer.shortUrls;
          const text = JSON.stringify(answer);
          // What is the same is left alone: whoever reads it, or is about to click, is not disturbed.
          if (text === shown) return;
          shown = text;
          fill(at('links'), data.length
            ? table(counted(pagination.totalItems, 'link') + ', the newest first',
              ['Code', 'Leads to', 'Title', 'Tags', 'Made', 'Visits'], data.map(row))
            : el('p', { class: 'faint' }, 'No links.'));
          const turn = (name, by, can) => el('button', { disabled: !can, onclick: () => {
            page += by;
            run(show);
          } }, name);
          fill(at('pages'), pagination.pagesCount > 1 ? [
            turn('Newer', -1, page > 1), ' page ' + page + ' of ' + pagination.pagesCount + ' ',
            turn('Older', 1, page < pagination.pagesCount)] : null);
        }

        function wanted(form) {
          const wish = { url: form.get('url') };
          for (const name of ['alias', 'title']) if (form.get(name)) wish[name] = form.get(name);
          if (form.get('expires_at')) wish.expires_at = new Date(form.get('expires_at')).toISOString();
          for (const name of ['max_visits', 'redirect']) if (form.get(name)) wish[name] = Number(form.get(name));
          const tags = form.get('tags').split(/[\s,]+/).filter(Boolean);
          if (tags.length) wish.tags = tags;
          return wish;
        }

        at('who').onsubmit = event => event.preventDefault();
        at('token').onchange = () => {
          credentials.token = at('token').value;
          sessionStorage.setItem('token', credentials.token);
          shown = '';
          run(show);
        };
        at('find').onsubmit = event => {
          event.preventDefault();
          page = 1;
          run(show);
        };
        at('shorten').onsubmit = event => {
          event.preventDefault();
          run(async () => {
            const made = await api('POST', '/api/shorten', wanted(new FormData(at('shorten'))));
            at('shorten').reset();
            say('Made ' + made.short_url);
            page = 1;
            await show();
          });
        };
        at('token').value = credentials.token;

        """#

    private static let details = #"""
        async function details(code) {
          const path = encodeURIComponent(code);
          const [one, stats, history, visits, rules] = await Promise.all([
            api('GET', '/api/links/' + path), api('GET', '/api/stats/' + path + '?details'),
            api('GET', '/api/links/' + path + '/history'),
            api('GET', '/rest/v3/short-urls/' + path + '/visits?itemsPerPage=10'),
            api('GET', '/rest/v3/short-urls/' + path + '/redirect-rules')]);
          const points = object => Object.entries(object);
          const again = work => run(async () => { await work(); await show(); await details(code); });
          const change = body => again(() => api('PATCH', '/api/links/' + path, body));
          showDialog(at('details'),
            el('h2', { id: 'details-title' }, code),
            el('p', {}, link(one.short_url), ' leads to ', link(one.original_url)),
            el('p', {}, counted(stats.clicks, 'visit') + ', about ' + counted(stats.unique_visitors, 'visitor')
              + ', ' + stats.bots + ' by bots'
              + (one.expires_at ? '; over at ' + when(one.expires_at) : '')
              + (one.max_visits ? '; at most ' + counted(one.max_visits, 'visit') : '')),
            el('img', { class: 'code', src: '/' + path + '/qr-code?format=svg', alt: 'QR code of ' + one.short_url }),
            chart('Visits by day', points(stats.clicks_by_day)),
            bars('Where from', 'Referrer', points(stats.clicks_by_referrer).slice(0, 10)),
            bars('By what', 'Program', points(stats.clicks_by_agent)),
            table('The last visits', ['Time', 'From', 'Program'], visits.visits.data.map(
              visit => [when(visit.date), visit.referer || 'direct', visit.userAgent])),
            edit(one, change), ruleForm(path, rules, again),
            table('Changes', ['Time', 'What'], history.map(entry => [when(entry.changed_at), entry.what])),
            el('button', { class: 'bad', onclick: () => run(async () => {
              await api('DELETE', '/api/links/' + path);
              at('details').close();
              say(code + ' is deleted');
              await show();
            }) }, 'Delete ' + code));
        }

        function edit(one, change) {
          const url = el('input', { name: 'new-url', size: 40, required: true, value: one.original_url });
          const title = el('input', { name: 'new-title', maxlength: 512, value: one.title || '' });
          return el('form', { 'aria-label': 'Change', onsubmit: event => {
            event.preventDefault();
            change({ url: url.value, title: title.value || null });
          } }, el('label', {}, 'Leads to', url), el('label', {}, 'Title', title), el('button', {}, 'Change'));
        }

        function ruleForm(path, rules, again) {
          const all = rules.redirectRules.map(({ longUrl, conditions }) => ({ longUrl, conditions }));
          const set = list => again(() => api('POST', '/rest/v3/short-urls/' + path + '/redirect-rules',
            { redirectRules: list }));
          const kind = el('select', { name: 'kind' }, ['device', 'language', 'ip-address', 'before-date', 'after-date']
            .map(name => el('option', {}, name)));
          const value = el('input', { name: 'value', required: true, placeholder: 'ios' });
          const target = el('input', { name: 'target', size: 30, required: true });
          const words = one => one.type + ' ' + [one.matchKey, one.matchValue].filter(text => text != null).join('=');
          return el('section', { 'aria-label': 'Rules' },
            table('Who goes elsewhere', ['Who', 'Where', ''], all.map((rule, index) => [
              rule.conditions.map(words).join(' and '), rule.longUrl,
              el('button', { class: 'bad', 'aria-label': 'Remove rule ' + (index + 1),
                onclick: () => set(all.filter((_, other) => other !== index)) }, 'Remove')])),
            el('form', { 'aria-label': 'A new rule', onsubmit: event => {
              event.preventDefault();
              set(all.concat({ longUrl: target.value,
                conditions: [{ type: kind.value, matchKey: null, matchValue: value.value }] }));
            } }, el('label', {}, 'Whose', kind), el('label', {}, 'is', value), el('label', {}, 'goes to', target),
              el('button', {}, 'Add rule')));
        }

        run(show);
        every(3000, show);

        """#
}
