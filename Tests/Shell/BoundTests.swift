import KernelStorage
import KernelStructures
import ShellSession
import Testing

/// Whatever can grow has a bound, and says so when it is reached.
@Suite struct BoundTests {
    @Test func linesTypedAheadHaveABound() throws {
        let shell = LabShell()
        try shell.type("sleep 100")
        let line = String(repeating: "a", count: 64 * 1024)
        for _ in 0..<20 { shell.session.currentTerminal.type(line) }
        #expect(shell.takeHeard().notices.allSatisfy { $0.contains("typed ahead: a line is lost") })
    }

    @Test func aThousandNodesStartInOneCommand() {
        let shell = LabShell()
        let outcome = shell.run("spawn 1000 backend --port 10000 --name web; curl -s web-1000:10999/")
        #expect(outcome.status == 0 && outcome.output == "Response from web-1000\n")
        #expect(shell.run("nodes | grep -c running").output == "1000\n")
    }

    /// Twice as many parts with each step: the depth alone would be no bound.
    @Test(.timeLimit(.minutes(5)), arguments: ["f | f", "f | f | f", "(f) | (f)", "x=$(f | f)"])
    func pipelinesThatCallThemselvesEnd(_ body: String) {
        let shell = LabShell()
        let outcome = shell.run("f() { \(body); }; f; echo never")
        #expect(outcome.status == 2 && outcome.output == "" && outcome.failure == nil)
        #expect(outcome.errorOutput.hasPrefix("nested too deep: "))
        #expect(outcome.errorOutput.utf8.filter { $0 == 10 }.count == 1)
        #expect(shell.output("echo a | cat") == "a\n")
    }

    @Test(.timeLimit(.minutes(5)))
    func aJobsPipelinesThatCallThemselvesEndTheJob() {
        let outcome = LabShell().run("f() { f | f; }; f & wait; echo a")
        #expect(outcome.output == "a\n" && outcome.errorOutput.hasPrefix("nested too deep: "))
    }

    @Test(.timeLimit(.minutes(5)))
    func sortKeepsNoMoreThanItMay() {
        let outcome = LabShell().run("seq 10000000000 | sort | head -n 1; echo ${?}")
        #expect(outcome.errorOutput.hasPrefix("sort: more than "))
        #expect(outcome.output == "0\n" && outcome.failure == nil)
    }

    @Test(
        "the lab's disk fills up, and says so",
        arguments: ["seq 1 10000000000 > f", "seq 1 10000000000 | tee f > g"])
    func theDiskFillsUp(_ line: String) throws {
        let shell = LabShell()
        let disk = try #require(shell.world.disk as? SimulatedDisk)
        #expect(disk.capacityBytes == SimulatedDisk.defaultCapacityBytes && disk.capacityBytes <= 1 << 30)
        disk.capacityBytes = disk.usedBytes + 300_000
        let outcome = shell.run(line)
        #expect(outcome.errorOutput.contains("No space left on device"), "\(outcome.errorOutput)")
        #expect(disk.usedBytes <= disk.capacityBytes)
        #expect(shell.run("rm -f f g; echo a > h; cat h").output == "a\n")
    }

    @Test(
        "what grows within one turn is bounded, and says so", .timeLimit(.minutes(5)),
        arguments: [
            ("awk 'BEGIN{while(1)a[n++]=sprintf(\"%10000d\",1)}'", "awk: arrays of more than 256"),
            (
                "x=$(printf '%10000d' 1); x=$x$x$x$x$x$x$x$x; sed -n ':a;p;ba' <<< \"$x$x$x$x\" | wc -c",
                "are written for it"
            ),
            ("a[9223372036854775807]=y", "a[9223372036854775807]: a subscript that is too large"),
            ("a=([9223372036854775807]=x y)", "a subscript that is too large"),
        ])
    func oneTurn(line: String, complaint: String) {
        let shell = LabShell()
        let outcome = shell.run(line)
        #expect(outcome.errorOutput.contains(complaint), "\(outcome.errorOutput)")
        #expect(shell.output("a=(1 2); a[9223372036854775806]=x; echo ${a[-1]} ${#a[@]}") == "x 3\n")
    }

    @Test("awk's arrays within functions count while they are there")
    func awkArraysGo() {
        let program =
            "function f(t,  a) { return split(t, a, \"\") } "
            + "BEGIN { for (i = 0; i < 200000; i++) n += f(\"abcdef\"); print n }"
        #expect(LabShell().output("awk '\(program)'") == "1200000\n")
    }
}
