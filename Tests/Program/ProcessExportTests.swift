import TestSupport
import Testing

/// The page of `export run.html`, in a browser: it needs nobody, works by keyboard, and goes back and forth in time.
extension BrowserTests {
    @Test func aSessionAsAPageGoesBackAndForth() throws {
        let directory = try ProgramDirectory()
        let script = """
            spawn 2 backend --port 8081 --name server
            loadbalancer --backends 8081,8082 --port 80 --name lb
            for i in {1..20}; do curl -s http://localhost/ > /dev/null; sleep 0.1; done
            kill -9 server-2
            inject latency 200ms lb->server-1
            sleep 20
            export run.html
            """
        let ran = try ProgramProcess.run("-c", script, directory: directory.path)
        #expect(ran.status == 0 && ran.errors.contains("sdlab: run.html: "), "\(ran.errors)")
        let said = try ProgramBrowser.run("FILE = 'file://\(directory.path)/run.html'\n" + Self.exportProgram)
        for line in [
            "first: +00:00.000, event 1", "at 15 s: +00:1", "Faults in force: latency 200ms lb->server-1",
            "why: killed | refused | [LB] Removed 8082 from pool", "went to: +00:00.000",
        ] { #expect(said.contains(line), "\(said)") }
    }

    private static let exportProgram = #"""
        with Browser() as browser:
            page = browser.open(FILE)
            page.wait("document.getElementById('at').textContent.length > 0")
            check_page(page)
            page.click('#first')
            print('first:', page.text('#at')[:20])
            page.type('#seconds', '15')
            page.press('Enter')
            print('at 15 s:', page.text('#at')[:6])
            page.click('#last')
            print(page.text('#faults'))
            page.type('#text', 'Removed')
            page.wait("document.querySelectorAll('#journal tbody tr').length == 1")
            page.click('#journal button')
            rows = page.js("[...document.querySelectorAll('#why tbody tr')].map(row => row.cells[2].textContent)")
            print('why:', ' | '.join(rows[1:]))
            check_page(page)
            page.click('#why button')
            print('went to:', page.text('#at')[:10])
        """#
}
