import TestSupport
import Testing

/// The shop's page in a browser, before the whole platform on sockets of this machine.
extension BrowserTests {
    @Test("the shop's page: look, fill the cart, buy, be declined, and see what that has led to")
    func storefront() throws {
        let directory = try ProgramDirectory()
        let platform = try ProgramProcess(
            ["--no-rc", "--root", directory.path, "--net", "loopback", "--clock", "real"],
            input: "docker-compose up\nnodes --json\nsleep 100000\n")
        try platform.waitFor("\"node\": \"shop\"")
        let nodes = platform.output.split(separator: "\n").last { $0.hasPrefix("[{") } ?? "[]"
        #expect(try ProgramBrowser.run("NODES = \(nodes.debugDescription)\n" + Self.storefrontProgram) == "ok\n")
        withExtendedLifetime((platform, directory)) {}
    }

    private static let storefrontProgram = #"""
        place = next(one['address'] for one in json.loads(NODES) if one['node'] == 'shop')
        # The gateway asks the registry who is well, and that looks now and then.
        def status():
            try:
                request = urllib.request.Request('http://%s/api/login' % place, data=b'{}')
                return urllib.request.urlopen(request, timeout=20).status
            except urllib.error.HTTPError as error:
                return error.code
        start = time.monotonic()
        while status() in (502, 503):
            assert time.monotonic() - start < 30
            time.sleep(0.2)
        with Browser() as browser:
            page = browser.open('http://%s/' % place)
            page.wait_for_text('Laptop', '#products')
            page.wait_for_text('Nothing yet.', '#cart')
            check_page(page)
            page.choose('#category', 'books')
            page.wait("!document.querySelector('#products').textContent.includes('Laptop')")
            page.choose('#category', '')
            page.wait_for_text('Laptop', '#products')
            page.click('[aria-label="Add Laptop"]')
            page.click('[aria-label="Add Laptop"]')
            page.wait_for_text('Together $1998', '#cart')
            page.type('#email', 'page@example.com')
            page.press('Enter')
            page.wait_for_text('Order o1 is confirmed: $1998', '#status')
            page.wait_for_text('o1', '#orders')
            # Behind the scenes: the trace goes through the services, the topology shows them, the books are right.
            page.wait_for_text('The books are in order.', '#ledger')
            page.wait_for_text('1 confirmed', '#ledger')
            words = "document.querySelector('%s svg').getAttribute('aria-label').includes('%s')"
            page.wait(words % ('#trace', 'payments'))
            page.wait(words % ('#topology', 'orders calls inventory'))
            page.click('[aria-label="Add Phone"]')
            page.choose('#card', 'card_insufficient_funds')
            page.click('#pay')
            page.wait_for_text('Order o2 failed: payment_declined', '#status')
            page.wait_for_text('1 failed', '#ledger')
            # What was not sold is still in the cart.
            page.click('[aria-label="Remove Phone"]')
            page.wait_for_text('Nothing yet.', '#cart')
            check_page(page, expected_errors=['402'])
        print('ok')
        """#
}
