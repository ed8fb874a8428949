import Glibc
import TestSupport
import Testing

/// `sdlab messageq` under Go's client with its own tests, and beside RabbitMQ itself: minutes each, so only where full
/// sizes are wanted (`scripts/test --long`).
extension ProgramHeavyTests {
    @Suite("The broker and its peers", .enabled(if: ProgramSize.isLong, "only with scripts/test --long"))
    struct ProcessBrokerPeerTests {
        // @covers MQ-M1
        /// All tests of the package, those for a broker (`integration`) as well; on RabbitMQ 3.10 all of them pass.
        @Test(
            "Go's amqp091, with its own tests", .timeLimit(.minutes(15)),
            .enabled(if: GoPackage.canRun, "Go or its amqp091 is not there: run SDLAB_LONG=1 scripts/setup test"))
        func goClient() throws {
            let port = try ProgramPort.free()
            let directory = try ProgramDirectory()
            let broker = try ProgramProcess.service(
                "messageq", "--data-dir", directory.path + "/mq", port: port)
            let go = try ProgramProcess(
                ["test", "-tags", "integration", "-v", "-count", "1", "-timeout", "5m", "."],
                directory: GoPackage.path, program: try ProgramTool.needed("go"),
                environment: [
                    "AMQP_URL=amqp://guest:guest@127.0.0.1:\(port)/", "GO111MODULE=off", "GOPROXY=off", "CGO_ENABLED=0",
                    "GOPATH=\(GoPackage.root)", "GOCACHE=\(ProgramPlace.root)/.build/go-cache", "GOFLAGS=",
                ])
            let status = try go.waitForExit(within: 800)
            let lines = go.output.split(separator: "\n")
            let failed = lines.filter { $0.contains("--- FAIL") || $0.hasPrefix("panic:") }
            let passed = lines.filter { $0.hasPrefix("--- PASS") }
            #expect(status == 0 && failed.isEmpty, "\(failed)\n\(go.output.suffix(4000))\(go.errors.suffix(1000))")
            #expect(passed.count { $0.contains("Integration") } >= 30, "only \(passed.count) ran")
            #expect(broker.isRunning)
        }

        /// `scripts/test.d/rabbitmq.py` says what is compared; by itself it plays any seeds, as long as one likes.
        @Test(
            "the same random methods as RabbitMQ 3.10, and the same answers, deliveries and close codes",
            .timeLimit(.minutes(20)),
            .enabled(
                if: TestPython.canRun && ProgramTool.canRun("rabbitmq-server"),
                "RabbitMQ or Python is not there: run SDLAB_LONG=1 scripts/setup test"))
        func rabbitMQ() throws {
            let seed = Int.random(in: 1...1_000_000)
            let run = try ProgramProcess(
                [ProgramPlace.root + "/scripts/test.d/rabbitmq.py", ProgramPlace.program]
                    + ["--seed", "\(seed)", "--seconds", "180"], program: TestPython.path,
                environment: ["PYTHONDONTWRITEBYTECODE=1"])
            let status = try run.waitForExit(within: 900)
            #expect(status == 0, "\(run.output)\(run.errors)")
            print(run.output, terminator: "")
        }
    }
}

/// Go's client of RabbitMQ, as Debian has it: unpacked by `scripts/setup test`, and compiled without a network.
private enum GoPackage {
    static let root = ProgramPlace.root + "/.build/unpacked/usr/share/gocode"
    static let path = root + "/src/github.com/rabbitmq/amqp091-go"
    static var canRun: Bool {
        ProgramTool.canRun("go") && (ProgramTool.mayNotSkip || access(path + "/integration_test.go", R_OK) == 0)
    }
}
