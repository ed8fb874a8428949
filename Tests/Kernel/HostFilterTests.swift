import Foundation
import KernelLoopback
import KernelWorld
import Testing

/// Programs of the machine, as guests with limits. They are those that every Debian has.
@Suite struct HostFilterTests {
    private func run(
        _ program: String, _ arguments: [String], input: String = "",
        _ change: (inout HostFilterLimits) -> Void = { _ in }
    ) -> HostFilterOutcome {
        var call = HostFilterCall(program: program, arguments: arguments, input: Array(input.utf8))
        change(&call.limits)
        return HostFilterProcess.run(call)
    }

    private func ended(_ output: String, status: Int = 0, errors: String = "") -> HostFilterOutcome {
        .ended(status: status, output: Array(output.utf8), errors: Array(errors.utf8))
    }

    @Test("bytes in, bytes out, with the program's own status")
    func filter() {
        #expect(run("sort", [], input: "b\na\n") == ended("a\nb\n"))
        #expect(run("sh", ["-c", "cat; echo oops >&2; exit 7"], input: "x") == ended("x", status: 7, errors: "oops\n"))
        #expect(run("cat", []) == ended(""))
        let large = String(repeating: "0123456789\n", count: 400_000)
        #expect(run("cat", [], input: large) == ended(large), "both directions at once, beyond what pipes hold")
        #expect(run("true", [], input: large) == ended(""), "input that nobody reads")
    }

    @Test("a guest sees no environment, no other descriptors and cannot write")
    func isolation() {
        setenv("SDLAB_SECRET", "x", 1)
        #expect(run("env", []) == ended(""))
        guard case .ended(_, let listing, _) = run("ls", ["/proc/self/fd"]) else {
            Issue.record("ls did not end")
            return
        }
        #expect(String(decoding: listing, as: UTF8.self) == "0\n1\n2\n3\n", "3 is the listing's own")
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("sdlab-\(UUID().uuidString)").path
        _ = run("sh", ["-c", "echo x > \(path)"])
        #expect(FileManager.default.contents(atPath: path)?.isEmpty ?? true)
        try? FileManager.default.removeItem(atPath: path)
    }

    @Test("each limit stops it")
    func limits() {
        #expect(run("sh", ["-c", "while :; do :; done"]) { $0.processorSeconds = 1 } == .stopped(.processorTime))
        #expect(run("sleep", ["60"]) { $0.wallSeconds = 1 } == .stopped(.wallTime))
        #expect(run("yes", []) { $0.outputBytes = 100_000 } == .stopped(.output))
        let excess = "echo 'jq: error: cannot allocate memory' >&2; kill -ABRT $$"
        #expect(run("sh", ["-c", excess]) == .stopped(.memory), "as a program does that has no more")
        let hungry = "x = bytearray(); [x.extend(bytes(1 << 22)) for _ in range(1000)]"
        if case .ended(_, _, let errors) = run("python3", ["-c", hungry]) {
            #expect(String(decoding: errors, as: UTF8.self).contains("MemoryError"), "python ends in order")
        }
    }

    @Test("a program that crashes by itself is said to have crashed")
    func crashes() {
        #expect(run("sh", ["-c", "echo oh >&2; kill -SEGV $$"]) == .crashed(signal: 11, errors: Array("oh\n".utf8)))
        #expect(run("sh", ["-c", "kill -ABRT $$"]) == .crashed(signal: 6, errors: []))
    }

    @Test("what cannot be started is told apart")
    func missing() {
        #expect(run("no-such-program", []) == .missing)
        #expect(run("cat", ["a\0b"]) == .failed("an argument contains a zero byte"))
        let tooLong = run("cat", [String(repeating: "x", count: 200_000)])
        guard case .failed(let reason) = tooLong else {
            Issue.record("\(tooLong)")
            return
        }
        #expect(reason.contains("Argument list too long"))
    }

    @Test("nothing is left behind: no descriptors, no children")
    func leftovers() throws {
        func count() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count }
        _ = run("true", [])
        // Other tests open and close theirs at the same time.
        let before = try count()
        for _ in 0..<100 { _ = run("true", []) }
        #expect(try count() < before + 100)
    }
}
