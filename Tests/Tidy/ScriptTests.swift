import Glibc
import Testing

/// Scripts that no test runs, because what they do takes long, are at least scripts.
@Suite struct ScriptTests {
    @Test("every script of the shell can be read by it")
    func syntax() throws {
        let scripts = try Repository.files(in: "scripts", suffix: "").filter { path in
            // Directories and Python's have another first line, or none.
            (try? Repository.text(path))?.hasPrefix("#!/bin/sh") == true
        }
        #expect(scripts.contains("scripts/bench") && scripts.contains("scripts/test"))
        for script in scripts {
            let shell = try #require(popen("sh -n '\(Repository.root)/\(script)' 2>&1", "r"))
            let complaint = String(decoding: Repository.rest(of: shell), as: UTF8.self)
            #expect(pclose(shell) == 0, "\(script): \(complaint)")
        }
    }
}
