import TestSupport
import Testing

/// The pages of the lab in a browser, used as people use them: by keys and by clicks.
extension BrowserTests {
    @Test("the flags' page: create, roll out, target, explain, kill, and an application that sees it")
    func flags() throws {
        let port = try ProgramPort.free()
        let directory = try ProgramDirectory()
        let server = try ProgramProcess(["feature-flags", "--port", "\(port)", "--data-dir", directory.path + "/data"])
        try server.waitFor("Listening")
        #expect(try ProgramBrowser.run("PORT, CACHE = \(port), '\(directory.path)'\n" + Self.flagsProgram) == "ok\n")
        withExtendedLifetime((server, directory)) {}
    }

    private static let flagsProgram = #"""
        from UnleashClient import UnleashClient
        import logging
        logging.disable(logging.CRITICAL)
        application = UnleashClient('http://127.0.0.1:%d/api' % PORT, 'shop', custom_headers={'Authorization': 'key'},
            cache_directory=CACHE + '/cache', refresh_interval=600, experimental_mode={'type': 'streaming'})
        application.initialize_client()
        def sees(flag, expected):
            start = time.monotonic()
            while application.is_enabled(flag, {'userId': '7'}) != expected:
                assert time.monotonic() - start < 10, (flag, expected)
                time.sleep(0.005)
        with Browser() as browser:
            page = browser.open('http://127.0.0.1:%d/' % PORT)
            page.wait_for_text('No flags yet.')
            check_page(page)
            # By keys alone: the form, and what it answers.
            page.type('#create input[name=name]', 'new-checkout-flow')
            page.press('Enter')
            page.wait_for_text('Flag new-checkout-flow created', '#status')
            page.wait_for_text('new-checkout-flow', '#flags')
            page.type('input[aria-label="Percent of new-checkout-flow"]', '100')
            page.press('Enter')
            page.wait_for_text('0% → 100%', '#status')
            sees('new-checkout-flow', True)
            # The list is made anew (after it was said), and the focus stays where the hands are.
            page.wait('document.querySelector("#flags button[aria-pressed=true]")')
            assert page.js('document.activeElement.getAttribute("aria-label")') == 'Percent of new-checkout-flow'
            page.focus('#flags button[aria-label^="new-checkout-flow is"]')
            page.press('Space')
            page.wait('document.querySelector("#flags button[aria-pressed=false]")')
            sees('new-checkout-flow', False)
            page.press('Space')
            page.wait('document.querySelector("#flags button[aria-pressed=true]")')
            sees('new-checkout-flow', True)
            check_page(page)
            # Whom, and why.
            page.click('#flags td button')
            page.wait('document.querySelector("dialog[open]")')
            page.type('dialog input[name=rule]', 'user.country == "US"')
            page.type('dialog input[name=percent]', '50')
            page.press('Enter')
            page.wait('document.querySelector("dialog td button.bad")')
            page.type('dialog input[name=user]', '{"id": "123", "country": "US"}')
            page.press('Enter')
            page.wait_for_text('bucket', 'dialog pre')
            check_page(page)
            page.type('dialog input[name=rule]', 'user.country =')
            page.press('Enter')
            page.wait('document.querySelector("dialog .said.bad").innerText.length > 10')
            page.press('Escape')
            page.wait('!document.querySelector("dialog[open]")')
            # What somebody else changes is seen without being asked for.
            change = urllib.request.Request(
                'http://127.0.0.1:%d/api/flags/new-checkout-flow/kill' % PORT, method='POST')
            urllib.request.urlopen(change).read()
            page.wait('document.querySelector("#flags button[aria-pressed=false]")', 5)
            page.focus('#flags button[aria-pressed=false]')
            page.press('Space')
            sees('new-checkout-flow', True)
            page.wait('document.querySelector("#flags button[aria-pressed=true]")')
            page.click('#flags td:last-child button')
            page.wait_for_text('is killed', '#status')
            sees('new-checkout-flow', False)
            check_page(page, expected_errors=['400'])
        application.destroy()
        print('ok')
        """#

    @Test("the shortener's page: shorten, find, follow, charts, rules, change and delete")
    func shortener() throws {
        let port = try ProgramPort.free()
        let directory = try ProgramDirectory()
        let server = try ProgramProcess(
            [
                "urlshortener", "--port", "\(port)", "--db", directory.path + "/links.db", "--clicks",
                directory.path + "/c",
            ])
        try server.waitFor("Listening")
        #expect(try ProgramBrowser.run("PORT = \(port)\n" + Self.shortenerProgram) == "ok\n")
        withExtendedLifetime((server, directory)) {}
    }

    private static let shortenerProgram = #"""
        import urllib.error
        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_): return None
        visitor = urllib.request.build_opener(Stay)
        def visit(path, **fields):
            request = urllib.request.Request('http://127.0.0.1:%d%s' % (PORT, path), headers=fields)
            try: return visitor.open(request).status, None
            except urllib.error.HTTPError as answer: return answer.code, answer.headers['Location']
        with Browser() as browser:
            page = browser.open('http://127.0.0.1:%d/' % PORT)
            page.wait_for_text('No links.')
            check_page(page)
            page.type('#shorten input[name=url]', 'https://bücher.example/<b>')
            page.type('#shorten input[name=alias]', 'books')
            page.type('#shorten input[name=tags]', 'spring, sale')
            page.press('Enter')
            page.wait_for_text('/books', '#status')
            page.wait_for_text('https://xn--bcher-kva.example/%3Cb%3E', '#links')
            # Taken: said, and what was typed is still there.
            page.type('#shorten input[name=url]', 'https://example.com/')
            page.type('#shorten input[name=alias]', 'books')
            page.press('Enter')
            page.wait_for_text('is taken', '#status')
            assert page.js('document.querySelector("#shorten input[name=alias]").value') == 'books'
            page.type('#shorten input[name=alias]', 'other')
            page.press('Enter')
            page.wait_for_text('/other', '#status')
            for _ in range(3): assert visit('/books', Referer='https://www.google.com/')[0] == 301
            visit('/books', **{'User-Agent': 'Googlebot'})
            # The list follows by itself.
            page.wait('[...document.querySelectorAll("#links td.number")].some(one => one.innerText === "4")', 8)
            page.type('#find input', 'spring')
            page.press('Enter')
            page.wait_for_text('1 link,', '#links')
            check_page(page, expected_errors=['409'])
            page.click('#links td button')
            page.wait('document.querySelector("dialog[open]")')
            page.wait_for_text('4 visits', 'dialog')
            for text in ['google.com', 'bot', 'Visits by day']: page.wait_for_text(text, 'dialog')
            page.wait('document.querySelector("dialog img").naturalWidth > 0')
            check_page(page, expected_errors=['409'])
            # Some go elsewhere.
            page.type('dialog input[name=value]', 'ios')
            page.type('dialog input[name=target]', 'https://apps.example/')
            page.press('Enter')
            page.wait('document.querySelector("dialog [aria-label^=Remove]")')
            assert visit('/books', **{'User-Agent': 'Mozilla/5.0 (iPhone)'})[1] == 'https://apps.example/'
            other = visit('/books', **{'User-Agent': 'Mozilla/5.0 (X11; Linux)'})
            assert other[1] == 'https://xn--bcher-kva.example/%3Cb%3E'
            page.type('dialog input[name=new-url]', 'javascript:alert(1)')
            page.press('Enter')
            page.wait_for_text('not a scheme', 'dialog .said')
            page.type('dialog input[name=new-url]', 'https://example.org/new')
            page.press('Enter')
            page.wait_for_text('changed url', 'dialog [aria-label="Changes"]')
            assert visit('/books')[1] == 'https://example.org/new'
            check_page(page, expected_errors=['409', '400'])
            page.click('dialog > button.bad')
            page.wait_for_text('books is deleted', '#status')
            assert visit('/books')[0] == 410
        print('ok')
        """#
}
