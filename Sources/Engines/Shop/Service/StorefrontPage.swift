import KernelPages

/// The page at `http://shop/`: products, cart and checkout for customers; who calls whom, the last checkout's trace and
/// the books for those who run it.
enum StorefrontPage {
    static let page = Page(
        title: "The shop", body: body, style: style, script: customers + trace + topology + board)

    private static let style = """

        main { max-width: 80rem; }
        @media (min-width: 64rem) { .sides { display: grid; grid-template-columns: 1fr 1fr; gap: 2rem; } }
        .sides > section { min-width: 0; } .quantity { width: 5rem; }
        svg.drawing { width: 100%; min-width: 34rem; display: block; } svg text { fill: var(--ink); font-size: 12px; }
        svg .edge { stroke: var(--faint); } svg .node { fill: var(--field); stroke: var(--line); }
        svg .node.good { stroke: var(--good); } svg .node.bad { stroke: var(--bad); stroke-width: 3; }
        svg .span { fill: var(--accent); } svg .span.bad { fill: var(--bad); }

        """

    private static let body = """
        <div class="sides">
        <section aria-labelledby="buy-title">
        <h2 id="buy-title">Buy</h2>
        <form id="filter">
        <label>Search <input id="search" maxlength="100"></label>
        <label>Category <select id="category"><option value="">all</option></select></label>
        <button>Show</button>
        </form>
        <div id="products"></div>
        <h2>Cart</h2>
        <div id="cart"></div>
        <form id="checkout">
        <label>E-mail <input id="email" type="email" required maxlength="254" autocomplete="email"></label>
        <label>Card <select id="card"><option value="card_xxx">a good one</option>
        <option value="card_insufficient_funds">without funds</option>
        <option value="card_declined">declined</option></select></label>
        <button id="pay">Buy</button>
        </form>
        <h2>My orders</h2>
        <div id="orders"></div>
        </section>
        <section aria-labelledby="run-title">
        <h2 id="run-title">Behind the scenes</h2>
        <p id="missing" class="faint"></p>
        <h3>Who calls whom</h3>
        <div id="topology"></div>
        <h3>The last checkout</h3>
        <div id="trace"></div>
        <h3>The books</h3>
        <div id="ledger"></div>
        </section>
        </div>
        """

    private static let customers = #"""

        const at = id => document.getElementById(id);
        const cart = new Map();
        let catalogue = [];
        // The same for every repetition of one purchase: whoever presses twice buys once.
        let purchase = null;
        const dollars = amount => '$' + (Math.round(amount * 100) / 100).toFixed(amount % 1 ? 2 : 0);
        const newKey = () => Date.now().toString(36) + Math.random().toString(36).slice(2);

        async function showProducts() {
          const query = new URLSearchParams();
          if (at('category').value) query.set('category', at('category').value);
          if (at('search').value) query.set('q', at('search').value);
          catalogue = (await api('GET', '/api/products?' + query)).products;
          fill(at('products'), table(catalogue.length + ' products', ['Product', 'Price', 'In stock', ''],
            catalogue.map(one => [one.name, dollars(one.price), one.stock == null ? '?' : one.stock,
              el('button', { 'aria-label': 'Add ' + one.name, disabled: one.stock === 0, onclick: () => add(one) },
                'Add')])));
        }

        function add(product) {
          const line = cart.get(product.id) || { product, quantity: 0 };
          line.quantity += 1;
          cart.set(product.id, line);
          purchase = null;
          say(product.name + ' is in the cart');
          showCart();
        }

        function showCart() {
          const lines = [...cart.values()];
          const total = lines.reduce((sum, line) => sum + line.product.price * line.quantity, 0);
          at('pay').disabled = lines.length === 0;
          fill(at('cart'), lines.length ? table('Together ' + dollars(total), ['Product', 'Pieces', 'Price', ''],
            lines.map(({ product, quantity }) => [product.name,
              el('input', { class: 'quantity', type: 'number', min: 1, max: 10000, value: quantity,
                'aria-label': 'Pieces of ' + product.name, onchange: event => {
                  cart.get(product.id).quantity = Math.max(1, Math.min(10000, Number(event.target.value) || 1));
                  purchase = null;
                  showCart();
                } }),
              dollars(product.price * quantity),
              el('button', { class: 'bad', 'aria-label': 'Remove ' + product.name, onclick: () => {
                cart.delete(product.id);
                purchase = null;
                showCart();
              } }, 'Remove')])) : el('p', { class: 'faint' }, 'Nothing yet.'));
        }

        async function signIn() {
          if (credentials.token && sessionStorage.getItem('email') === at('email').value) return;
          credentials.token = '';
          const user = await api('POST', '/api/register', { email: at('email').value });
          credentials.token = 'Bearer ' + user.token;
          sessionStorage.setItem('token', credentials.token);
          sessionStorage.setItem('email', at('email').value);
        }

        function signOut() {
          credentials.token = '';
          sessionStorage.removeItem('token');
          sessionStorage.removeItem('email');
        }

        async function buy() {
          await signIn();
          purchase = purchase || newKey();
          const items = [...cart.values()].map(line => ({ product_id: line.product.id, quantity: line.quantity }));
          const answer = await fetch('/api/checkout', { method: 'POST', body: JSON.stringify(
            { items, payment_method: at('card').value }), headers: { Accept: 'application/json',
            'Content-Type': 'application/json', Authorization: credentials.token, 'Idempotency-Key': purchase } });
          const order = JSON.parse(await answer.text() || '{}');
          if (answer.status === 401) {
            signOut();
            throw new Error('Signed out, for it was a while ago. Buy again.');
          }
          // Nobody knows what became of it: the next attempt is the same purchase.
          if (!order.order_id) throw new Error(order.detail || order.error || 'no answer; try again');
          purchase = null;
          if (order.status === 'failed') throw new Error('Order ' + order.order_id + ' failed: ' + order.error);
          cart.clear();
          showCart();
          say('Order ' + order.order_id + ' is ' + order.status + ': ' + dollars(order.total));
        }

        async function showOrders() {
          if (!credentials.token) return fill(at('orders'), el('p', { class: 'faint' }, 'None yet.'));
          const { orders } = await api('GET', '/api/orders?limit=10');
          fill(at('orders'), table(orders.length + ' orders', ['Order', 'Status', 'Total', ''], orders.map(
            one => [one.order_id, one.status, dollars(one.total), one.error || ''])));
        }

        """#

    /// Bars over time, one a span.
    private static let trace = #"""

        function drawTrace(trace) {
          if (!trace) return el('p', { class: 'faint' }, 'No checkout yet.');
          const service = span => trace.processes[span.processID].serviceName;
          const isBad = span => span.tags.some(tag => tag.key === 'error' && tag.value);
          const spans = [...trace.spans].sort((a, b) => a.startTime - b.startTime).slice(0, 60);
          const begin = spans[0].startTime;
          const length = Math.max(1, ...spans.map(span => span.startTime + span.duration - begin));
          const title = trace.spans.length + ' spans, ' + (length / 1000).toFixed(1) + ' ms, '
            + new Set(spans.map(service)).size + ' services';
          return el('figure', {}, el('figcaption', {}, title),
            el('div', { class: 'wide', tabindex: 0, role: 'region', 'aria-label': 'Trace of the last checkout' },
              svg('svg', { class: 'drawing', viewBox: '0 0 640 ' + spans.length * 18, role: 'img',
                'aria-label': title + ': ' + spans.map(span => service(span) + ' ' + span.operationName).join(', ') },
                spans.map((span, row) => svg('g', {},
                  svg('text', { x: 0, y: row * 18 + 13 }, service(span) + ' ' + span.operationName.slice(0, 28)),
                  svg('rect', { class: isBad(span) ? 'span bad' : 'span', y: row * 18 + 3, height: 12,
                    x: 300 + (span.startTime - begin) / length * 338,
                    width: Math.max(2, span.duration / length * 338) },
                    svg('title', {}, span.operationName + ', ' + span.duration / 1000 + ' ms')))))));
        }

        """#

    /// Services in columns, by how far they are from where requests come in.
    private static let topology = #"""

        function depths(calls) {
          const depth = new Map();
          for (const { parent, child } of calls) { depth.set(parent, 0); depth.set(child, 0); }
          // Longest ways; a circle ends with the number of services.
          for (let round = 0; round < depth.size; round += 1) {
            for (const { parent, child } of calls) {
              const next = depth.get(parent) + 1;
              if (parent !== child && depth.get(child) < next && next < depth.size) depth.set(child, next);
            }
          }
          return depth;
        }

        function drawTopology(calls, health) {
          const depth = depths(calls);
          if (!depth.size) return el('p', { class: 'faint' }, 'Nobody has called anybody in the last ten minutes.');
          const state = new Map();
          for (const check of health) {
            if (!check.ServiceName) continue;
            const isBad = check.Status !== 'passing' || state.get(check.ServiceName) === 'bad';
            state.set(check.ServiceName, isBad ? 'bad' : 'good');
          }
          const columns = [...new Set([...depth.values()])].sort((a, b) => a - b);
          const place = new Map();
          let most = 0;
          columns.forEach((value, column) => {
            const names = [...depth.keys()].filter(name => depth.get(name) === value).sort();
            most = Math.max(most, names.length);
            names.forEach((name, row) => place.set(name, [column * 640 / columns.length + 4, row * 44 + 6]));
          });
          const width = Math.min(120, 640 / columns.length - 40);
          const words = calls.map(one => one.parent + ' calls ' + one.child + ' ' + one.callCount + ' times')
            .join(', ');
          return el('div', { class: 'wide', tabindex: 0, role: 'region', 'aria-label': 'Who calls whom' },
            svg('svg', { class: 'drawing', viewBox: '0 0 640 ' + (most * 44 + 6), role: 'img', 'aria-label': words },
              calls.map(({ parent, child, callCount }) => {
                const [x, y] = place.get(parent), [u, v] = place.get(child);
                return svg('line', { class: 'edge', x1: x + width, y1: y + 15, x2: u, y2: v + 15 },
                  svg('title', {}, parent + ' → ' + child + ': ' + callCount));
              }),
              [...place].map(([name, [x, y]]) => svg('g', {},
                svg('rect', { class: 'node ' + (state.get(name) || ''), x, y, width, height: 30, rx: 4 }),
                svg('text', { x: x + 8, y: y + 20 }, (state.get(name) === 'bad' ? '! ' : '') + name)))));
        }

        """#

    private static let board = #"""

        const minor = amount => dollars(amount / 100);
        function drawLedger(ledger) {
          if (!ledger) return el('p', { class: 'faint' }, 'Not to be had at present.');
          return el('div', {},
            el('p', { class: ledger.complaints.length ? 'bad' : 'good' },
              ledger.complaints.length ? ledger.complaints.join('; ') : 'The books are in order.'),
            el('p', {}, ledger.orders + ' orders: ' + ledger.confirmed + ' confirmed, ' + ledger.failed + ' failed, '
              + ledger.pending + ' under way. Charged ' + minor(ledger.charged_minor) + ', refunded '
              + minor(ledger.refunded_minor) + ', confirmed ' + minor(ledger.confirmed_minor) + '.'),
            table('Pieces', ['Product', 'Received', 'Available', 'Reserved', 'Sold'], ledger.stock.map(
              one => [one.product_id, one.received, one.available, one.reserved, one.sold])));
        }

        async function showBoard() {
          const ops = await api('GET', '/ops');
          at('missing').textContent =
            ops.ready && ops.missing.length ? 'No answer about: ' + ops.missing.join(', ') : '';
          if (!ops.ready) return;
          fill(at('topology'), drawTopology(ops.calls, ops.health));
          fill(at('trace'), drawTrace(ops.trace));
          fill(at('ledger'), drawLedger(ops.ledger));
        }

        at('filter').onsubmit = event => { event.preventDefault(); run(showProducts); };
        at('category').onchange = () => run(showProducts);
        at('checkout').onsubmit = event => {
          event.preventDefault();
          at('pay').disabled = true;
          run(buy).then(() => { at('pay').disabled = cart.size === 0; run(showProducts); run(showOrders); });
        };
        at('email').value = sessionStorage.getItem('email') || '';
        showCart();
        run(async () => {
          const { categories } = await api('GET', '/api/categories');
          at('category').append(...categories.map(one => el('option', { value: one.id }, one.title || one.id)));
        });
        run(showProducts);
        run(showOrders);
        run(showBoard);
        every(2000, showBoard);

        """#
}
