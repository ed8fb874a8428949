import TestSupport
import Testing

/// All tests that look at a page: one browser at a time, since each takes a core for itself.
@Suite("Pages in a browser", .serialized, .enabled(if: TestPython.canRun && ProgramTool.canRun(ProgramBrowser.program)))
struct BrowserTests {}

/// Debian's Chromium without a screen; `scripts/test.d/browser.py` says what can be done with it.
enum ProgramBrowser {
    static let program = "chromium-headless-shell"

    /// Runs a program in Python that has `Browser` and `check_page`, and returns what it printed.
    static func run(_ program: String) throws -> String {
        try TestPython.run(
            "import json, sys, time, urllib.request\nsys.path.insert(0, '\(ProgramPlace.root)/scripts/test.d')\n"
                + "sys.dont_write_bytecode = True\nfrom browser import *\n" + program)
    }
}
