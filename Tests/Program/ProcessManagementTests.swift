import Glibc
import TestSupport
import Testing

/// RabbitMQ's own script for its management, which `scripts/setup` fetches.
private enum ManagementScript {
    static let path = ProgramPlace.root + "/.build/tools/rabbitmqadmin"
    static var canRun: Bool { TestPython.canRun && (getenv("CI") != nil || access(path, R_OK) == 0) }
}

/// `sdlab messageq` under RabbitMQ's own script for its management.
@Suite(.enabled(if: ManagementScript.canRun)) struct ProcessManagementTests {

    /// Runs `rabbitmqadmin` once for each line, and shows what it says.
    private static let program = """
        import shlex, subprocess, sys
        for line in LINES.strip().splitlines():
            done = subprocess.run([sys.executable, SCRIPT, "-P", "PORT", "-f", "tsv"] + shlex.split(line),
                capture_output=True, text=True, timeout=60)
            print((done.stdout + done.stderr).strip())
        """

    private func run(_ lines: String, port: UInt16) throws -> String {
        try TestPython.run(
            "LINES, SCRIPT = '''\(lines)''', \(ManagementScript.path.debugDescription)\n"
                + Self.program.replacing("PORT", with: "\(port)"))
    }

    @Test("rabbitmqadmin declares, lists, publishes, gets, exports and imports")
    func rabbitmqadmin() throws {
        let directory = try ProgramDirectory()
        let (port, management) = (try ProgramPort.free(), try ProgramPort.free())
        let server = try ProgramProcess.service(
            "messageq", "--data-dir", directory.path + "/mq", "--management", "\(management)", port: port)
        let output = try run(
            """
            declare queue name=orders durable=true
            declare exchange name=events type=topic
            declare binding source=events destination=orders routing_key=a.#
            publish exchange=events routing_key=a.b payload=hello
            publish routing_key=nowhere payload=lost
            list queues
            get queue=orders ackmode=ack_requeue_true
            get queue=orders ackmode=ack_requeue_false
            list bindings
            declare user name=ann password=secret tags=monitoring
            declare permission vhost=/ user=ann configure=.* write=.* read=.*
            declare policy name=short pattern=^o 'definition={"max-length":3}'
            -u ann -p secret list policies name definition
            -u ann -p wrong list queues
            declare queue name=orders durable=false
            export \(directory.path)/definitions.json
            delete queue name=orders
            list queues
            -q import \(directory.path)/definitions.json
            list queues name policy
            """, port: management)
        #expect(
            output == """
                queue declared
                exchange declared
                binding declared
                Message published
                Message published but NOT routed
                name\tmessages
                orders\t1
                routing_key\texchange\tmessage_count\tpayload\tpayload_bytes\tpayload_encoding\tredelivered
                a.b\tevents\t0\thello\t5\tstring\tFalse
                routing_key\texchange\tmessage_count\tpayload\tpayload_bytes\tpayload_encoding\tredelivered
                a.b\tevents\t0\thello\t5\tstring\tTrue
                source\tdestination\trouting_key
                \torders\torders
                events\torders\ta.#
                user declared
                permission declared
                policy declared
                name\tdefinition
                short\t{"max-length": 3}
                *** Access refused: /api/queues?columns=name,messages
                *** inequivalent arg 'durable' for queue 'orders' in vhost '/': received 'false' but current is 'true'
                Exported definitions for localhost to "\(directory.path)/definitions.json"
                queue deleted
                No items

                name\tpolicy
                orders\tshort

                """)
        withExtendedLifetime(server) {}
    }
}
